"""Networks in PyTorch, written from their publications with the tensor names of the public checkpoints."""
