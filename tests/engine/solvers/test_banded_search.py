"""How banded ridge gets there: blocks of targets, weights of folds, rounding, compilations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from engine.solvers import banded_search, cholesky, fold_weights
from engine.solvers.banded import fit_banded, simplex_weightings
from tests.engine.solvers.banded_problems import (
    FIVE,
    GRID,
    WEIGHTINGS,
    assert_equal,
    close,
    held_out,
    predict,
    problem,
)


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
