"""Draws every figure of docs/metrics.md: python -m docs.figures, or python -m docs.figures encoding for one module."""

import sys
import time
from importlib import import_module

MODULES = ("encoding", "matching", "inverse", "representation", "variance", "spatial", "ceiling", "inference")

if __name__ == "__main__":
    for name in sys.argv[1:] or MODULES:
        started = time.perf_counter()
        import_module(f"docs.figures.{name}").draw()
        print(f"{name}: {time.perf_counter() - started:.0f} s")
