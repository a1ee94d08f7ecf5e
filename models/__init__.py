"""Flax ports of vision models, one architecture per file. Start reading at :mod:`models.zoo`."""
