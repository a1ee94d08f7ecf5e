"""What every formula about single responses needs: number, mean and scatter of the responses to each stimulus.

About 6 flops for each response and one pass over them; blocks of neuroids bound the memory.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from engine.ceilings.halves import MEMORY, check_repeats
from engine.errors import InputError


class Moments(NamedTuple):
    """Of a block of neuroids, stimuli x neuroids each.

    Attributes:
        presentations: k, the responses to a stimulus that exist.
        mean: of these; 0 where there are none.
        scatter: sum of squared distances from that mean.
    """

    presentations: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray

    @property
    def repeated(self) -> np.ndarray:
        """Stimuli with two responses or more, from which noise can be told."""
        return self.presentations > 1

    @property
    def noise(self) -> np.ndarray:
        """Sample variance of the responses to a stimulus, averaged over the repeated stimuli; one per neuroid."""
        variances = self.scatter / np.maximum(self.presentations - 1, 1)
        return over_stimuli(variances, self.repeated)

    @property
    def level(self) -> np.ndarray:
        """Mean of all responses of each neuroid."""
        return weighted_mean(self.mean, self.presentations)

    @property
    def total(self) -> np.ndarray:
        """Sample variance of all responses of each neuroid; NaN where there are fewer than two."""
        between = (self.presentations * (self.mean - self.level) ** 2).sum(axis=0)
        return divided(between + self.scatter.sum(axis=0), self.presentations.sum(axis=0) - 1)


def moments(repeats: np.ndarray, purpose: str) -> Iterator[tuple[slice, Moments]]:
    """Blocks of neuroids and their moments.

    Args:
        repeats: repetitions x stimuli x neuroids, NaN where missing.
        purpose: what they are for, named in errors.

    Raises:
        InputError: fewer than two repetitions; no neuroid has two responses to any stimulus.
    """
    check_repeats(repeats, purpose)
    count, stimuli, neuroids = repeats.shape
    width = max(1, MEMORY // (8 * count * stimuli))
    supported = False
    for start in range(0, neuroids, width):
        part = np.asarray(repeats[:, :, start : start + width], np.float64)
        present = np.isfinite(part)
        n = present.sum(axis=0)
        first = np.take_along_axis(part, present.argmax(axis=0)[None], axis=0)  # equal responses scatter exactly 0
        apart = np.where(present, part - first, 0.0)
        mean = apart.sum(axis=0) / np.maximum(n, 1)
        scatter = (np.where(present, apart - mean, 0.0) ** 2).sum(axis=0)
        mean = np.where(n > 0, mean + first[0], 0.0)
        supported |= bool((n > 1).any())
        yield slice(start, start + width), Moments(n, mean, scatter)
    if not supported:
        raise InputError(
            f"{purpose}: no neuroid has two responses to the same stimulus, so signal cannot be told from noise; "
            "without repetitions scores can only be raw"
        )


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of each column, exact where all values with a weight are equal; NaN where there are none."""
    start = np.take_along_axis(values, (weights > 0).argmax(axis=0)[None], axis=0)
    return start[0] + divided((weights * (values - start)).sum(axis=0), weights.sum(axis=0))


def over_stimuli(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mean of each column over the chosen rows; NaN where there are none."""
    return weighted_mean(values, chosen.astype(np.float64))


def divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, NaN where b is not positive."""
    return np.divide(a, b, out=np.full(np.shape(a), np.nan), where=np.asarray(b) > 0)
