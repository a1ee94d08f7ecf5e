"""Single units from a layer that passes in blocks: pieces of bounded width, and samples that are kept."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from engine.metrics.one_to_one import take_units

WIDTH = 8192  # units of a piece


class Sample(NamedTuple):
    """Some units of a layer, filled in as its blocks pass.

    Attributes:
        numbers: of the units in the layer, ascending.
        activity: stimuli x units, float32.
    """

    numbers: np.ndarray
    activity: np.ndarray


def empty(numbers: np.ndarray, stimuli: int) -> Sample:
    """A sample without activations yet: 4 bytes x stimuli x units."""
    return Sample(numbers, np.zeros((stimuli, len(numbers)), np.float32))


def collect(sample: Sample, blocks: Sequence[jax.Array], first_unit: int) -> None:
    """Writes what these blocks (row blocks, stimuli x units) hold of the sample into it."""
    take_units(blocks, first_unit, sample.numbers, sample.activity)


def pieces(blocks: Sequence[jax.Array], stimuli: int) -> Iterator[tuple[int, np.ndarray]]:
    """(number of the first unit within the blocks, stimuli x at most ``WIDTH`` units), without padding."""
    for start in range(0, blocks[0].shape[1], WIDTH):
        rows = [np.asarray(block[:, start : start + WIDTH]) for block in blocks]
        yield start, np.concatenate(rows)[:stimuli]
