import jax
import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from benchmarks import agreement, data
from benchmarks.data import Size
from benchmarks.peers import himalaya, position, scikit_learn
from benchmarks.rows.leave_one_out import random_splits
from benchmarks.rows.ridge import layer_summary
from engine.splits import kfold

SIZE = Size(60, 90, 5)


@pytest.fixture
def problem() -> data.Problem:
    return data.problem(SIZE)


def test_refits_are_scikit_learns(problem: data.Problem) -> None:
    x, y = (array.astype(np.float64) for array in problem)
    train, test = np.arange(45), np.arange(45, 60)
    wanted = Ridge(3.0).fit(x[train], y[train]).predict(x[test])
    np.testing.assert_allclose(agreement.predict(x @ x.T, y, train, test, 3.0), wanted, rtol=1e-9)


def test_leave_one_out_refits_are_scikit_learns(problem: data.Problem) -> None:
    x, y = (array.astype(np.float64) for array in problem)
    (split,) = random_splits(len(x), 1)
    _, found = agreement.refit(x @ x.T, y, split, 3.0, "mse")
    wanted = RidgeCV([3.0], alpha_per_target=True).fit(x[split.train], y[split.train]).best_score_
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_peers_agree_with_the_reference(problem: data.Problem) -> None:
    grid = data.penalties(problem.features, 4)
    folds, splits = kfold(len(problem.features), folds=5, seed=0), random_splits(len(problem.features), 2)
    kernel = data.exact_kernel(problem.features)
    for found, design, selection in (
        (himalaya("numpy", "precomputed", None, *problem, folds, grid), folds, "r2"),
        (himalaya("numpy", "linear", 3, *problem, folds, grid), folds, "r2"),
        (scikit_learn(*problem, splits, grid), splits, "mse"),
    ):
        exact = agreement.exact_scores(kernel, problem.responses, design, grid, selection)
        assert exact.refits < agreement.REFITTED
        assert agreement.grade(exact, *found).holds


@pytest.mark.parametrize(("worst", "holds"), [(0.9 * agreement.MAX_R, True), (1.1 * agreement.MAX_R, False)])
def test_one_target_that_is_off_is_seen(worst: float, holds: bool) -> None:
    pearson, selection = np.zeros((2, 3, 5)), np.stack([np.ones((3, 5)), np.zeros((3, 5))])
    chosen, found = np.zeros((3, 5), int), np.zeros((3, 5))
    found[1, 2] = worst
    graded = agreement.grade(agreement.Exact(pearson, selection, 0.0), chosen, found)
    assert (graded.holds, graded.other_penalties, graded.median_r) == (holds, 0, 0)
    assert graded.worst_r == pytest.approx(worst)


def test_another_penalty_is_only_allowed_within_rounding() -> None:
    for lost, holds in ((0.1 * agreement.ROUNDING, True), (10 * agreement.ROUNDING, False)):
        exact = agreement.Exact(np.zeros((2, 1, 4)), np.stack([np.zeros((1, 4)), np.full((1, 4), -lost)]), 0.0)
        graded = agreement.grade(exact, np.array([[0, 0, 1, 0]]), np.zeros((1, 4)))
        assert (graded.other_penalties, graded.holds) == (1, holds)
        assert graded.lost == pytest.approx(lost)


def test_penalties_are_found_in_the_grid() -> None:
    grid = np.logspace(-3, 3, 7)
    np.testing.assert_array_equal(position(grid, (grid[[6, 0, 3]] * (1 + 1e-6)).astype(np.float32)), [6, 0, 3])


def test_penalties_are_relative_to_the_centred_kernel(problem: data.Problem) -> None:
    x = problem.features.astype(np.float64) - problem.features.mean(axis=0)
    assert data.penalties(problem.features, 3)[1] == pytest.approx(np.trace(x @ x.T) / len(x), rel=1e-5)


def test_the_layer_summary_leaves_the_features_alone() -> None:
    features = np.random.default_rng(0).standard_normal((330, 40)).astype(np.float32)
    before = features.copy()
    gram = layer_summary(features).gram
    np.testing.assert_array_equal(features, before)
    centre = np.eye(330) - 1 / 330
    wide = features.astype(np.float64)
    np.testing.assert_allclose(centre @ gram @ centre, centre @ (wide @ wide.T) @ centre, atol=1e-3)
    assert jax.config.jax_enable_x64 is False
