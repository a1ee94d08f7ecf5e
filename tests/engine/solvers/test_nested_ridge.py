"""Nested ridge against scikit-learn refits and himalaya, in float64."""

from functools import partial
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.scoring import r2_score
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.solvers import elimination, inverse, targets
from engine.solvers.folds import Split
from engine.solvers.nested import NestedRidge
from engine.solvers.ridge import nested_ridge, penalty_scale
from engine.solvers.scoring import Selection
from engine.solvers.targets import target_mesh
from tests.engine.solvers.refits import (
    GRID,
    assert_same,
    close,
    each_other,
    fixed,
    grouped,
    kfold,
    problem,
    refitted,
    shuffled,
)

ELIMINATED = kfold(45, 3)  # nested k-fold: fits share elimination steps
INVERTED = shuffled(45, 3, 3)  # any other design: fits read blocks of one inverse
both = pytest.mark.parametrize("splits", [ELIMINATED, INVERTED], ids=["kfold", "shuffled"])
DESIGNS = {
    "kfold": ELIMINATED,
    "7 folds": kfold(43, 7),
    "grouped, uneven": grouped(45, 4),
    "shuffled": INVERTED,
    "fixed": fixed(45),
}
solve = partial(nested_ridge, predictions=True)


@pytest.mark.parametrize("splits", DESIGNS.values(), ids=DESIGNS)
def test_equals_refitting_every_fold(splits: list[Split]) -> None:
    x, y = problem()
    found, wanted = solve(x @ x.T, y, splits, GRID), refitted(x, y, splits, GRID)
    assert len(np.unique(wanted.penalty_index)) > 1
    assert_same(found, wanted)


@pytest.mark.parametrize("kind", ["pearson", "mse"])
@both
def test_other_selection_scores(kind: Selection, splits: list[Split]) -> None:
    x, y = problem(seed=1)
    assert_same(solve(x @ x.T, y, splits, GRID, selection=kind), refitted(x, y, splits, GRID, kind))


@both
def test_groups_of_targets_share_a_penalty(splits: list[Split]) -> None:
    x, y = problem(noise=9.0, seed=2)
    labels = np.array(["IT", "V4", "IT", "V4", "V4", "V1"])
    found = solve(x @ x.T, y, splits, GRID, groups=labels)
    assert_same(found, refitted(x, y, splits, GRID, groups=labels))
    assert (found.penalty_index != solve(x @ x.T, y, splits, GRID).penalty_index).any()


def test_chooses_as_himalaya_does() -> None:
    x, y = problem(n=58, targets=40, noise=5.0, seed=3)
    splits = kfold(58, 5)
    found = solve(x @ x.T, y, splits, GRID)
    assert found.predictions is not None
    for fold, split in enumerate(splits):
        inner = [
            (np.searchsorted(split.train, np.setdiff1d(split.train, v)), np.searchsorted(split.train, v))
            for v in split.validation
        ]
        solver = {"score_func": r2_score}
        model = KernelRidgeCV(alphas=GRID, cv=inner, fit_intercept=True, solver_params=solver)
        predicted = model.fit(x[split.train], y[split.train]).predict(x[split.test])
        close(GRID[found.penalty_index[fold]], model.best_alphas_)
        close(found.predictions[fold], predicted, rtol=1e-6)
        close(found.r2[fold], r2_score(y[split.test], predicted), rtol=1e-6)


def columns(result: NestedRidge, chosen: np.ndarray) -> NestedRidge:
    assert result.predictions is not None
    return NestedRidge(
        *(array[:, chosen] for array in result[:4]),
        predictions=[p[:, chosen] for p in result.predictions],
        resolution=result.resolution,
    )


@both
def test_feature_offsets_and_scales_change_nothing(splits: list[Split]) -> None:
    x, y = problem()
    plain = solve(x @ x.T, y, splits, GRID)
    moved = x + 10 * np.random.default_rng(5).standard_normal(x.shape[1])
    assert_same(solve(moved @ moved.T, y, splits, GRID), plain)
    assert_same(solve(9 * x @ x.T, y, splits, 9 * GRID), plain)


@both
def test_response_offsets_and_scales_change_the_predictions_only(splits: list[Split]) -> None:
    x, y = problem()
    plain = solve(x @ x.T, y, splits, GRID)
    assert plain.predictions is not None
    changed = plain._replace(predictions=[2 * p - 100 for p in plain.predictions])
    assert_same(solve(x @ x.T, 2 * y - 100, splits, GRID), changed)


@pytest.mark.parametrize("factor", [1e-13, 1e10])
@pytest.mark.parametrize("kind", ["r2", "pearson", "mse"])
def test_the_unit_of_responses_does_not_matter_in_float32(kind: Selection, factor: float) -> None:
    x, y = problem()
    kernel = (x @ x.T).astype(np.float32)
    plain, scaled = (
        nested_ridge(kernel, given.astype(np.float32), ELIMINATED, GRID, selection=kind) for given in (y, factor * y)
    )
    np.testing.assert_array_equal(scaled.penalty_index, plain.penalty_index)
    np.testing.assert_allclose(scaled.pearson, plain.pearson, atol=1e-4)
    np.testing.assert_allclose(scaled.r2, plain.r2, atol=1e-4)


@both
def test_targets_do_not_meet(splits: list[Split]) -> None:
    x, y = problem()
    plain = solve(x @ x.T, y, splits, GRID)
    for chosen in (np.random.default_rng(6).permutation(y.shape[1]), np.array([2])):
        assert_same(solve(x @ x.T, y[:, chosen], splits, GRID), columns(plain, chosen))


@both
def test_duplicated_stimuli_and_fewer_units_than_stimuli(splits: list[Split]) -> None:
    x, y = problem(units=7, seed=4)
    x[10:20], x[20] = x[:10], x[21]
    assert_same(solve(x @ x.T, y, splits, GRID), refitted(x, y, splits, GRID))


@settings(max_examples=3, deadline=None, derandomize=True, phases=[Phase.generate])  # every shape compiles
@given(
    n=st.integers(12, 40),
    units=st.integers(1, 60),
    targets=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_any_shape(n: int, units: int, targets: int, seed: int) -> None:
    x, y = problem(n, units, targets, seed)
    splits = kfold(n, 3, seed)
    with jax.enable_x64(True):
        found = solve(x @ x.T, y, splits, GRID[:1])
    assert_same(found, refitted(x, y, splits, GRID[:1]))


@pytest.mark.parametrize("at_once", [512, 20], ids=["one block", "blocks"])
@both
def test_many_targets(splits: list[Split], at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = problem(targets=50)
    monkeypatch.setattr(targets, "CPU_WIDTH", at_once)
    assert_same(solve(x @ x.T, y, splits, GRID), refitted(x, y, splits, GRID))


@pytest.mark.parametrize("kind", ["r2", "pearson"])
@both
def test_constant_targets(kind: Selection, splits: list[Split]) -> None:
    x, y = problem()
    y[:, 0] = 1 / 3  # everywhere
    y[splits[1].test, 1] = 0.1  # in one test part
    y[splits[2].train, 2] = 0.1  # in one train part
    found = solve(x @ x.T, y, splits, GRID, selection=kind)
    assert found.predictions is not None
    assert np.isfinite(found.selection).all()
    close(found.predictions[2][:, 2], 0.1)
    tests = np.stack([np.ptp(y[split.test], axis=0) == 0 for split in splits])
    trains = np.stack([np.ptp(y[split.train], axis=0) == 0 for split in splits])
    assert tests.sum() > len(splits)
    assert trains.sum() > len(splits)
    np.testing.assert_array_equal(np.isnan(found.r2), tests)
    np.testing.assert_array_equal(np.isnan(found.pearson), tests | trains)
    varied = np.arange(3, 6)
    assert_same(columns(found, varied), columns(solve(x @ x.T, problem()[1], splits, GRID, selection=kind), varied))


def test_float32_kernel_that_cannot_resolve_a_penalty() -> None:
    x, y = problem(units=4)
    kernel = (x @ x.T).astype(np.float32)
    message = r"penalty 1e-12 broke down: .* float32, which resolves penalties above"
    with pytest.warns(RuntimeWarning, match="1 of 1 penalties lie below"), pytest.raises(InputError, match=message):
        solve(kernel, y, ELIMINATED, [1e-12])


def test_resolution_bounds_the_largest_eigenvalue() -> None:
    x, y = problem()
    centred = x - x.mean(axis=0)
    eigenvalues = np.linalg.eigvalsh(centred @ centred.T)
    found = solve(x @ x.T, y, ELIMINATED, GRID).resolution / np.finfo(np.float64).eps
    close(found, np.sqrt((eigenvalues**2).sum()))
    assert eigenvalues[-1] <= found


def test_penalty_scale_is_the_variance_summed_over_units() -> None:
    x, _ = problem()
    close(penalty_scale(x @ x.T), x.var(axis=0).sum())


@pytest.mark.parametrize(
    ("splits", "programs"),
    [
        (ELIMINATED, [elimination.factor_and_score]),
        (INVERTED, [inverse.centred_inverse, inverse.project, inverse.factor_fold, inverse.fold_scores]),
    ],
    ids=["kfold", "shuffled"],
)
def test_all_layers_folds_and_penalties_compile_once(splits: list[Split], programs: list[Any]) -> None:
    for program in programs:
        program.clear_cache()
    for seed in range(3):
        x, y = problem(seed=seed)
        solve(x @ x.T, y, splits, GRID)
    assert [program._cache_size() for program in programs] == [1] * len(programs)


def test_memory_does_not_grow_with_folds_times_targets() -> None:
    n, targets = 300, 511
    kernel, responses, penalty = (jax.ShapeDtypeStruct(s, np.float64) for s in ((n, n), (n, targets), ()))
    program = elimination.factor_and_score.lower(
        kernel, penalty, responses, (100,) * 3, "r2", False, target_mesh(None)
    ).compile()
    assert program.memory_analysis().temp_size_in_bytes < 8 * (4 * n * n + 8 * n * targets)


def test_more_folds_than_stimuli_are_refused() -> None:
    x, y = problem(n=4)
    empty = each_other([np.array([], int), *np.arange(4)[:, None]])
    with pytest.raises(InputError, match=r"fold 1 of 5, test: .*more of them than stimuli"):
        solve(x @ x.T, y, empty, GRID)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"responses": np.ones((44, 3))}, r"responses of 45 stimuli x targets, got shape \(44, 3\)"),
        ({"responses": np.full((45, 6), np.nan)}, "fewer than 2 responses in fold 1"),
        ({"responses": np.full((45, 6), np.inf)}, "responses hold infinity"),
        ({"responses": np.full((45, 6), "a")}, "responses as real numbers, got <U1"),
        ({"kernel": np.full((45, 45), np.nan)}, "the kernel holds NaN"),
        ({"kernel": np.ones((45, 3))}, "wanted a square kernel"),
        ({"kernel": np.ones((45, 45), int)}, "real numbers, .* got int"),
        ({"kernel": np.eye(45, dtype=np.float16)}, "got float16 of shape .*; float32 and float64 can be solved"),
        ({"kernel": -np.eye(45)}, "raise the penalties, or check that kernels are X X' of the features"),
        ({"responses": [[1.0]] * 45}, "wanted responses as an array of stimuli x targets, got a list"),
        ({"responses": pd.DataFrame(np.ones((45, 3)))}, "got a DataFrame; give numpy.asarray of it"),
        ({"splits": [(np.arange(30), np.arange(30, 45))]}, r"wanted Split\(train, test, validation\), got a tuple"),
        (
            {"splits": [Split(np.arange(30), np.arange(30, 45), tuple(np.arange(30)[:, None]))]},
            "fold 1 of 1: every inner fold holds out a single stimulus, where r2 is not defined; choose by mse",
        ),
        ({"penalties": ["high"]}, "positive numbers, got .'high'"),
        ({"penalties": [1.0, 0.0]}, "positive numbers"),
        ({"penalties": []}, "positive numbers"),
        ({"selection": "r3"}, "unknown selection score 'r3'; did you mean r2"),
        ({"groups": np.zeros(5)}, "one group label for each of 6 targets"),
    ],
)
def test_bad_input_is_refused(change: dict[str, Any], message: str) -> None:
    x, y = problem()
    arguments: dict[str, Any] = {"kernel": x @ x.T, "responses": y, "splits": ELIMINATED, "penalties": GRID}
    with pytest.raises(InputError, match=message):
        nested_ridge(**arguments | change)
