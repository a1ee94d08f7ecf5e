"""Nested folds as index arrays, and the structure that makes some of them cheap."""

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
        raise InputError("no cross-validation fold was given; wanted at least one pair of train and test stimuli")
    return [
        _check_split(split, n_stimuli, f"fold {number} of {len(splits)}")
        for number, split in enumerate(splits, start=1)
    ]


def _check_split(split: Split, n_stimuli: int, where: str) -> Split:
    train = _indices(split.train, n_stimuli, f"{where}, train")
    test = _indices(split.test, n_stimuli, f"{where}, test")
    both = np.intersect1d(train, test)
    if len(both):
        raise InputError(f"{where}: {len(both)} stimuli are both in train and test, stimulus {both[0]} among them")
    if not split.validation:
        raise InputError(f"{where}: no inner fold was given to choose the penalty on")
    validation = []
    for number, given in enumerate(split.validation, start=1):
        part = _indices(given, n_stimuli, f"{where}, inner fold {number}")
        if len(np.setdiff1d(part, train)):
            raise InputError(f"{where}, inner fold {number}: its validation stimuli must come from the train part")
        if len(train) - len(part) < 2:
            raise InputError(
                f"{where}, inner fold {number}: {len(train) - len(part)} stimuli are left to fit on, at least 2 are "
                "needed; use fewer folds or more stimuli"
            )
        validation.append(part)
    return Split(train, test, tuple(validation))


def _indices(given: np.ndarray, n_stimuli: int, where: str) -> np.ndarray:
    array = np.asarray(given)
    if array.ndim != 1 or not len(array):
        raise InputError(
            f"{where}: wanted a list of stimulus indices that is not empty, got an array of shape {array.shape}; "
            "folds stay empty where there are more of them than stimuli or groups"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{where}: wanted stimulus indices (integers), got {array.dtype}")
    array = np.sort(array.astype(np.int64))
    if array[0] < 0 or array[-1] >= n_stimuli or (np.diff(array) == 0).any():
        raise InputError(f"{where}: stimulus indices must be distinct and lie in 0 ... {n_stimuli - 1}")
    return array


def shared_partition(splits: Sequence[Split]) -> list[np.ndarray] | None:
    """The parts of the stimuli, one per fold, if the inner folds of every fold are the other outer folds.

    That is k-fold cross-validation, plain or grouped, inside itself: fold b tests on part b, trains on all others,
    and each of these is once its validation set. Then leaving out parts b and c together serves fold b and fold c.
    Returns None for any other design. Takes splits as ``check_splits`` returns them.
    """
    parts = [split.test for split in splits]
    everything = np.sort(np.concatenate(parts))
    if len(parts) < 3 or (np.diff(everything) == 0).any():
        return None
    names = {part.tobytes() for part in parts}
    for split in splits:
        inner = [part.tobytes() for part in split.validation]
        if len(inner) != len(parts) - 1 or set(inner) != names - {split.test.tobytes()}:
            return None
        if not np.array_equal(split.train, np.setdiff1d(everything, split.test)):
            return None
    return parts
