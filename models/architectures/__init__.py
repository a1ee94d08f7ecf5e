"""One file per architecture: the module, its layers' names and how weight files name its tensors."""
