"""From scores of splits x neuroids to the one number, with its error, that Brain-Score reports."""

import numpy as np


def brain_score(value: np.ndarray) -> tuple[float, float]:
    """Median over neuroids within each split, then mean over splits; and the standard error of that mean.

    Equals the aggregation of Brain-Score (Schrimpf et al., bioRxiv 2018): the error is the population standard
    deviation (ddof 0) of the splits' medians over the root of their number. Neuroids without a score in a split are
    left out of its median, as its xarray median does; a split in which none has a score is left out of the mean. Both
    numbers are NaN where no score is left.

    Args:
        value: splits x neuroids, NaN where not defined.
    """
    value = np.asarray(value, np.float64)
    medians = np.array([np.median(row[~np.isnan(row)]) for row in value if not np.isnan(row).all()])
    if not len(medians):
        return float("nan"), float("nan")
    return float(medians.mean()), float(medians.std() / np.sqrt(len(medians)))
