"""Banded ridge against himalaya and scikit-learn refits, in float64."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from himalaya.kernel_ridge import generate_dirichlet_samples, solve_multiple_kernel_ridge_random_search
from himalaya.scoring import correlation_score, l2_neg_loss, r2_score
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, RepeatedKFold, ShuffleSplit

from engine.errors import InputError
from engine.solvers import banded_search, cholesky, fold_weights
from engine.solvers.banded import BandedFit, fit_banded, simplex_weightings
from engine.solvers.fit import fit_kernel
from engine.solvers.scoring import Selection

GRID = np.logspace(-1, 3, 5)
SCORES = {"mse": l2_neg_loss, "r2": r2_score, "pearson": correlation_score}
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)


class Problem(NamedTuple):
    spaces: list[np.ndarray]
    responses: np.ndarray

    @property
    def kernels(self) -> np.ndarray:
        return np.stack([x @ x.T for x in self.spaces])


def problem(n: int = 46, units: tuple[int, ...] = (30, 90, 12), targets: int = 8, seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    spaces = [rng.standard_normal((n, p)) * np.arange(1, p + 1) ** -0.5 + 3 for p in units]
    amount = rng.exponential(size=(len(units), targets)) ** 2
    y = sum(x @ (rng.standard_normal((x.shape[1], targets)) * a) for x, a in zip(spaces, amount, strict=True))
    return Problem(spaces, y + 3 * rng.standard_normal((n, targets)) + 7)


def held_out(splitter: Any, n: int = 46) -> list[np.ndarray]:
    return [test for _, test in splitter.split(np.arange(n))]


FIVE = KFold(5, shuffle=True, random_state=0)
WEIGHTINGS = simplex_weightings(3, 12, 0)


def from_himalaya(data: Problem, splitter: Any, weightings: np.ndarray, score: str = "mse", **options: Any) -> Any:
    return solve_multiple_kernel_ridge_random_search(
        data.kernels,
        data.responses,
        n_iter=weightings,
        alphas=GRID,
        cv=splitter,
        score_func=SCORES[score],
        fit_intercept=True,
        return_weights="dual",
        return_alphas=True,
        progress_bar=False,
        **options,
    )


def assert_same(found: BandedFit, wanted: Any) -> None:
    deltas, dual, scores, alphas, intercept = wanted
    close(found.penalty, alphas)
    close(found.weights / found.penalty, np.exp(deltas))
    close(found.selection, scores, rtol=1e-8, atol=1e-8)  # himalaya adds 1e-10 log(alpha)
    # Its coefficients are of exp(deltas) K, ours of weights K.
    close(found.weights[:, None] * found.coefficients, np.exp(deltas)[:, None] * dual)
    close(found.intercept, intercept, rtol=1e-7)


def assert_equal(found: BandedFit, wanted: BandedFit) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        close(ours, theirs, rtol=1e-7, atol=1e-8)


def predict(fit: BandedFit, kernels: np.ndarray) -> np.ndarray:
    return (fit.weights[:, None] * (kernels @ fit.coefficients)).sum(axis=0) + fit.intercept


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


def solve(data: Problem, weightings: np.ndarray = WEIGHTINGS, grid: np.ndarray = GRID) -> BandedFit:
    return fit_banded(data.kernels, data.responses, held_out(FIVE), weightings, grid)


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


@pytest.mark.parametrize("limits", [{"CPU_WIDTH": 20}, {"CPU_WIDTH": 20, "HELD": 1}, {"FITTED": 3}])
def test_many_targets(limits: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    data = problem(targets=50)
    labels = np.arange(50) % 7
    wanted = [
        fit_banded(data.kernels, data.responses, held_out(FIVE), WEIGHTINGS, GRID, groups=g) for g in (None, labels)
    ]
    for name, value in limits.items():
        monkeypatch.setattr(banded_search, name, value)
    for groups, plain in zip((None, labels), wanted, strict=True):
        assert_equal(fit_banded(data.kernels, data.responses, held_out(FIVE), WEIGHTINGS, GRID, groups=groups), plain)


@pytest.mark.parametrize("held", [2**30, 1])
@pytest.mark.parametrize("validation", [held_out(FIVE), None], ids=["folds", "leave-one-out"])
def test_penalties_side_by_side(
    validation: list[np.ndarray] | None, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = problem()
    plain = fit_banded(data.kernels, data.responses, validation, WEIGHTINGS, GRID)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # the way of accelerators, on a CPU
    monkeypatch.setattr(banded_search, "HELD", held)
    assert_equal(fit_banded(data.kernels, data.responses, validation, WEIGHTINGS, GRID), plain)


@pytest.mark.parametrize(("lapack", "pivots"), [(9, 5), (16, 2), (200, 5)])
def test_weights_are_those_of_refits(lapack: int, pivots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cholesky, "LAPACK", lapack)
    monkeypatch.setattr(cholesky, "PIVOTS", pivots)
    fold_weights.residual_inverse.clear_cache()
    fold_weights.fold_weights.clear_cache()
    data = problem(n=41)
    x = np.hstack(data.spaces)
    inverse = fold_weights.residual_inverse(jnp.asarray(x @ x.T), jnp.asarray(2.0), True)
    for start, size in ((0, 20), (20, 11), (40, 1)):
        weights = fold_weights.fold_weights(inverse, start, size)
        rest = fold_weights.outside(np.arange(41), start, size)
        assert set(rest) == set(range(41)) - set(range(start, start + size))
        # What is predicted from each single response of 1 are the weights.
        model = Ridge(2.0, solver="svd").fit(x[rest], np.eye(len(rest)))
        close(weights, model.predict(x[start : start + size]), rtol=1e-7)
    fold_weights.residual_inverse.clear_cache()
    fold_weights.fold_weights.clear_cache()


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


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_float32_errors_stay_at_those_of_cholesky_factorisation(exponent: float) -> None:
    rng = np.random.default_rng(3)
    n = 400  # more than one pivot
    spaces = [rng.standard_normal((n, 500)) * np.arange(1, 501) ** -exponent for _ in range(2)]
    y = sum(spaces) @ rng.standard_normal((500, 5))
    y = (y + 0.3 * y.std(axis=0) * rng.standard_normal(y.shape)).astype(np.float32)
    kernels = np.stack([x @ x.T for x in spaces]).astype(np.float32)
    folds, even = np.array_split(np.arange(n), 4), np.full((1, 2), 0.5)
    norm = np.linalg.norm(kernels.sum(axis=0) / 2)
    for relative in (1e-4, 1e-2, 1.0, 1e2):
        penalty = relative * np.trace(kernels.sum(axis=0)) / 2 / n
        exact, found = (fit_banded(k, y, folds, even, [penalty]) for k in (kernels.astype(np.float64), kernels))
        bound = np.finfo(np.float32).eps * (norm / penalty + 32)
        errors = np.abs(np.sqrt(-found.selection) - np.sqrt(-exact.selection))  # of the root mean squared residual
        assert errors.max() < bound * np.abs(y).max()
        assert np.abs(predict(found, kernels) - predict(exact, kernels)).max() < bound * np.abs(y).max()


def test_candidates_that_cannot_be_factorised_are_refused() -> None:
    data = problem(units=(4, 60, 3))
    kernels = data.kernels.astype(np.float32)
    with (
        pytest.raises(InputError, match=r"weighting \[0\.\d+ .*\] at penalty 1e-12 broke down: .* in float32; raise"),
        pytest.warns(RuntimeWarning, match=r"12 of 24 candidates have penalties below .* float32, up to"),
    ):
        fit_banded(kernels, data.responses, held_out(FIVE), WEIGHTINGS * [1, 0, 1], [1e3, 1e-12])


def test_all_candidates_compile_once() -> None:
    programs: list[Any] = [
        fold_weights.residual_inverse,
        fold_weights.fold_weights,
        banded_search.fold_scores,
        banded_search.summed,
        banded_search.multiplied,
    ]
    for program in programs:
        program.clear_cache()
    for seed in range(3):
        data = problem(n=45, seed=seed)
        fit_banded(data.kernels, data.responses, held_out(FIVE, 45), simplex_weightings(3, 5 + seed, seed), GRID)
    assert [program._cache_size() for program in programs] == [1] * len(programs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"kernels": np.ones((46, 46))},
            r"one square kernel .* for each feature space, got .* \(46, 46\)",
        ),
        ({"kernels": np.ones((3, 46, 5))}, "one square kernel"),
        ({"kernels": np.ones((0, 46, 46))}, "one square kernel"),
        ({"kernels": np.ones((3, 46, 46), int)}, "real numbers for each feature space, got int"),
        ({"kernels": np.full((3, 46, 46), np.nan)}, "kernels hold NaN"),
        ({"responses": np.ones((45, 2))}, "responses of 46 stimuli x targets"),
        ({"responses": np.full((46, 2), np.nan)}, "responses hold NaN or infinity"),
        ({"validation": []}, "no inner fold"),
        ({"validation": [np.array([46])]}, "lie in 0 ... 45"),
        ({"validation": [np.arange(45)]}, "1 stimuli are left"),
        ({"weightings": np.ones(3)}, r"candidates x 3 spaces, got shape \(3,\)"),
        ({"weightings": np.ones((4, 2))}, r"candidates x 3 spaces, got shape \(4, 2\)"),
        ({"weightings": np.zeros((0, 3))}, r"got shape \(0, 3\)"),
        ({"weightings": np.zeros((1, 3))}, "not all 0"),
        ({"weightings": np.array([[1.0, -0.5, 0.5]])}, "positive numbers or 0"),
        ({"weightings": np.array([[1.0, np.nan, 0.5]])}, "positive numbers or 0"),
        ({"penalties": [0.0]}, "positive numbers"),
        ({"selection": "r3"}, "unknown selection score 'r3'"),
        ({"groups": np.zeros(3)}, "one group label for each of 8 targets"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Any], message: str) -> None:
    data = problem()
    arguments = {
        "kernels": data.kernels,
        "responses": data.responses,
        "validation": held_out(FIVE),
        "weightings": WEIGHTINGS,
        "penalties": GRID,
    }
    with pytest.raises(InputError, match=message):
        fit_banded(**arguments | change)


@pytest.mark.parametrize("arguments", [(0, 5, 0), (2, 0, 0), (2, 5, 0, ()), (2, 5, 0, (0.0,)), (2, 5, 0, (np.inf,))])
def test_bad_draws_are_refused(arguments: Any) -> None:
    with pytest.raises(InputError, match="at least one space, one weighting and positive concentrations"):
        simplex_weightings(*arguments)
