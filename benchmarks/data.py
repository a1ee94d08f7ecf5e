"""Synthetic layers and responses; the same numbers everywhere for the same sizes."""

from typing import NamedTuple

import numpy as np

STEERING = 200  # units that the responses depend on


class Size(NamedTuple):
    """Of one problem."""

    stimuli: int
    units: int
    targets: int


class Problem(NamedTuple):
    """A layer and a recording.

    Attributes:
        features: stimuli x units, float32, with the power-law spectrum that layers and visual cortex have.
        responses: stimuli x targets, float32: a linear map of some of the units, and noise.
    """

    features: np.ndarray
    responses: np.ndarray


def problem(size: Size, seed: int = 0) -> Problem:
    """A problem of this size."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((size.stimuli, size.units), dtype=np.float32)
    features *= np.arange(1, size.units + 1, dtype=np.float32) ** -0.5
    return Problem(features, responses(features, size.targets, seed + 1))


def responses(features: np.ndarray, targets: int, seed: int) -> np.ndarray:
    """Of one recording to the stimuli; stimuli x targets, float32."""
    rng = np.random.default_rng(seed)
    seen = features[:, :STEERING]
    signal = seen @ rng.standard_normal((seen.shape[1], targets), dtype=np.float32)
    return signal + 3 * rng.standard_normal(signal.shape, dtype=np.float32)


def penalties(features: np.ndarray, count: int) -> np.ndarray:
    """Three decades on either side of the mean diagonal of the centred kernel."""
    scale = sum(float(block.var(axis=0, dtype=np.float64).sum()) for block in _unit_blocks(features))
    return np.logspace(-3, 3, count) * scale


def exact_kernel(features: np.ndarray) -> np.ndarray:
    """X X' in float64, block by block of units."""
    kernel = np.zeros((len(features),) * 2)
    for block in _unit_blocks(features):
        wide = block.astype(np.float64)
        kernel += wide @ wide.T
    return kernel


def _unit_blocks(features: np.ndarray, width: int = 4096) -> list[np.ndarray]:
    return [features[:, start : start + width] for start in range(0, features.shape[1], width)]
