"""The reliability of simulated responses."""

import numpy as np

from engine.ceilings.correlation import masked_pearson


def known(truth: np.ndarray, averages: np.ndarray) -> np.ndarray:
    """Reliability of simulated responses, where the noise-free ones are known: squared Pearson r with them.

    Args:
        truth, averages: stimuli x neuroids.
    """
    return masked_pearson(truth, np.isfinite(truth), averages, np.isfinite(averages)) ** 2
