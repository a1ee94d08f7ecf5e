"""From a weight file to the parameters of a model, without running anything that is in the file."""
