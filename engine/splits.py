"""Which stimuli are held out. Index arrays, always by stimulus, drawn by scikit-learn with a seed.

``validation`` lists, for each split, the inner held-out sets from which penalties and layers are chosen; the inner
training set of one of them is the outer training set without it. The outer test set is never in either.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
)

from engine.errors import InputError
from engine.solvers.folds import Split


def kfold(stimuli: int, *, folds: int, seed: int, groups: Sequence[object] | None = None) -> list[Split]:
    """K folds; the inner folds of each are the other K - 1, so that every fit is shared by two of them.

    Equal to ``sklearn.model_selection.KFold(folds, shuffle=True, random_state=seed)``, or with ``groups`` to
    ``GroupKFold`` with the same arguments: no group is then in two folds.

    Raises:
        InputError: fewer than three folds (nothing would be left to choose penalties on), fewer stimuli than
            two per fold, fewer groups than folds.
    """
    if folds < 3:
        raise InputError(
            f"cv.folds={folds}: wanted 3 or more, because penalties are chosen on the folds that are not tested"
        )
    if stimuli < 2 * folds:
        raise InputError(
            f"{stimuli} stimuli cannot be split into {folds} folds of at least 2; lower cv.folds or add stimuli"
        )
    everything = np.arange(stimuli)
    if groups is None:
        parts = KFold(folds, shuffle=True, random_state=seed).split(everything)
    else:
        _check_groups(groups, folds)
        labels = np.asarray([str(group) for group in groups])
        parts = GroupKFold(folds, shuffle=True, random_state=seed).split(everything, groups=labels)
    tests = [test for _, test in parts]
    return [
        Split(np.setdiff1d(everything, test), test, tuple(t for j, t in enumerate(tests) if j != i))
        for i, test in enumerate(tests)
    ]


def leave_one_out(stimuli: int) -> list[Split]:
    """Every stimulus held out by itself, with no inner folds. Equal to ``sklearn.model_selection.LeaveOneOut``.

    Raises:
        InputError: fewer than two stimuli.
    """
    if stimuli < 2:
        raise InputError(f"{stimuli} stimulus cannot be held out one by one; wanted 2 or more")
    everything = np.arange(stimuli)
    return [Split(np.delete(everything, own), everything[own : own + 1], ()) for own in everything]


def shuffle_splits(
    stimuli: int,
    *,
    splits: int,
    train_size: float,
    inner_folds: int,
    seed: int,
    strata: Sequence[object] | None = None,
    groups: Sequence[object] | None = None,
) -> list[Split]:
    """Repeated random splits, inner folds drawn anew inside each training set.

    Equal to ``StratifiedShuffleSplit(splits, train_size=train_size, random_state=seed)`` where ``strata`` are
    given (Brain-Score's: 10 splits, 0.9, seed 1, in the order of its stimuli), to ``GroupShuffleSplit`` where
    ``groups`` are, to ``ShuffleSplit`` otherwise.
    """
    everything = np.arange(stimuli)
    if not 0 < train_size < 1:
        raise InputError(f"cv.train_size={train_size}: wanted a share between 0 and 1, such as 0.9")
    if stimuli * (1 - train_size) < 2 or stimuli * train_size < 2 * inner_folds:
        raise InputError(
            f"{stimuli} stimuli are too few for cv.train_size={train_size} with cv.inner_folds={inner_folds}: "
            "wanted at least 2 to test and 2 in each inner fold"
        )
    labels = None
    if groups is not None:
        _check_groups(groups, inner_folds + 1)
        labels = np.asarray([str(group) for group in groups])
        outer = GroupShuffleSplit(splits, train_size=train_size, random_state=seed).split(everything, groups=labels)
    elif strata is not None:
        strata_labels = np.asarray([str(stratum) for stratum in strata])
        names, counts = np.unique(strata_labels, return_counts=True)
        if counts.min() < 2:
            raise InputError(
                f"stratum '{names[counts.argmin()]}' has one stimulus; stratified splits need two of each "
                "(set cv.stratify=null to split without strata)"
            )
        outer = StratifiedShuffleSplit(splits, train_size=train_size, random_state=seed).split(
            everything, strata_labels
        )
    else:
        outer = ShuffleSplit(splits, train_size=train_size, random_state=seed).split(everything)
    result = []
    for train, test in outer:
        if labels is not None:
            inner = GroupKFold(inner_folds, shuffle=True, random_state=seed).split(train, groups=labels[train])
        elif strata is not None and np.unique(strata_labels[train], return_counts=True)[1].min() >= inner_folds:
            inner = StratifiedKFold(inner_folds, shuffle=True, random_state=seed).split(train, strata_labels[train])
        else:
            inner = KFold(inner_folds, shuffle=True, random_state=seed).split(train)
        result.append(Split(np.sort(train), np.sort(test), tuple(np.sort(train[part]) for _, part in inner)))
    return result


def _check_groups(groups: Sequence[object], wanted: int) -> None:
    names, counts = np.unique([str(group) for group in groups], return_counts=True)
    if len(names) < wanted:
        raise InputError(
            f"{len(names)} group(s) of stimuli ({', '.join(names[:5])}) for {wanted} folds: each fold needs at least "
            "one whole group; lower cv.folds, or group by another column (cv.group=COLUMN, or cv.group=null)"
        )
    if counts.max() > counts.sum() - 2 * (wanted - 1):
        raise InputError(
            f"group '{names[counts.argmax()]}' holds {counts.max()} of {counts.sum()} stimuli: the other "
            f"{wanted - 1} folds would have fewer than 2 each"
        )
