"""The cost model of nested ridge that R6 is held against.

Time of one call: a fixed overhead, the flops of the eliminations at one rate, and those of many targets at another.
The three numbers are measured at three reference sizes, all else is arithmetic. Memory: the kernel's copies, the
factors, the responses held (none beyond the solver's limit: they are read again for every penalty), what is being
read, one block's work, and the results; and what the smallest problem takes.
"""

from typing import NamedTuple

import jax
import numpy as np

from benchmarks import costs
from engine.solvers import elimination, missing, targets

PENALTIES = 2
FLOAT32 = 4
COPIES = 3  # of a kernel: chosen stimuli, centred, ordered
STACKS = 1  # of several layers' kernels, which are given in host memory
BLOCKS = 13  # of a block of targets: what is explained, what is predicted, and their scores
AHEAD = 2  # blocks under way at a time
READS = 6  # of what is read at once: as it was, ordered, centred in float64, cast, and two waiting
RESULT = 64  # bytes per fold and target: scores of the best and the current penalty, joined and not


class Point(NamedTuple):
    """One size; responses come from an HDF5 file."""

    stimuli: int
    targets: int
    layers: int = 1

    def name(self) -> str:
        """As in the table."""
        layers = f", {self.layers} layers" if self.layers > 1 else ""
        return f"{self.stimuli:,} stimuli, {self.targets:,} targets{layers}"


class Model(NamedTuple):
    """What the references measured.

    Attributes:
        overhead: seconds of a call, whatever its size.
        eliminating, targeting: flop/s.
        memory: bytes of a call, whatever its size.
    """

    overhead: float
    eliminating: float
    targeting: float
    memory: int


class Measured(NamedTuple):
    """Of one point: all runs in seconds, peak bytes, flops done."""

    runs: list[float]
    memory: int
    flops: float

    def seconds(self) -> float:
        """Median."""
        return float(np.median(self.runs))


def fitted(smallest: Measured, eliminating: Measured, targeting: Measured, at: Point) -> Model:
    """The model's four numbers."""
    overhead = smallest.seconds()
    rate = eliminating.flops / max(eliminating.seconds() - overhead, 1e-9)
    cost = costs.nested_five_fold(at.stimuli, at.targets, PENALTIES)
    left = targeting.seconds() - overhead - cost["eliminations"] / rate
    return Model(overhead, rate, cost["targets"] / max(left, 1e-9), smallest.memory)


def predicted_seconds(point: Point, model: Model) -> float:
    """Of one call per layer."""
    cost = costs.nested_five_fold(point.stimuli, point.targets, PENALTIES)
    rate = model.targeting if _many(point) else model.eliminating
    once = model.overhead + cost["eliminations"] / model.eliminating + cost["targets"] / rate
    return point.layers * once


def predicted_memory(point: Point, model: Model) -> int:
    """Beside what was given: the kernels of the layers and the file."""
    responses = FLOAT32 * point.stimuli * point.targets
    # One fused program for few targets, else the factors: in kernels.
    factors = costs.stored_factors() if _many(point) else 4
    held = responses if responses <= targets.HELD else 0
    return _memory(point, model, factors, held, min(responses, missing.READ))


def budget(point: Point, model: Model) -> int:
    """What the solver allows itself: the factors of any number of folds, 1 GiB of responses, its reads, the results."""
    return _memory(point, model, elimination.FACTORS, targets.HELD, missing.READ)


def _memory(point: Point, model: Model, factors: float, held: int, read: int) -> int:
    layers = STACKS * point.layers if point.layers > 1 else 0
    kernels = (COPIES + factors + layers) * FLOAT32 * point.stimuli**2
    width = targets.CPU_WIDTH if jax.default_backend() == "cpu" else targets.ACCELERATOR_WIDTH
    block = BLOCKS * FLOAT32 * point.stimuli * min(point.targets, AHEAD * width)
    results = point.layers * 5 * RESULT * point.targets
    return int(model.memory + kernels + held + READS * read + block + results)


def _many(point: Point) -> bool:
    return elimination.multiplied_out(point.targets, -(-point.stimuli // 5))
