"""How well a vision model predicts the visual cortex.

Nothing is imported here: ``corticalign --help`` must answer before JAX has loaded.
Start reading at :mod:`engine.job`, the main job.
"""

__version__ = "0.1.0"
