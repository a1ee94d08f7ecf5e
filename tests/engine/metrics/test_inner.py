import numpy as np

from engine.metrics.inner import first_inner
from engine.splits import kfold, shuffle_splits


def test_the_first_inner_fold_is_held_out_of_the_training_part() -> None:
    splits = shuffle_splits(40, splits=3, train_size=0.8, inner_folds=4, seed=0)
    found = first_inner(splits)
    assert found is not None
    for outer, inner in zip(splits, found, strict=True):
        assert outer.validation is not None
        assert inner.validation is not None
        np.testing.assert_array_equal(inner.test, outer.validation[0])
        np.testing.assert_array_equal(np.sort(np.concatenate([inner.train, inner.test])), outer.train)
        for own, other in zip(inner.validation, outer.validation[1:], strict=True):
            np.testing.assert_array_equal(own, other)


def test_one_fold_that_is_left_becomes_leave_one_out() -> None:
    splits = kfold(12, folds=3, seed=0)
    found = first_inner(splits)
    assert found is not None
    for number, (outer, inner) in enumerate(zip(splits, found, strict=True)):
        assert outer.validation is not None
        assert inner.validation is None
        np.testing.assert_array_equal(inner.train, splits[2 if number < 2 else 1].test)


def test_leave_one_out_has_no_inner_folds() -> None:
    assert first_inner([split._replace(validation=None) for split in kfold(12, folds=3, seed=0)]) is None
