import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, KFold, LeaveOneOut, StratifiedShuffleSplit

from engine.errors import InputError
from engine.solvers.folds import Split, restrict
from engine.splits import kfold, leave_one_out, shuffle_splits


def check(splits: list[Split], stimuli: int) -> None:
    for split in splits:
        assert sorted([*split.train, *split.test]) == list(range(stimuli))
        inner = np.concatenate(split.validation)
        assert sorted(inner) == sorted(split.train)


def test_kfold_is_scikit_learns() -> None:
    found = kfold(23, folds=5, seed=3)
    for split, (train, test) in zip(found, KFold(5, shuffle=True, random_state=3).split(np.zeros(23)), strict=True):
        np.testing.assert_array_equal(split.train, train)
        np.testing.assert_array_equal(split.test, test)
    check(found, 23)


def test_leave_one_out_is_scikit_learns() -> None:
    for split, (train, test) in zip(leave_one_out(5), LeaveOneOut().split(np.zeros(5)), strict=True):
        np.testing.assert_array_equal(split.train, train)
        np.testing.assert_array_equal(split.test, test)
        assert split.validation == ()


def test_inner_folds_are_the_other_outer_folds() -> None:
    found = kfold(20, folds=4, seed=0)
    for i, split in enumerate(found):
        others = [other.test.tolist() for j, other in enumerate(found) if j != i]
        assert [part.tolist() for part in split.validation] == others


def test_groups_stay_together() -> None:
    groups = [f"movie{i // 4}" for i in range(40)]
    found = kfold(40, folds=5, seed=1, groups=groups)
    reference = GroupKFold(5, shuffle=True, random_state=1).split(np.zeros(40), groups=groups)
    for split, (_, test) in zip(found, reference, strict=True):
        np.testing.assert_array_equal(split.test, test)
        parts = [split.test, *split.validation]
        owners = [{groups[i] for i in part} for part in parts]
        assert sum(map(len, owners)) == len(set(groups))  # no group in two parts
    check(found, 40)


def test_shuffle_splits_are_brain_scores() -> None:
    strata = [f"object{i % 8}" for i in range(160)]
    found = shuffle_splits(160, splits=10, train_size=0.9, inner_folds=5, seed=1, strata=strata)
    reference = StratifiedShuffleSplit(10, train_size=0.9, random_state=1).split(np.zeros(160), strata)
    for split, (train, test) in zip(found, reference, strict=True):
        np.testing.assert_array_equal(split.train, np.sort(train))
        np.testing.assert_array_equal(split.test, np.sort(test))
        counts = [sum(strata[i] == "object3" for i in part) for part in split.validation]
        assert max(counts) - min(counts) <= 1  # strata are balanced inside too
    check(found, 160)


def test_shuffle_splits_with_groups_keep_them_together() -> None:
    groups = [i // 5 for i in range(100)]
    for split in shuffle_splits(100, splits=3, train_size=0.8, inner_folds=4, seed=0, groups=groups):
        owners = [{groups[i] for i in part} for part in (split.test, *split.validation)]
        assert sum(map(len, owners)) == 20


def test_restricted_splits_are_the_same_stimuli_renumbered() -> None:
    kept = np.array([0, 2, 3, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 18, 19])
    for before, after in zip(kfold(20, folds=3, seed=0), restrict(kfold(20, folds=3, seed=0), kept), strict=True):
        assert set(kept[after.test]) == set(before.test) & set(kept)
        assert set(kept[after.train]) == set(before.train) & set(kept)


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda: kfold(20, folds=2, seed=0), "cv.folds=2"),
        (lambda: leave_one_out(1), "1 stimulus cannot be held out"),
        (lambda: kfold(7, folds=5, seed=0), "7 stimuli cannot be split into 5 folds"),
        (lambda: kfold(20, folds=5, seed=0, groups=["a"] * 10 + ["b"] * 10), "2 group.* for 5 folds"),
        (lambda: kfold(10, folds=3, seed=0, groups=["a"] * 8 + ["b", "c"]), "group 'a' holds 8 of 10"),
        (
            lambda: shuffle_splits(40, splits=2, train_size=1.5, inner_folds=3, seed=0),
            "train_size=1.5",
        ),
        (
            lambda: shuffle_splits(5, splits=2, train_size=0.9, inner_folds=5, seed=0),
            "5 stimuli are too few",
        ),
        (
            lambda: shuffle_splits(40, splits=2, train_size=0.9, inner_folds=3, seed=0, strata=["a"] * 39 + ["b"]),
            "stratum 'b' has one",
        ),
        (lambda: restrict(kfold(20, folds=5, seed=0), np.arange(4)), "fewer than 2 responses"),
    ],
)
def test_refuses(attempt, words: str) -> None:  # type: ignore[no-untyped-def]  # any function without arguments
    with pytest.raises(InputError, match=words):
        attempt()
