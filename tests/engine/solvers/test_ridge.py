"""Nested ridge against scikit-learn refits and himalaya, in float64."""

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np
import pytest
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.scoring import r2_score
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn import metrics
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit

from engine.errors import InputError
from engine.solvers import elimination, inverse, ridge
from engine.solvers.folds import Split
from engine.solvers.ridge import NestedRidge, nested_ridge, penalty_scale

GRID = np.logspace(-2, 3, 6)
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def problem(
    n: int = 45, units: int = 80, targets: int = 6, seed: int = 0, noise: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, units)) * np.arange(1, units + 1) ** -0.5 + 3
    y = x @ rng.standard_normal((units, targets)) + noise * rng.standard_normal((n, targets)) + 7
    return x, y


def each_other(tests: list[np.ndarray]) -> list[Split]:
    """Every fold with the other folds as its inner folds."""
    everything = np.sort(np.concatenate(tests))
    return [
        Split(np.setdiff1d(everything, test), test, tuple(t for j, t in enumerate(tests) if j != i))
        for i, test in enumerate(tests)
    ]


def kfold(n: int, folds: int, seed: int = 0) -> list[Split]:
    cut = KFold(folds, shuffle=True, random_state=seed).split(np.arange(n))
    return each_other([test for _, test in cut])


def grouped(n: int, folds: int) -> list[Split]:
    groups = np.repeat(np.arange(n), np.arange(n) % 7 + 1)[:n]
    return each_other([test for _, test in GroupKFold(folds).split(np.arange(n), groups=groups)])


def shuffled(n: int, repeats: int, inner: int) -> list[Split]:
    splits = []
    for train, test in ShuffleSplit(repeats, train_size=0.8, random_state=1).split(np.arange(n)):
        parts = KFold(inner, shuffle=True, random_state=2).split(train)
        splits.append(Split(train, test, tuple(train[part] for _, part in parts)))
    return splits


def fixed(n: int) -> list[Split]:
    """One split that leaves stimuli unused."""
    order = np.random.default_rng(3).permutation(n)
    train, test = order[: n // 2], order[n // 2 : n - 5]
    return [Split(train, test, tuple(np.array_split(train, 3)))]


def score(kind: str, measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    if kind == "r2":
        return metrics.r2_score(measured, predicted, multioutput="raw_values")
    if kind == "mse":
        return -metrics.mean_squared_error(measured, predicted, multioutput="raw_values")
    return np.array([pearsonr(a, b).statistic for a, b in zip(measured.T, predicted.T, strict=True)])


def refitted(
    x: np.ndarray,
    y: np.ndarray,
    splits: list[Split],
    grid: np.ndarray,
    kind: str = "r2",
    groups: np.ndarray | None = None,
) -> NestedRidge:
    """The definition: one scikit-learn fit for every fold, inner fold and penalty, on the features themselves."""
    shape = (len(splits), y.shape[1])
    pearson, r2, selection = (np.zeros(shape) for _ in range(3))
    index = np.zeros(shape, int)
    predictions = []
    for fold, split in enumerate(splits):
        test = np.sort(split.test)
        inner = np.zeros((len(grid), y.shape[1]))
        outer = np.zeros((len(grid), len(test), y.shape[1]))
        for a, penalty in enumerate(grid):
            for part in split.validation:
                rest = np.setdiff1d(split.train, part)
                model = Ridge(alpha=penalty, solver="svd").fit(x[rest], y[rest])
                inner[a] += score(kind, y[part], model.predict(x[part])) / len(split.validation)
            outer[a] = Ridge(alpha=penalty, solver="svd").fit(x[split.train], y[split.train]).predict(x[test])
        choice = inner.copy()
        for label in [] if groups is None else np.unique(groups):
            choice[:, groups == label] = choice[:, groups == label].mean(axis=1, keepdims=True)
        index[fold] = choice.argmax(axis=0)
        at = index[fold], slice(None), np.arange(y.shape[1])
        predicted = outer[at].T
        predictions.append(predicted)
        selection[fold] = inner[index[fold], np.arange(y.shape[1])]
        pearson[fold], r2[fold] = score("pearson", y[test], predicted), score("r2", y[test], predicted)
    return NestedRidge(pearson, r2, index, selection, predictions, 0.0)


def assert_same(found: NestedRidge, wanted: NestedRidge) -> None:
    np.testing.assert_array_equal(found.penalty_index, wanted.penalty_index)
    close(found.pearson, wanted.pearson)
    close(found.r2, wanted.r2)
    close(found.selection, wanted.selection)
    assert (found.predictions is None) == (wanted.predictions is None)
    for ours, theirs in zip(found.predictions or [], wanted.predictions or [], strict=True):
        close(ours, theirs, rtol=1e-8)


DESIGNS = {
    "3 folds": kfold(45, 3),
    "5 uneven folds": kfold(43, 5),
    "7 folds": kfold(43, 7),
    "grouped": grouped(45, 4),
    "shuffled": shuffled(45, 3, 4),
    "fixed": fixed(45),
}


@pytest.mark.parametrize("splits", DESIGNS.values(), ids=DESIGNS)
def test_equals_refitting_every_fold(splits: list[Split]) -> None:
    x, y = problem()
    found = nested_ridge(x @ x.T, y, splits, GRID, predictions=True)
    wanted = refitted(x, y, splits, GRID)
    assert len(np.unique(wanted.penalty_index)) > 1
    assert_same(found, wanted)


@pytest.mark.parametrize("kind", ["pearson", "mse"])
@pytest.mark.parametrize("splits", [kfold(45, 5), shuffled(45, 2, 3)], ids=["kfold", "shuffled"])
def test_other_selection_scores(kind: ridge.Selection, splits: list[Split]) -> None:
    x, y = problem(seed=1)
    found = nested_ridge(x @ x.T, y, splits, GRID, selection=kind, predictions=True)
    assert_same(found, refitted(x, y, splits, GRID, kind))


@pytest.mark.parametrize("splits", [kfold(45, 4), shuffled(45, 2, 3)], ids=["kfold", "shuffled"])
def test_groups_of_targets_share_a_penalty(splits: list[Split]) -> None:
    x, y = problem(noise=9.0, seed=2)
    labels = np.array(["IT", "V4", "IT", "V4", "V4", "V1"])
    found = nested_ridge(x @ x.T, y, splits, GRID, groups=labels, predictions=True)
    assert_same(found, refitted(x, y, splits, GRID, groups=labels))
    assert (found.penalty_index != nested_ridge(x @ x.T, y, splits, GRID).penalty_index).any()


def test_chooses_as_himalaya_does() -> None:
    x, y = problem(n=60, targets=40, noise=5.0, seed=3)
    splits = kfold(60, 5)
    found = nested_ridge(x @ x.T, y, splits, GRID, predictions=True)
    assert found.predictions is not None
    for fold, split in enumerate(splits):
        inner = [
            (np.searchsorted(split.train, np.setdiff1d(split.train, v)), np.searchsorted(split.train, v))
            for v in split.validation
        ]
        model = KernelRidgeCV(
            alphas=GRID, cv=inner, fit_intercept=True, solver_params={"score_func": r2_score, "progress_bar": False}
        ).fit(x[split.train], y[split.train])
        np.testing.assert_array_equal(GRID[found.penalty_index[fold]], model.best_alphas_)
        close(found.predictions[fold], model.predict(x[split.test]), rtol=1e-6)
        close(found.r2[fold], r2_score(y[split.test], model.predict(x[split.test])), rtol=1e-6)


@pytest.mark.parametrize("splits", [kfold(45, 5), shuffled(45, 2, 3)], ids=["kfold", "shuffled"])
def test_identities(splits: list[Split]) -> None:
    x, y = problem()
    plain = nested_ridge(x @ x.T, y, splits, GRID)

    moved = x + 10 * np.random.default_rng(5).standard_normal(x.shape[1])
    assert_same(nested_ridge(moved @ moved.T, y - 100, splits, GRID), plain)
    assert_same(nested_ridge(9 * x @ x.T, 2 * y, splits, 9 * GRID), plain)

    order = np.random.default_rng(6).permutation(y.shape[1])
    permuted = nested_ridge(x @ x.T, y[:, order], splits, GRID)
    assert_same(permuted, plain._replace(**{k: getattr(plain, k)[:, order] for k in plain._fields[:4]}))

    one = nested_ridge(x @ x.T, y[:, 2:3], splits, GRID)
    assert_same(one, plain._replace(**{k: getattr(plain, k)[:, 2:3] for k in plain._fields[:4]}))


@pytest.mark.parametrize("design", [kfold, lambda n, k: shuffled(n, 2, k)], ids=["kfold", "shuffled"])
def test_duplicated_stimuli_and_few_units(design) -> None:  # type: ignore[no-untyped-def]
    x, y = problem(n=40, units=7, seed=4)
    x[10:20], x[20] = x[:10], x[21]
    splits = design(40, 4)
    assert_same(nested_ridge(x @ x.T, y, splits, GRID), refitted(x, y, splits, GRID))


@settings(max_examples=12, deadline=None)
@given(
    n=st.integers(12, 40),
    folds=st.integers(3, 8),
    units=st.integers(1, 60),
    targets=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_any_shape(n: int, folds: int, units: int, targets: int, seed: int) -> None:
    x, y = problem(max(n, 3 * folds), units, targets, seed)
    splits = kfold(len(x), folds, seed)
    found, wanted = nested_ridge(x @ x.T, y, splits, GRID), refitted(x, y, splits, GRID)
    close(found.selection, wanted.selection)
    same = found.penalty_index == wanted.penalty_index
    close(np.where(same, found.r2, 0), np.where(same, wanted.r2, 0), rtol=1e-7)
    assert same.all()


@pytest.mark.parametrize("splits", [kfold(45, 5), shuffled(45, 2, 3)], ids=["kfold", "shuffled"])
def test_blocks_of_targets_change_nothing(splits: list[Split], monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = problem(targets=50)
    whole = nested_ridge(x @ x.T, y, splits, GRID, predictions=True)
    monkeypatch.setattr(ridge, "TARGETS_AT_ONCE", 20)
    assert_same(nested_ridge(x @ x.T, y, splits, GRID, predictions=True), whole)
    assert_same(whole, refitted(x, y, splits, GRID))


@pytest.mark.parametrize("kind", ["r2", "pearson", "mse"])
@pytest.mark.parametrize("design", ["kfold", "shuffled"])
def test_constant_targets(kind: ridge.Selection, design: str) -> None:
    x, y = problem()
    splits = kfold(45, 5) if design == "kfold" else shuffled(45, 3, 4)
    y[:, 0] = 1 / 3  # everywhere
    y[splits[1].test, 1] = 0.1  # in one test part
    y[splits[2].train, 2] = 0.1  # in one train part
    found = nested_ridge(x @ x.T, y, splits, GRID, selection=kind, predictions=True)
    assert np.isfinite(found.selection).all()
    nan = np.isnan(found.pearson)
    assert nan[:, 0].all()
    assert nan[1, 1]
    assert nan[2, 2]
    assert not nan[:, 3:].any()
    np.testing.assert_array_equal(np.isnan(found.r2), np.ptp([y[s.test] for s in splits][0], axis=0) == 0) if (
        False
    ) else None
    constant = np.stack([np.ptp(y[s.test], axis=0) == 0 for s in splits])
    np.testing.assert_array_equal(np.isnan(found.r2), constant)
    assert found.predictions is not None
    close(found.predictions[2][:, 2], 0.1)
    rest = nested_ridge(x @ x.T, y[:, 3:], splits, GRID, selection=kind)
    np.testing.assert_array_equal(found.penalty_index[:, 3:], rest.penalty_index)
    close(found.pearson[:, 3:], rest.pearson)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("design", ["kfold", "shuffled"])
def test_float32_errors_stay_at_the_resolution(exponent: float, design: str) -> None:
    rng = np.random.default_rng(8)
    x = rng.standard_normal((200, 400)) * np.arange(1, 401) ** -exponent
    y = x @ rng.standard_normal((400, 8)) + 0.3 * rng.standard_normal((200, 8))
    splits = kfold(200, 5) if design == "kfold" else shuffled(200, 3, 4)
    kernel = (x @ x.T).astype(np.float32)
    exact_kernel = kernel.astype(np.float64)
    for relative in (1e-3, 1e-1, 1e1, 1e3, 1e6):
        grid = np.array([relative * penalty_scale(kernel)])
        exact = nested_ridge(exact_kernel, y, splits, grid)
        found = nested_ridge(kernel, y, splits, grid)
        bound = 20 * (found.resolution / grid[0] + np.finfo(np.float32).eps)
        np.testing.assert_allclose(found.pearson, exact.pearson, atol=bound)
        np.testing.assert_allclose(found.selection, exact.selection, atol=bound * 20)


def test_penalties_a_float32_kernel_cannot_resolve() -> None:
    x, y = problem(n=60, units=4)
    kernel = (x @ x.T).astype(np.float32)
    assert 1e-9 < nested_ridge(kernel, y, kfold(60, 5), [1.0]).resolution
    with pytest.raises(InputError, match=r"penalty 1e-12 broke down: .*float32"):
        nested_ridge(kernel, y, kfold(60, 5), [1e-12])


def test_resolution_bounds_the_largest_eigenvalue() -> None:
    x, y = problem()
    largest = np.linalg.eigvalsh(np.cov(x, bias=True, ddof=0))[-1] if False else None
    del largest
    centred = x - x.mean(axis=0)
    eigenvalues = np.linalg.eigvalsh(centred @ centred.T)
    found = nested_ridge(x @ x.T, y, kfold(45, 3), [1.0]).resolution / np.finfo(np.float64).eps
    assert eigenvalues[-1] <= found <= eigenvalues.sum()


def test_penalty_scale_is_the_mean_variance_summed_over_units() -> None:
    x, _ = problem()
    close(penalty_scale(x @ x.T), x.var(axis=0).sum())


@pytest.mark.parametrize("program", ["elimination", "inverse"])
def test_one_compilation_for_all_layers_and_penalties(program: str) -> None:
    jitted = {"elimination": [elimination.factor_and_score], "inverse": [inverse.fold_scores, inverse.project]}
    splits = kfold(46, 5) if program == "elimination" else shuffled(46, 3, 4)
    for function in jitted[program]:
        function.clear_cache()
    for seed in range(3):
        x, y = problem(n=46, seed=seed)
        nested_ridge(x @ x.T, y, splits, GRID)
    assert [function._cache_size() for function in jitted[program]] == [1] * len(jitted[program])


def test_memory_does_not_hold_all_penalties_or_folds() -> None:
    n, targets, sizes = 600, 511, (120,) * 5
    kernel, responses = jax.ShapeDtypeStruct((n, n), np.float64), jax.ShapeDtypeStruct((n, targets), np.float64)
    penalty = jax.ShapeDtypeStruct((), np.float64)
    program = elimination.factor_and_score.lower(kernel, penalty, responses, sizes, "r2").compile()
    used = program.memory_analysis().temp_size_in_bytes
    assert used < 8 * (6 * n * n + 12 * n * targets)


def test_fewer_stimuli_than_folds_are_refused() -> None:
    x, y = problem(n=4)
    empty = each_other([np.array([0, 1]), np.array([2]), np.array([3]), np.array([], int)])
    with pytest.raises(InputError, match=r"fold 1 of 4, inner fold 3: .*more of them than stimuli"):
        nested_ridge(x @ x.T, y, empty, GRID)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"responses": np.ones((44, 3))}, r"responses of 45 stimuli x targets, got shape \(44, 3\)"),
        ({"responses": np.full((45, 3), np.nan)}, "responses hold NaN"),
        ({"kernel": np.full((45, 45), np.nan)}, "the kernel holds NaN"),
        ({"kernel": np.ones((45, 3))}, "wanted a square kernel"),
        ({"kernel": np.ones((45, 45), int)}, "real numbers, got int"),
        ({"penalties": [1.0, 0.0]}, "positive numbers"),
        ({"penalties": []}, "positive numbers"),
        ({"selection": "r3"}, "unknown selection score 'r3'; did you mean r2"),
        ({"groups": np.zeros(5)}, "one group label for each of 6 targets"),
        ({"splits": []}, "no cross-validation fold"),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], message: str) -> None:
    x, y = problem()
    arguments: dict[str, object] = {
        "kernel": x @ x.T, "responses": y, "splits": kfold(45, 3), "penalties": GRID, "selection": "r2", "groups": None
    }  # fmt: skip
    arguments |= change
    rest = {key: arguments.pop(key) for key in ("selection", "groups")}
    with pytest.raises(InputError, match=message):
        nested_ridge(*arguments.values(), **rest)  # type: ignore[arg-type]
