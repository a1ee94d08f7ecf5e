"""Training without labels, from pictures alone: models to be scored beside those that learned classes."""
