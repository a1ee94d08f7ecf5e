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
            ``train``. None is leave-one-out: every stimulus of ``train`` is held out once.
    """

    train: np.ndarray
    test: np.ndarray
    validation: tuple[np.ndarray, ...] | None


class Checked(tuple[Split, ...]):
    """Splits as :func:`check_splits` returns them, which are not looked at again for every layer.

    Attributes:
        stimuli: how many they are of.
    """

    stimuli: int


def check_splits(splits: Sequence[Split], n_stimuli: int) -> Checked:
    """The splits with sorted int64 index arrays; raises InputError where they cannot be fitted or scored."""
    if isinstance(splits, Checked) and splits.stimuli == n_stimuli:
        return splits
    if not splits:
        raise InputError("no cross-validation fold was given; wanted at least one pair of train and test stimuli")
    found = Checked(
        _check_split(split, n_stimuli, f"fold {number} of {len(splits)}")
        for number, split in enumerate(splits, start=1)
    )
    found.stimuli = n_stimuli
    return found


def _check_split(split: Split, n_stimuli: int, where: str) -> Split:
    if not isinstance(split, Split):
        raise InputError(f"{where}: wanted Split(train, test, validation), got a {type(split).__name__}")
    train = _indices(split.train, n_stimuli, f"{where}, train")
    test = _indices(split.test, n_stimuli, f"{where}, test")
    both = np.intersect1d(train, test)
    if len(both):
        raise InputError(f"{where}: {len(both)} stimuli are both in train and test, stimulus {both[0]} among them")
    return Split(train, test, check_validation(split.validation, train, n_stimuli, where))


def check_validation(
    validation: Sequence[np.ndarray] | None, train: np.ndarray, n_stimuli: int, where: str
) -> tuple[np.ndarray, ...] | None:
    """Inner folds of one train part (sorted) with sorted int64 index arrays; raises InputError as ``check_splits``."""
    if validation is None:
        if len(train) < 3:
            raise InputError(f"{where}: leave-one-out needs at least 3 stimuli to fit on, got {len(train)}")
        return None
    if not len(validation):
        raise InputError(f"{where}: no inner fold was given to choose the penalty on (None means leave-one-out)")
    parts = []
    for number, given in enumerate(validation, start=1):
        part = _indices(given, n_stimuli, f"{where}, inner fold {number}")
        if len(np.setdiff1d(part, train)):
            raise InputError(f"{where}, inner fold {number}: its validation stimuli must come from the train part")
        if len(train) - len(part) < 2:
            raise InputError(
                f"{where}, inner fold {number}: {len(train) - len(part)} stimuli are left to fit on, at least 2 are "
                "needed; use fewer folds or more stimuli"
            )
        parts.append(part)
    return tuple(parts)


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


def design(split: Split, n_stimuli: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, ...] | None]:
    """All stimuli outside the train part, the places of the test part among them, and train and validation parts."""
    held = np.setdiff1d(np.arange(n_stimuli), split.train)
    return held, np.searchsorted(held, split.test), split.train, split.validation


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
        inner = [part.tobytes() for part in split.validation or ()]
        if len(inner) != len(parts) - 1 or set(inner) != names - {split.test.tobytes()}:
            return None
        if not np.array_equal(split.train, np.setdiff1d(everything, split.test)):
            return None
    return parts


def restrict(splits: Sequence[Split], kept: np.ndarray) -> list[Split]:
    """The same splits over the stimuli in ``kept`` only (sorted indices), renumbered from 0.

    Used where a neuroid has no response to some stimuli. An outer or inner set that keeps fewer than two of them is
    an InputError: the neuroid cannot be scored on that split.
    """

    def only(stimuli: np.ndarray) -> np.ndarray:
        return np.searchsorted(kept, np.intersect1d(stimuli, kept))

    restricted = []
    for number, split in enumerate(splits, start=1):
        inner = None if split.validation is None else tuple(only(v) for v in split.validation)
        part = Split(only(split.train), only(split.test), inner)
        sets = zip((split.test, *(split.validation or ())), (part.test, *(inner or ())), strict=True)
        if any(len(after) < min(2, len(before)) for before, after in sets) or len(part.train) < 3:
            raise InputError(
                f"some neuroids have fewer than 2 responses in fold {number} (or its inner folds) and cannot be "
                f"scored; they have responses to {len(kept)} stimuli: use fewer folds or leave them out"
            )
        restricted.append(part)
    return restricted
