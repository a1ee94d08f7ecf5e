"""Noise ceilings: how well a perfect model could do, given how much the neuroids repeat themselves."""

import warnings

import numpy as np

NEUROIDS_AT_ONCE = 32  # bounds the memory of all halvings at once
CONVENTION = "split-half reliability, Spearman-Brown corrected, mean over 100 random halvings"


def split_half(repeats: np.ndarray, *, halvings: int = 100, seed: int = 0) -> np.ndarray:
    """Reliability of the average over all repetitions, per neuroid, in (-inf, 1].

    Repetitions are halved at random; the halves' averages are correlated (Pearson) over the stimuli that have a
    response in both; the correlation r of half the data is extrapolated to all of it by Spearman and Brown,
    2 r / (1 + r); the mean over halvings is returned. An uneven number of repetitions leaves one out per halving.
    Equals Brain-Score's internal_consistency per neuroid for 10 halvings, up to which halves are drawn.

    Args:
        repeats: repetitions x stimuli x neuroids, NaN where missing.

    Returns:
        One value per neuroid. NaN where it cannot be known: fewer than two repetitions of (nearly) every
        stimulus, or a constant half. The correlation of a perfect model with the average is at most its root.
    """
    count, _, neuroids = repeats.shape
    half = count // 2
    if half < 1:
        return np.full(neuroids, np.nan)
    rng = np.random.default_rng(seed)
    first, second = np.zeros((2, halvings, count))
    for turn in range(halvings):
        order = rng.permutation(count)
        first[turn, order[:half]] = 1
        second[turn, order[half : 2 * half]] = 1
    reliability = np.empty((halvings, neuroids))
    for start in range(0, neuroids, NEUROIDS_AT_ONCE):
        part = repeats[:, :, start : start + NEUROIDS_AT_ONCE]
        present = np.isfinite(part)
        filled = np.where(present, part, 0.0).astype(np.float64)
        halves = (*_means(first, filled, present), *_means(second, filled, present))
        for turn in range(halvings):
            r = masked_pearson(*(each[turn] for each in halves))
            reliability[turn, start : start + NEUROIDS_AT_ONCE] = spearman_brown(r)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all-NaN neuroids stay NaN
        return np.nanmean(reliability, axis=0)


def known(truth: np.ndarray, averages: np.ndarray) -> np.ndarray:
    """Reliability of simulated responses, where the noise-free ones are known: squared Pearson r with them.

    Args:
        truth, averages: stimuli x neuroids.
    """
    return masked_pearson(truth, np.isfinite(truth), averages, np.isfinite(averages)) ** 2


def spearman_brown(r: np.ndarray) -> np.ndarray:
    """Reliability of twice as many repetitions: 2 r / (1 + r)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 2 * r / (1 + r)


def masked_pearson(a: np.ndarray, has_a: np.ndarray, b: np.ndarray, has_b: np.ndarray) -> np.ndarray:
    """Pearson r of each column over the rows present in both; NaN where fewer than three rows or no variance."""
    both = has_a & has_b
    n = both.sum(axis=0)
    safe = np.maximum(n, 1)
    a0 = np.where(both, a, 0.0)
    b0 = np.where(both, b, 0.0)
    da = np.where(both, a0 - a0.sum(axis=0) / safe, 0.0)
    db = np.where(both, b0 - b0.sum(axis=0) / safe, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (da * db).sum(axis=0) / np.sqrt((da**2).sum(axis=0) * (db**2).sum(axis=0))
    return np.where(n >= 3, r, np.nan)


def _means(members: np.ndarray, filled: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Averages over the repetitions of each half, halvings x stimuli x neuroids, and whether there were any."""
    total = np.tensordot(members, filled, axes=1)
    n = np.tensordot(members, present.astype(np.float64), axes=1)
    return total / np.maximum(n, 1), n > 0
