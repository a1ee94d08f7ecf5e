"""Banded ridge against himalaya and scikit-learn refits, in float64."""

from typing import Any

import jax
import numpy as np
import pytest
from himalaya.kernel_ridge import generate_dirichlet_samples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, RepeatedKFold, ShuffleSplit

from engine.solvers.banded import fit_banded, simplex_weightings
from engine.solvers.fit import fit_kernel
from engine.solvers.scoring import Selection
from tests.engine.solvers.banded_problems import (
    FIVE,
    GRID,
    SCORES,
    WEIGHTINGS,
    Problem,
    assert_equal,
    assert_same,
    close,
    from_himalaya,
    held_out,
    predict,
    problem,
    solve,
)


@pytest.mark.parametrize(("spaces", "count", "seed"), [(1, 3, 0), (2, 7, 1), (3, 100, 2), (5, 8, 3)])
@pytest.mark.parametrize("concentration", [(0.1, 1.0), (1.0,), (0.3, 2.0, 5.0)])
def test_weightings_are_himalayas(spaces: int, count: int, seed: int, concentration: tuple[float, ...]) -> None:
    wanted = generate_dirichlet_samples(count, spaces, list(concentration), random_state=seed)
    found = simplex_weightings(spaces, count, seed, concentration)
    np.testing.assert_array_equal(found, wanted)
    close(found.sum(axis=1), 1)


@pytest.mark.parametrize("score", SCORES)
def test_chooses_and_fits_as_himalaya_does(score: Selection) -> None:
    data = problem(targets=40)
    found = fit_banded(data.kernels, data.responses, held_out(FIVE), WEIGHTINGS, GRID, selection=score)
    assert len(np.unique(found.weighting_index)) > 3
    assert len(np.unique(found.penalty_index)) > 2
    assert_same(found, from_himalaya(data, FIVE, WEIGHTINGS, score))


@pytest.mark.parametrize(
    "splitter",
    [
        KFold(2),
        KFold(9),
        RepeatedKFold(n_splits=3, n_repeats=2, random_state=0),
        ShuffleSplit(3, test_size=11, random_state=0),
    ],
    ids=["2 folds", "9 uneven folds", "repeated", "shuffled"],
)
def test_any_folds(splitter: Any) -> None:
    data = problem(seed=1)
    found = fit_banded(data.kernels, data.responses, held_out(splitter), WEIGHTINGS, GRID)
    assert_same(found, from_himalaya(data, splitter, WEIGHTINGS))


def test_leave_one_out() -> None:
    data = problem(seed=2)
    found = fit_banded(data.kernels, data.responses, None, WEIGHTINGS, GRID)
    assert_same(found, from_himalaya(data, KFold(46), WEIGHTINGS))


def test_targets_of_a_group_share_the_candidate() -> None:
    data = problem()
    labels = np.array(["V4", "IT", "V4", "IT", "IT", "V1", "V4", "IT"])
    found = fit_banded(data.kernels, data.responses, held_out(FIVE), WEIGHTINGS, GRID, groups=labels)
    own = fit_banded(data.kernels, data.responses, held_out(FIVE), WEIGHTINGS, GRID)
    assert (found.weighting_index != own.weighting_index).any()
    for label in np.unique(labels):
        together = np.flatnonzero(labels == label)
        scores = np.stack(
            [
                fit_banded(data.kernels, data.responses, held_out(FIVE), WEIGHTINGS, [a]).selection[:, together].mean(1)
                for a in GRID
            ],
            axis=1,
        )
        first, second = np.unravel_index(scores.argmax(), scores.shape)
        assert set(found.weighting_index[together]) == {first}
        assert set(found.penalty_index[together]) == {second}
        close(found.selection[:, together], np.repeat(scores.max(axis=1)[:, None], len(together), axis=1))


@pytest.mark.parametrize("intercept", [True, False])
def test_equals_ridge_on_scaled_features(intercept: bool) -> None:
    data, new = problem(), problem(seed=9)
    weighting = np.array([0.5, 0.2, 0.3])
    x, other = (
        np.hstack([w**0.5 * space for w, space in zip(weighting, side.spaces, strict=True)]) for side in (data, new)
    )
    found = fit_banded(data.kernels, data.responses, held_out(FIVE), weighting[None], [20.0], fit_intercept=intercept)
    wanted = Ridge(20.0, fit_intercept=intercept, solver="svd").fit(x, data.responses)
    between = np.stack([b @ a.T for a, b in zip(data.spaces, new.spaces, strict=True)])
    close(predict(found, between), wanted.predict(other), rtol=1e-8)
    scores = []
    for test in held_out(FIVE):
        train = np.setdiff1d(np.arange(len(x)), test)
        fold = Ridge(20.0, fit_intercept=intercept, solver="svd").fit(x[train], data.responses[train])
        scores.append(-((data.responses[test] - fold.predict(x[test])) ** 2).mean(axis=0))
    close(found.selection[0], np.mean(scores, axis=0))


@pytest.mark.parametrize("validation", [held_out(FIVE), None], ids=["folds", "leave-one-out"])
def test_one_space_is_ridge(validation: list[np.ndarray] | None) -> None:
    data = problem(units=(60,))
    found = fit_banded(data.kernels, data.responses, validation, np.ones((1, 1)), GRID)
    wanted = fit_kernel(data.kernels[0], data.responses, GRID, validation=validation)
    np.testing.assert_array_equal(found.penalty_index, wanted.penalty_index)
    close(found.coefficients, wanted.coefficients)
    close(found.intercept, wanted.intercept)
    close(found.selection[0], wanted.selection.max(axis=0))


def test_spaces_have_no_order() -> None:
    data, order = problem(), [2, 0, 1]
    plain = solve(data)
    moved = solve(data._replace(spaces=[data.spaces[i] for i in order]), WEIGHTINGS[:, order])
    assert_equal(moved, plain._replace(weights=plain.weights[order]))


def test_a_larger_space_with_less_weight_is_the_same() -> None:
    data, scale = problem(), np.array([4.0, 0.5, 1.0])
    plain = solve(data)
    scaled = data._replace(spaces=[s**0.5 * x for s, x in zip(scale, data.spaces, strict=True)])
    assert_equal(solve(scaled, WEIGHTINGS / scale), plain._replace(weights=plain.weights / scale[:, None]))
    larger = solve(data._replace(spaces=[3 * x for x in data.spaces]), grid=9 * GRID)
    assert_equal(larger, plain._replace(penalty=9 * plain.penalty, coefficients=plain.coefficients / 9))


def test_a_space_of_weight_zero_has_no_say() -> None:
    data = problem()
    weightings = WEIGHTINGS * [1, 1, 0]
    two = solve(data._replace(spaces=data.spaces[:2]), weightings[:, :2])
    assert_equal(solve(data, weightings), two._replace(weights=np.vstack([two.weights, np.zeros(8)])))


def test_offsets_change_the_intercept_only() -> None:
    data = problem()
    plain = solve(data)
    moved = solve(Problem([x + 5 for x in data.spaces], data.responses - 100))
    names = ("weights", "penalty", "weighting_index", "penalty_index", "selection", "coefficients")
    for name in names:
        close(getattr(moved, name), getattr(plain, name), rtol=1e-7, atol=1e-8)


def test_ties_go_to_the_first() -> None:
    data = problem()
    found = solve(data, np.repeat(WEIGHTINGS[:2], 2, axis=0), np.repeat(GRID, 2))
    assert not (found.weighting_index % 2).any()
    assert not (found.penalty_index % 2).any()


@pytest.mark.parametrize("score", SCORES)
def test_constant_targets(score: Selection) -> None:
    data, folds = problem(), held_out(FIVE)
    y = data.responses.copy()
    y[:, 0] = 1 / 3
    y[folds[0], 1] = 0.1
    found = fit_banded(data.kernels, y, folds, WEIGHTINGS, GRID, selection=score)
    assert all(np.isfinite(array).all() for array in found)
    close(predict(found, data.kernels)[:, 0], 1 / 3)
    plain = fit_banded(data.kernels, data.responses, folds, WEIGHTINGS, GRID, selection=score)
    close(found.coefficients[:, 2:], plain.coefficients[:, 2:])


@settings(max_examples=3, deadline=None, derandomize=True, phases=[Phase.generate])  # every shape compiles
@given(
    n=st.integers(9, 40),
    units=st.lists(st.integers(1, 50), min_size=1, max_size=4),
    targets=st.integers(1, 5),
    folds=st.integers(2, 4),
    seed=st.integers(0, 99),
)
def test_any_shape(n: int, units: list[int], targets: int, folds: int, seed: int) -> None:
    data = problem(n, tuple(units), targets, seed)
    weightings = simplex_weightings(len(units), 3, seed)
    splitter = KFold(folds, shuffle=True, random_state=seed)
    with jax.enable_x64(True):
        found = fit_banded(data.kernels, data.responses, held_out(splitter, n), weightings, GRID)
    assert_same(found, from_himalaya(data, splitter, weightings))
