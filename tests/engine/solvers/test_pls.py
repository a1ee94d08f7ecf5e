"""Kernel PLS against scikit-learn fitted on the features of every train part, in float64."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.cross_decomposition import PLSRegression
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold

from engine.errors import InputError
from engine.solvers import nipals
from engine.solvers.folds import Split
from engine.solvers.pls import KernelPLS, fit_pls, kernel_pls

close = partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-8)
solve = partial(kernel_pls, components=6, predictions=True)


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def problem(
    n: int = 40, units: int = 70, targets: int = 6, seed: int = 0, noise: float = 3.0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, units)) * np.arange(1, units + 1) ** -0.5 + 3
    y = x @ rng.standard_normal((units, targets)) + noise * rng.standard_normal((n, targets)) + 7
    return x, y


def kfold(n: int, folds: int) -> list[Split]:
    cut = KFold(folds, shuffle=True, random_state=0).split(np.arange(n))
    return [Split(train, test, None) for train, test in cut]


EVEN = kfold(40, 4)
DESIGNS = {
    "even": EVEN,
    "uneven, some unused": [*kfold(37, 7), Split(np.arange(3, 20), np.arange(25, 37), None)],
    "mostly test": [Split(split.test, split.train, None) for split in kfold(40, 3)],
}


def refitted(x: np.ndarray, y: np.ndarray, splits: list[Split], components: int = 6) -> KernelPLS:
    """The definition: one scikit-learn fit for every split."""
    found = []
    for split in splits:
        test = np.sort(split.test)
        model = PLSRegression(components, scale=False).fit(x[split.train], y[split.train])
        predicted = model.predict(x[test]).reshape(len(test), -1)
        r = [pearsonr(*columns).statistic for columns in zip(y[test].T, predicted.T, strict=True)]
        found.append((r, r2_score(y[test], predicted, multioutput="raw_values"), model.n_iter_, predicted))
    r, r2, iterations, predictions = zip(*found, strict=True)
    return KernelPLS(np.array(r), np.array(r2), np.array(iterations), list(predictions))


def assert_same(found: KernelPLS, wanted: KernelPLS) -> None:
    np.testing.assert_array_equal(found.iterations, wanted.iterations)
    close(found.pearson, wanted.pearson)
    close(found.r2, wanted.r2)
    for ours, theirs in zip(found.predictions or [], wanted.predictions or [], strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("splits", DESIGNS.values(), ids=DESIGNS)
def test_equals_scikit_learn_in_every_split(splits: list[Split]) -> None:
    x, y = problem()
    wanted = refitted(x, y, splits)
    assert wanted.iterations.min() > 2
    assert_same(solve(x @ x.T, y, splits), wanted)


@pytest.mark.parametrize("targets", [1, 60])
def test_any_number_of_targets(targets: int) -> None:
    x, y = problem(targets=targets)
    wanted = refitted(x, y, EVEN)
    assert (wanted.iterations.max() == 1) == (targets == 1)
    assert_same(solve(x @ x.T, y, EVEN), wanted)


def test_25_components_with_slow_convergence() -> None:
    x, y = problem(n=120, units=300, targets=30)
    splits = kfold(120, 2)
    wanted = refitted(x, y, splits, 25)
    assert wanted.iterations.max() > 100
    assert_same(kernel_pls(x @ x.T, y, splits, predictions=True), wanted)


@settings(max_examples=10, deadline=None, derandomize=True, phases=[Phase.generate])
@given(
    units=st.integers(3, 60),
    targets=st.sampled_from([2, 30]),  # every shape compiles
    noise=st.sampled_from([0.0, 1.0, 30.0]),
    seed=st.integers(0, 99),
)
def test_any_problem(units: int, targets: int, noise: float, seed: int) -> None:
    x, y = problem(24, units, targets, seed, noise)
    splits = kfold(24, 3)
    with jax.enable_x64(True):
        assert_same(solve(x @ x.T, y, splits, components=3), refitted(x, y, splits, 3))


def test_splits_solved_in_several_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = problem()
    splits = DESIGNS["uneven, some unused"]
    wanted = solve(x @ x.T, y, splits)
    monkeypatch.setattr(nipals, "HELD", 3 * (6 * 6 + 4 * 6 * 37))
    before = nipals._components._cache_size()
    assert_same(solve(x @ x.T, y, splits), wanted)
    assert nipals._components._cache_size() == before + 1


def test_offsets_and_scales_change_nothing_else() -> None:
    x, y = problem()
    plain = solve(x @ x.T, y, EVEN)
    moved = x + 10 * np.random.default_rng(5).standard_normal(x.shape[1])
    assert_same(solve(moved @ moved.T, y, EVEN), plain)
    assert_same(solve(100 * x @ x.T, y, EVEN), plain)
    changed = plain._replace(predictions=[0.5 * p - 100 for p in plain.predictions or []])
    assert_same(solve(x @ x.T, 0.5 * y - 100, EVEN), changed)


@pytest.mark.parametrize("targets", [6, 60])
def test_order_of_targets_and_stimuli(targets: int) -> None:
    x, y = problem(targets=targets)
    plain = solve(x @ x.T, y, EVEN)
    rng = np.random.default_rng(6)
    order = np.concatenate([[0], 1 + rng.permutation(targets - 1)])  # the iteration starts from the first one
    wanted = KernelPLS(
        plain.pearson[:, order], plain.r2[:, order], plain.iterations, [p[:, order] for p in plain.predictions or []]
    )
    assert_same(solve(x @ x.T, y[:, order], EVEN), wanted)
    stimuli = rng.permutation(len(x))
    splits = [Split(*(np.argsort(stimuli)[part] for part in split[:2]), None) for split in EVEN]
    moved = solve((x @ x.T)[np.ix_(stimuli, stimuli)], y[stimuli], splits)
    assert_same(moved._replace(predictions=None), plain._replace(predictions=None))


@pytest.mark.parametrize("targets", [1, 6, 60])
def test_features_of_low_rank_are_used_up(targets: int) -> None:
    x, y = problem(units=4, targets=targets)
    found, wanted = solve(x @ x.T, y, EVEN), refitted(x, y, EVEN, 4)
    np.testing.assert_array_equal(found.iterations[:, :4], wanted.iterations)
    np.testing.assert_array_equal(found.iterations[:, 4:], 0)
    close(found.r2, wanted.r2, rtol=1e-6)
    for ours, theirs in zip(found.predictions or [], wanted.predictions or [], strict=True):
        close(ours, theirs, rtol=1e-6)


def test_responses_that_are_used_up() -> None:
    x, _ = problem()
    y = x[:, :1] * np.array([1.0, -2.0, 3.0, 4.0, 0.5, 0.0]) + np.arange(6)
    x[:, 1:] = 3  # one component is all there is
    found = solve(x @ x.T, y, EVEN)
    np.testing.assert_array_equal(found.iterations[:, 1:], 0)
    close(found.r2[:, :5], 1)


def test_constant_targets() -> None:
    x, y = problem()
    y[:, 0] = 1 / 3  # everywhere
    y[EVEN[1].test, 2] = 0.1
    y[EVEN[2].train, 1] = 0.1
    found = solve(x @ x.T, y, EVEN)
    tests, trains = (
        np.stack([np.ptp(y[part], axis=0) == 0 for part in parts])
        for parts in ([split.test for split in EVEN], [split.train for split in EVEN])
    )
    np.testing.assert_array_equal(np.isnan(found.r2), tests)
    np.testing.assert_array_equal(np.isnan(found.pearson), tests | trains)
    for fold, split in enumerate(EVEN):
        model = PLSRegression(6, scale=False).fit(x[split.train], y[split.train])
        assert found.predictions is not None
        close(found.predictions[fold], model.predict(x[np.sort(split.test)]))
        np.testing.assert_array_equal(found.iterations[fold], model.n_iter_)


@pytest.mark.parametrize("targets", [6, 60])
def test_nothing_to_explain(targets: int) -> None:
    x, y = problem(targets=targets)
    y[:] = 1 / 3
    found = solve(x @ x.T, y, EVEN)
    assert found.predictions is not None
    np.testing.assert_array_equal(found.iterations, 0)
    close(np.concatenate(found.predictions), 1 / 3)
    level = solve(np.ones((40, 40)), problem()[1], EVEN)
    np.testing.assert_array_equal(level.iterations, 0)


@pytest.mark.parametrize(("targets", "units"), [(1, 70), (60, 70), (6, 4)])
def test_fit_equals_scikit_learn(targets: int, units: int) -> None:
    x, y = problem(units=units, targets=targets)
    new = problem(n=11, units=units, seed=9)[0]
    model = PLSRegression(4, scale=False).fit(x, y)
    found = fit_pls(x @ x.T, y, components=4)
    close(new @ x.T @ found.coefficients + found.intercept, model.predict(new).reshape(11, -1))
    close(x.T @ found.coefficients, model.coef_.T)
    np.testing.assert_array_equal(found.iterations, model.n_iter_)


def test_fit_of_features_of_low_rank() -> None:
    x, y = problem(units=3)
    model = PLSRegression(3, scale=False).fit(x, y)
    close(x @ x.T @ (found := fit_pls(x @ x.T, y, components=4)).coefficients + found.intercept, model.predict(x))


def test_iteration_can_be_stopped_early_or_late() -> None:
    x, y = problem()
    with pytest.warns(ConvergenceWarning):
        model = PLSRegression(4, scale=False, max_iter=3).fit(x, y)
    found = fit_pls(x @ x.T, y, components=4, max_iter=3)
    np.testing.assert_array_equal(found.iterations, model.n_iter_)
    close(x.T @ found.coefficients, model.coef_.T)
    model = PLSRegression(4, scale=False, tol=1e-14).fit(x, y)
    found = fit_pls(x @ x.T, y, components=4, tol=1e-14)
    np.testing.assert_array_equal(found.iterations, model.n_iter_)
    close(x.T @ found.coefficients, model.coef_.T)


def test_float32() -> None:
    x, y = problem()
    centred = x - x.mean(axis=0)
    found = solve((centred @ centred.T).astype(np.float32), y, EVEN)
    wanted = refitted(x, y, EVEN)
    assert found.pearson.dtype == np.float32
    np.testing.assert_allclose(found.pearson, wanted.pearson, atol=1e-4)
    for ours, theirs in zip(found.predictions or [], wanted.predictions or [], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.ptp(y))


def test_all_layers_compile_once() -> None:
    programs = [nipals._share, nipals._components]
    before = [program._cache_size() for program in programs]
    for seed in range(3):
        x, y = problem(n=32, seed=seed, units=30 + seed)
        solve(x @ x.T, y, kfold(32, 4))
    assert [program._cache_size() for program in programs] == [size + 1 for size in before]


def test_memory_is_that_of_a_few_kernels() -> None:
    n, targets, splits, components = 1000, 40, 10, 25
    shape = partial(jax.ShapeDtypeStruct, dtype=np.float64)
    bordered = shape((n, targets + 1))
    shared = nipals.Shared(shape((n, n)), bordered, bordered, shape((targets + 1,) * 2), (shape(()), shape(())))
    masks = [jax.ShapeDtypeStruct((splits, size), kind) for size, kind in ((n, bool), (100, int), (100, bool))]
    program = nipals._components.lower(
        shared, *masks, shape((splits, targets)), 500, 1e-6, inside=False, count=components
    )
    assert program.compile().memory_analysis().temp_size_in_bytes < 2 * 8 * n * n


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"responses": np.ones((39, 3))}, r"responses of 40 stimuli x targets, got shape \(39, 3\)"),
        ({"responses": np.ones(40)}, r"responses of 40 stimuli x targets, got shape \(40,\)"),
        ({"responses": np.full((40, 6), np.nan)}, "responses hold NaN"),
        ({"kernel": np.full((40, 40), np.nan)}, "the kernel holds NaN"),
        ({"kernel": np.ones((40, 3))}, "wanted a square kernel"),
        ({"components": 0}, "wanted 1 to 30 components, .*; got 0"),
        ({"components": 2.5}, "wanted 1 to 30 components, .*; got 2.5"),
        ({"responses": np.full((40, 6), "a")}, "responses as real numbers, got <U1"),
        ({"components": 31}, "wanted 1 to 30 components, .*; got 31"),
        ({"splits": []}, "no cross-validation fold"),
        ({"splits": [Split(np.arange(9), np.arange(8, 12), None)]}, "both in train and test"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Any], message: str) -> None:
    x, y = problem()
    arguments: dict[str, Any] = {"kernel": x @ x.T, "responses": y, "splits": EVEN, "components": 6}
    with pytest.raises(InputError, match=message):
        kernel_pls(**(arguments | change))
