"""Intervals and resampling."""

import numpy as np


def bootstrap_median(values: np.ndarray, *, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the median, resampling the values (neuroids) with replacement.

    Equals ``scipy.stats.bootstrap((values,), np.median, method="percentile")`` up to the draws. NaN values are
    left out; fewer than two values give (NaN, NaN).
    """
    finite = values[np.isfinite(values)]
    if finite.size < 2:
        return float("nan"), float("nan")
    draws = np.random.default_rng(seed).integers(0, finite.size, (resamples, finite.size))
    low, high = np.percentile(np.median(finite[draws], axis=1), [2.5, 97.5])
    return float(low), float(high)
