"""Nested folds as index arrays, and what two of them may share."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.errors import InputError


class Split(NamedTuple):
    """One outer fold of a nested cross-validation; every array holds stimulus indices.

    Attributes:
        train: stimuli the model is refitted on once its penalty is chosen.
        test: held-out stimuli, scored once.
        validation: the held-out part of each inner fold, inside ``train``; the inner model is fitted on the rest of
            ``train``.
    """

    train: np.ndarray
    test: np.ndarray
    validation: tuple[np.ndarray, ...]


def check_splits(splits: Sequence[Split], n_stimuli: int) -> list[Split]:
    """The splits with sorted int64 index arrays; raises InputError where they cannot be fitted or scored."""
    if not splits:
        raise InputError(
            "no cross-validation fold was given; at least one pair of train and test indices is needed"
        )
    checked = []
    for number, split in enumerate(splits):
        where = f"fold {number + 1} of {len(splits)}"
        train = _indices(split.train, n_stimuli, f"{where}, train")
        test = _indices(split.test, n_stimuli, f"{where}, test")
        if len(np.intersect1d(train, test)):
            raise InputError(
                f"{where}: {len(np.intersect1d(train, test))} stimuli are in both train and test"
            )
        validation = []
        for inner, given in enumerate(split.validation):
            part = _indices(given, n_stimuli, f"{where}, inner fold {inner + 1}")
            if len(np.setdiff1d(part, train)):
                raise InputError(
                    f"{where}, inner fold {inner + 1}: validation stimuli must come from the train part"
                )
            if len(train) - len(part) < 2:
                raise InputError(
                    f"{where}, inner fold {inner + 1}: {len(train) - len(part)} stimuli are left to fit on, at least "
                    "2 are needed; use fewer folds or more stimuli"
                )
            validation.append(part)
        if len(train) < 2:
            raise InputError(f"{where}: {len(train)} training stimuli, at least 2 are needed")
        checked.append(Split(train, test, tuple(validation)))
    return checked


def _indices(given: np.ndarray, n_stimuli: int, where: str) -> np.ndarray:
    array = np.asarray(given)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer) or not len(array):
        raise InputError(
            f"{where}: wanted a non-empty one-dimensional array of stimulus indices, got {array.dtype} of shape "
            f"{array.shape}; with fewer stimuli than folds some fold stays empty"
        )
    array = np.sort(array.astype(np.int64))
    if array[0] < 0 or array[-1] >= n_stimuli or (np.diff(array) == 0).any():
        raise InputError(f"{where}: indices must be distinct and lie in 0 ... {n_stimuli - 1}")
    return array
