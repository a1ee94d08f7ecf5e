"""What the solvers cost, against whom, and how near they come to the machine's limit: ``python -m benchmarks``."""
