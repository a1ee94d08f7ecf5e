"""Training: optimiser, step, checkpoints, loop and log; none of it knows what is trained."""
