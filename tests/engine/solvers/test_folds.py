"""Checks of index sets, and which designs let fits be shared."""

import numpy as np
import pytest
from sklearn.model_selection import KFold

from engine.errors import InputError
from engine.solvers.folds import Split, check_splits, shared_partition


def kfold(n: int, folds: int) -> list[Split]:
    tests = [test for _, test in KFold(folds, shuffle=True, random_state=0).split(np.arange(n))]
    return [
        Split(np.setdiff1d(np.arange(n), test), test, tuple(t for j, t in enumerate(tests) if j != i))
        for i, test in enumerate(tests)
    ]


def shuffle_inner(split: Split) -> Split:
    return split._replace(validation=split.validation[::-1])


def test_inner_folds_that_are_the_other_folds_are_found_in_any_order() -> None:
    splits = kfold(11, 4)
    parts = shared_partition(check_splits([shuffle_inner(split) for split in splits], 11))
    assert parts is not None
    for part, split in zip(parts, splits, strict=True):
        np.testing.assert_array_equal(part, split.test)


@pytest.mark.parametrize(
    "splits",
    [
        kfold(12, 4)[:3],
        [s._replace(validation=s.validation[:2]) for s in kfold(12, 4)],
        [s._replace(validation=tuple(np.array_split(s.train, 3))) for s in kfold(12, 4)],
        [s._replace(validation=(s.validation[0],) * 3) for s in kfold(12, 4)],
        [
            s._replace(train=s.train[1:], validation=tuple(np.setdiff1d(v, s.train[:1]) for v in s.validation))
            for s in kfold(12, 4)
        ],
        kfold(12, 4)[:1] * 4,
    ],
    ids=["a fold left out", "an inner fold left out", "other inner folds", "one repeated", "smaller train", "repeated"],
)
def test_other_designs_share_nothing(splits: list[Split]) -> None:
    assert shared_partition(check_splits(splits, 12)) is None


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (Split(np.arange(5), np.arange(4, 8), (np.arange(2),)), "fold 1 of 1: 1 stimuli are both in train and test"),
        (Split(np.arange(5), np.arange(5, 8), ()), "no inner fold"),
        (Split(np.arange(5), np.arange(5, 8), (np.arange(5, 6),)), "inner fold 1: .* must come from the train part"),
        (Split(np.arange(5), np.arange(5, 8), (np.arange(4),)), "1 stimuli are left to fit on"),
        (Split(np.arange(5), np.arange(5, 9), (np.arange(2),)), "distinct and lie in 0 ... 7"),
        (Split(np.array([0, 0, 1]), np.arange(5, 8), (np.arange(1),)), "distinct and lie in 0 ... 7"),
        (Split(np.arange(5) > 2, np.arange(5, 8), (np.arange(2),)), "wanted stimulus indices .integers., got bool"),
    ],
)
def test_index_sets_that_cannot_be_used(split: Split, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_splits([split], 8)


def test_no_fold_at_all() -> None:
    with pytest.raises(InputError, match="no cross-validation fold"):
        check_splits([], 8)
