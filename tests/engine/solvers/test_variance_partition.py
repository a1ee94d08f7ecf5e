"""Nested banded ridge and its variance partition against himalaya and direct refits, in float64."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from himalaya.scoring import correlation_score, r2_score, r2_score_split
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, ShuffleSplit

from engine.errors import InputError
from engine.solvers.banded import simplex_weightings
from engine.solvers.folds import Split
from engine.solvers.ridge import nested_ridge
from engine.solvers.variance_partition import (
    NestedBanded,
    nested_banded,
    product_measure,
    remaining_weightings,
    unique_variance,
)

GRID = np.logspace(-1, 3, 5)
WEIGHTINGS = simplex_weightings(3, 8, 0)
close = partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-9)


def problem(n: int = 48, targets: int = 12) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    spaces = [rng.standard_normal((n, p)) * np.arange(1, p + 1) ** -0.5 + 3 for p in (30, 60, 9)]
    amount = rng.exponential(size=(3, targets)) ** 2
    y = sum(x @ (rng.standard_normal((x.shape[1], targets)) * a) for x, a in zip(spaces, amount, strict=True))
    return spaces, y + 2 * rng.standard_normal(y.shape) + 7


def grams(spaces: list[np.ndarray]) -> np.ndarray:
    return np.stack([x @ x.T for x in spaces])


def designs(splitter: Any, n: int = 48) -> list[Split]:
    splits = []
    for train, test in splitter.split(np.arange(n)):
        inner = KFold(4, shuffle=True, random_state=1).split(train)
        splits.append(Split(train, test, tuple(train[part] for _, part in inner)))
    return splits


SPLITS = designs(KFold(3, shuffle=True, random_state=0))


def himalaya_model(kernels: np.ndarray, y: np.ndarray, split: Split, weightings: np.ndarray) -> MultipleKernelRidgeCV:
    train = np.sort(split.train)
    inner = [
        (np.searchsorted(train, np.setdiff1d(train, part)), np.searchsorted(train, part))
        for part in split.validation or ()
    ]
    options = {"n_iter": weightings, "alphas": GRID, "score_func": r2_score, "progress_bar": False}
    model = MultipleKernelRidgeCV(kernels="precomputed", solver_params=options, cv=inner, fit_intercept=True)
    return model.fit(kernels[:, train[:, None], train], y[train])


@pytest.mark.parametrize("splits", [SPLITS, designs(ShuffleSplit(2, test_size=9, random_state=0))])
def test_scores_are_those_of_himalaya(splits: list[Split]) -> None:
    spaces, y = problem()
    kernels = grams(spaces)
    found = nested_banded(kernels, y, splits, WEIGHTINGS, GRID)
    assert len(np.unique(found.weighting_index)) > 3
    for fold, split in enumerate(splits):
        model = himalaya_model(kernels, y, split, WEIGHTINGS)
        train, test = np.sort(split.train), np.sort(split.test)
        predicted = model.predict(kernels[:, test[:, None], train])
        weights, penalty = WEIGHTINGS[found.weighting_index[fold]].T, GRID[found.penalty_index[fold]]
        close(weights / penalty, np.exp(model.deltas_))
        close(found.pearson[fold], correlation_score(y[test], predicted))
        close(found.r2[fold], r2_score(y[test], predicted))
        close(found.selection[fold], model.cv_scores_.max(axis=0))


def test_one_space_is_nested_ridge() -> None:
    spaces, y = problem()
    found = nested_banded(grams(spaces[:1]), y, SPLITS, np.ones((1, 1)), GRID)
    wanted = nested_ridge(grams(spaces)[0], y, SPLITS, GRID)
    for name in ("pearson", "r2", "penalty_index", "selection"):
        close(getattr(found, name), getattr(wanted, name))
    close(found.product[:, 0] + found.mean_r2, wanted.r2)


def test_leave_one_out_inside() -> None:
    spaces, y = problem()
    splits = [split._replace(validation=None) for split in SPLITS]
    found = nested_banded(grams(spaces[:1]), y, splits, np.ones((1, 1)), GRID, selection="mse")
    wanted = nested_ridge(grams(spaces)[0], y, splits, GRID, selection="mse")
    close(found.pearson, wanted.pearson)
    close(found.selection, wanted.selection)


def test_product_measure_is_himalayas() -> None:
    rng = np.random.default_rng(1)
    measured, parts = rng.standard_normal((30, 5)), rng.standard_normal((3, 30, 5))
    level = measured.mean(axis=0)
    found = product_measure(measured, parts, level)
    close(found, r2_score_split(measured - level, parts))
    close(found.sum(axis=0), r2_score(measured, parts.sum(axis=0) + level))


def test_product_measure_adds_up_and_is_that_of_refits() -> None:
    spaces, y = problem()
    weighting, penalty = np.array([0.5, 0.2, 0.3]), 5.0
    found = nested_banded(grams(spaces), y, SPLITS, weighting[None], [penalty])
    close(found.product.sum(axis=1) + found.mean_r2, found.r2)
    for fold, split in enumerate(SPLITS):
        # Features centred over the train part, so that each space's part has mean 0 there.
        features = [w**0.5 * (x - x[split.train].mean(axis=0)) for w, x in zip(weighting, spaces, strict=True)]
        model = Ridge(penalty, solver="svd").fit(np.hstack([x[split.train] for x in features]), y[split.train])
        coefficients = np.split(model.coef_.T, np.cumsum([x.shape[1] for x in features])[:-1])
        parts = np.stack([x[split.test] @ c for x, c in zip(features, coefficients, strict=True)])
        level = y[split.train].mean(axis=0)
        close(found.product[fold], product_measure(y[split.test], parts, level))
        close(found.mean_r2[fold], r2_score(y[split.test], np.broadcast_to(level, y[split.test].shape)))


def test_product_measure_does_not_depend_on_offsets() -> None:
    spaces, y = problem()
    plain = nested_banded(grams(spaces), y, SPLITS, WEIGHTINGS, GRID)
    moved = nested_banded(grams([x + 5 for x in spaces]), 2 * y - 100, SPLITS, WEIGHTINGS, GRID)
    for ours, theirs in zip(moved, plain, strict=True):
        close(ours, theirs, rtol=1e-6)


def test_a_space_of_weight_zero_explains_nothing() -> None:
    spaces, y = problem()
    found = nested_banded(grams(spaces), y, SPLITS, WEIGHTINGS * [1, 0, 1], GRID)
    assert not found.product[:, 1].any()
    assert found.product[:, [0, 2]].all()


def assert_same(found: NestedBanded, wanted: NestedBanded) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        close(ours, theirs)


def test_unique_variance_is_what_refits_lose() -> None:
    spaces, y = problem()
    kernels = grams(spaces)
    found = unique_variance(kernels, y, SPLITS, WEIGHTINGS, GRID)
    assert_same(found.joint, nested_banded(kernels, y, SPLITS, WEIGHTINGS, GRID))
    for space in range(3):
        rest = np.delete(kernels, space, axis=0)
        weightings = np.delete(WEIGHTINGS, space, axis=1)
        weightings = weightings / weightings.sum(axis=1, keepdims=True)
        for fold, split in enumerate(SPLITS):
            joint, without = (
                r2_score(
                    y[np.sort(split.test)],
                    himalaya_model(own, y, split, tried).predict(own[:, np.sort(split.test)[:, None], split.train]),
                )
                for own, tried in ((kernels, WEIGHTINGS), (rest, weightings))
            )
            close(found.unique[fold, space], joint - without, atol=1e-8)
            close(found.without[space].r2[fold], without)


def test_a_copied_space_has_no_unique_variance() -> None:
    spaces, y = problem()
    # One penalty, and weightings that give the copies the same sum: with or without the copy the model is the same.
    weightings = np.array([[0.5, 0.5]])
    found = unique_variance(grams([spaces[0], spaces[0]]), y, SPLITS, weightings, GRID)
    close(found.unique, 0)
    close(found.joint.product[:, 0], found.joint.product[:, 1])


def test_remaining_weightings_are_those_of_the_other_spaces() -> None:
    given = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.6, 0.4, 0.0], [0.1, 0.9, 0.0]])
    close(remaining_weightings(given, 0), [[0.375, 0.625], [1, 0]])
    close(remaining_weightings(3 * given[:, :2], 0), [[1.5], [3.0]])  # sums 1.5, 3, 3, 3; the second gave nothing
    # What is left of a Dirichlet draw is one of the other spaces: uniform over their simplex here.
    rest = remaining_weightings(simplex_weightings(3, 4000, 0, (1.0,)), 1)[:, 0]
    close(np.quantile(rest, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.03)


def test_constant_targets() -> None:
    spaces, y = problem()
    y[:, 0] = 1 / 3
    y[SPLITS[1].test, 1] = 0.1
    found = unique_variance(grams(spaces), y, SPLITS, WEIGHTINGS, GRID)
    constant = np.zeros((3, 12), bool)
    constant[:, 0] = constant[1, 1] = True
    for values in (found.joint.r2, found.joint.pearson, found.joint.mean_r2):
        np.testing.assert_array_equal(np.isnan(values), constant)
    for values in (found.joint.product, found.unique):
        np.testing.assert_array_equal(np.isnan(values), np.broadcast_to(constant[:, None], (3, 3, 12)))


def test_groups_share_their_choice() -> None:
    spaces, y = problem()
    found = nested_banded(grams(spaces), y, SPLITS, WEIGHTINGS, GRID, groups=np.arange(12) % 2)
    for index in (found.weighting_index, found.penalty_index):
        assert (index[:, 2:] == index[:, :-2]).all()


@pytest.mark.parametrize(
    ("responses", "message"),
    [
        (np.ones((49, 2)), r"responses of 48 stimuli x targets, got shape \(49, 2\)"),
        (np.ones((40, 2)), r"responses of 48 stimuli x targets, got shape \(40, 2\)"),
        (np.where(np.arange(48)[:, None] == SPLITS[0].test[0], np.nan, 1.0), "responses hold NaN or infinity"),
    ],
)
def test_bad_responses_are_refused(responses: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        nested_banded(grams(problem()[0]), responses, SPLITS[:1], WEIGHTINGS, GRID)


@pytest.mark.parametrize(
    ("spaces", "weightings", "message"),
    [
        (1, np.ones((1, 1)), "with and without a space; 1 space was given"),
        (2, np.array([[1.0, 0.0]]), "gives anything to another space than number 0"),
        (2, np.ones((1, 3)), "candidates x 2 spaces"),
    ],
)
def test_bad_input_is_refused(spaces: int, weightings: np.ndarray, message: str) -> None:
    given, y = problem()
    with pytest.raises(InputError, match=message):
        unique_variance(grams(given[:spaces]), y, SPLITS, weightings, GRID)
