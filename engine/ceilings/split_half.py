"""Split-half reliability of averages over repetitions."""

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import ShuffleSplit

from engine.ceilings.correlation import spearman_brown
from engine.ceilings.halves import check_repeats, correlations, members, random_halves

CONVENTION = "split-half reliability, Spearman-Brown corrected, mean over 100 random halvings"


class InternalConsistency(NamedTuple):
    """A ceiling as Brain-Score reports it.

    Attributes:
        value: median over neuroids, mean over splits.
        error: standard error of that mean over splits (population standard deviation over root of their number).
        neuroids: splits x neuroids, each one's reliability.
    """

    value: float
    error: float
    neuroids: np.ndarray


def split_half(repeats: np.ndarray, *, halvings: int = 100, seed: int = 0) -> np.ndarray:
    """Reliability of the average over all repetitions, per neuroid, in (-inf, 1].

    Repetitions are halved at random; the halves' averages are correlated (Pearson) over the stimuli that have a
    response in both; the correlation r of half the data is extrapolated to all of it by Spearman and Brown,
    2 r / (1 + r); the mean over halvings is returned. An uneven number of repetitions leaves one out per halving.
    Equals Brain-Score's internal_consistency per neuroid for 10 halvings, up to which halves are drawn.

    Args:
        repeats: repetitions x stimuli x neuroids, NaN where missing. Worked on in blocks of neuroids (64 MiB).

    Returns:
        One value per neuroid. NaN where it cannot be known: fewer than two repetitions of (nearly) every
        stimulus, or a constant half. The correlation of a perfect model with the average is at most its root.
    """
    count, _, neuroids = repeats.shape
    if count < 2:
        return np.full(neuroids, np.nan)
    r = correlations(repeats, random_halves(count, halvings, seed, leave_one_out=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all-NaN neuroids stay NaN
        return np.nanmean(spearman_brown(r), axis=0)


def internal_consistency(repeats: np.ndarray, *, splits: int = 10, seed: int = 1) -> InternalConsistency:
    """Brain-Score's ceiling, with its halves: ``ShuffleSplit(splits, train_size=.5, random_state=seed)``.

    Of an uneven number of repetitions the second half has one more. Schrimpf et al., bioRxiv 407007, 2018; equals
    ``load_ceiling("internal_consistency")`` of brainscore-vision 2.4.2 where the third axis is in the order of its
    repetitions. Stimuli without a response in one of the halves are left out of that split; neuroids that are constant
    in it are left out of its median.

    Args:
        repeats: repetitions x stimuli x neuroids, NaN where missing.

    Raises:
        InputError: fewer than two repetitions.
    """
    check_repeats(repeats, "internal consistency")
    drawn = ShuffleSplit(splits, train_size=0.5, random_state=seed).split(np.zeros(len(repeats)))
    neuroids = spearman_brown(correlations(repeats, members(list(drawn), len(repeats))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a split without any reliability makes the ceiling NaN
        medians = np.nanmedian(neuroids, axis=1)
    return InternalConsistency(float(medians.mean()), float(medians.std() / np.sqrt(splits)), neuroids)
