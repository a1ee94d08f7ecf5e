"""Correlations over stimuli, and what they become with more repetitions."""

import numpy as np


def spearman_brown(r: np.ndarray) -> np.ndarray:
    """Reliability of twice as many repetitions: 2 r / (1 + r).

    Spearman, British Journal of Psychology 1910; Brown, ibid. NaN or infinite at r = -1.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return 2 * r / (1 + r)


def masked_pearson(a: np.ndarray, has_a: np.ndarray, b: np.ndarray, has_b: np.ndarray) -> np.ndarray:
    """Pearson r of each column over the rows present in both.

    NaN where they are fewer than three, or where either column is constant there up to rounding.
    """
    both = has_a & has_b
    n = both.sum(axis=0)
    (da, size_a), (db, size_b) = _masked_spread(a, both, n), _masked_spread(b, both, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (da * db).sum(axis=0) / size_a / size_b
    return np.where(n >= 3, r, np.nan)


def pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson r along the last axis, nothing missing; NaN where either is constant."""
    da, db = spread(a), spread(b)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _dot(da, db) / np.sqrt(_dot(da, da) * _dot(db, db))


def spread(values: np.ndarray) -> np.ndarray:
    """Values less their mean along the last axis; exactly zero where all are equal."""
    shifted = values - values[..., :1]
    shifted -= shifted.mean(axis=-1, keepdims=True)
    return shifted


def _masked_spread(values: np.ndarray, chosen: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The chosen values of each column less their mean, 0 elsewhere, and their norm, NaN where they are all alike."""
    given = np.where(chosen, values, 0.0).astype(np.float64)
    first = np.take_along_axis(given, chosen.argmax(axis=0)[None], axis=0)
    shifted = np.where(chosen, given - first, 0.0)  # before the mean, so that a constant column is exactly zero
    apart = np.where(chosen, shifted - shifted.sum(axis=0) / np.maximum(n, 1), 0.0)
    norm = np.sqrt((apart**2).sum(axis=0))
    rounding = 4 * np.finfo(np.float64).eps * np.abs(given).max(axis=0, initial=0.0)
    return apart, np.where(norm <= np.sqrt(n) * rounding, np.nan, norm)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i->...", a, b)
