"""Fewer units than stimuli: the primal side equals the dual one and scikit-learn refits."""

import numpy as np
import pytest

from engine.errors import InputError
from engine.solvers import primal
from engine.solvers.folds import Split
from engine.solvers.ridge import nested_ridge, nested_ridge_features
from engine.solvers.routes import prefers_primal
from engine.solvers.scoring import Selection
from tests.engine.solvers.refits import GRID, assert_same, fixed, grouped, kfold, problem, refitted, shuffled

DESIGNS = {
    "kfold": kfold(45, 3),
    "grouped, uneven": grouped(45, 4),
    "shuffled": shuffled(45, 3, 3),
    "fixed": fixed(45),
    "leave-one-out": [Split(split.train, split.test, None) for split in shuffled(45, 2, 2)],
}


@pytest.mark.parametrize("splits", DESIGNS.values(), ids=DESIGNS)
@pytest.mark.parametrize("units", [1, 9])
def test_equals_refitting_every_fold(splits: list[Split], units: int) -> None:
    x, y = problem(units=units, noise=3.0)
    primal.factor_fold.clear_cache()
    found = nested_ridge_features(x, y, splits, GRID, predictions=True)
    assert primal.factor_fold._cache_size() > 0
    assert_same(found, refitted(x, y, splits, GRID))


@pytest.mark.parametrize("kind", ["pearson", "mse"])
def test_equals_the_dual_side_with_groups_and_missing_responses(kind: Selection) -> None:
    x, y = problem(units=9, noise=3.0)
    y[4:9, 2] = np.nan
    labels = np.array([0, 1, 0, 1, 0, 1])
    options = {"selection": kind, "groups": labels, "predictions": True}
    found = nested_ridge_features(x, y, kfold(45, 3), GRID, **options)
    assert_same(found, nested_ridge(x @ x.T, y, kfold(45, 3), GRID, **options))


def test_many_units_are_solved_on_the_dual_side() -> None:
    x, y = problem(units=80)
    assert not prefers_primal(*x.shape)
    found = nested_ridge_features(x, y, kfold(45, 3), GRID, predictions=True)
    assert_same(found, refitted(x, y, kfold(45, 3), GRID))


def test_features_that_cannot_be_used() -> None:
    _, y = problem(units=9)
    for bad in (np.full((45, 3), np.nan), np.ones((45, 3), int), np.ones((45, 3), np.float16), np.ones(45)):
        with pytest.raises(InputError, match="features"):
            nested_ridge_features(bad, y, kfold(45, 3), GRID)
