"""What architectures are made of: modules that hold parameters under their usual names, and pure functions."""
