"""Correlations over stimuli, and what they become with more repetitions."""

import numpy as np


def spearman_brown(r: np.ndarray) -> np.ndarray:
    """Reliability of twice as many repetitions: 2 r / (1 + r).

    Spearman, British Journal of Psychology 1910; Brown, ibid. NaN or infinite at r = -1.
    """
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


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i->...", a, b)
