"""Errors against scikit-learn refits in float64 stay within the documented bound, over conditions and penalties."""

from collections.abc import Callable
from contextlib import nullcontext
from itertools import product

import numpy as np
import pytest

from engine.errors import InputError
from engine.solvers.folds import Split
from engine.solvers.nested import NestedRidge
from engine.solvers.ridge import nested_ridge, nested_ridge_features, penalty_scale
from tests.engine.solvers.refits import kfold, refitted, shuffled

STIMULI, UNITS = 60, 90
SPLITS = {
    "kfold": kfold(STIMULI, 3),
    "shuffled": shuffled(STIMULI, 2, 3),
    "leave-one-out": [Split(split.train, split.test, None) for split in shuffled(STIMULI, 1, 2)],
}
RELATIVE = np.logspace(-6, 6, 7)  # penalties in units of the mean diagonal of the kernel


def problem(condition: float, units: int = UNITS) -> tuple[np.ndarray, np.ndarray]:
    """Features whose kernel has that condition number, and responses of unit variance with noise."""
    rng = np.random.default_rng(0)
    rank = min(STIMULI, units)
    left, right = (np.linalg.qr(rng.standard_normal((size, rank)))[0] for size in (STIMULI, units))
    x = left * condition ** (-np.linspace(0, 0.5, rank)) @ right.T
    y = x @ rng.standard_normal((units, 4))
    return x, y / y.std(axis=0) + 0.3 * rng.standard_normal((STIMULI, 4))


def assert_within(
    solve: Callable[..., NestedRidge], given: np.ndarray, y: np.ndarray, x: np.ndarray, design: str
) -> None:
    """The bound of ``nested_ridge``; below its resolution a fit may be refused, and is never without a warning."""
    splits, kernel = SPLITS[design], x @ x.T
    means = kernel.mean(axis=0)
    norm = np.linalg.norm(kernel - means - means[:, None] + means.mean())
    factors, products = np.finfo(given.dtype).eps, np.finfo(min(given.dtype, y.dtype, key=lambda t: t.itemsize)).eps
    for penalty in RELATIVE * penalty_scale(kernel):
        below = penalty < factors * norm
        with pytest.warns(RuntimeWarning, match="1 of 1 penalties lie below") if below else nullcontext():
            try:
                found = solve(given, y, splits, [penalty], predictions=True)
            except InputError:
                assert below
                continue
        exact = refitted(x, y.astype(np.float64), splits, np.array([penalty]))
        bound = factors * norm / penalty + products * (16 + np.sqrt(norm / penalty) * (products > factors))
        assert found.predictions is not None
        assert exact.predictions is not None
        for ours, wanted in zip(found.predictions, exact.predictions, strict=True):
            assert np.abs(ours - wanted).max() < bound * np.abs(y).max()


CASES = list(product(SPLITS, (1e2, 1e6, 1e10)))


@pytest.mark.parametrize(("design", "condition"), CASES)
def test_float32(design: str, condition: float) -> None:
    x, y = problem(condition)
    assert_within(nested_ridge, (x @ x.T).astype(np.float32), y, x, design)


@pytest.mark.parametrize(("design", "condition"), CASES)
def test_float64_factors_and_float32_products(design: str, condition: float) -> None:
    x, y = problem(condition)
    assert_within(nested_ridge, x @ x.T, y.astype(np.float32), x, design)


@pytest.mark.parametrize(("design", "condition"), CASES)
def test_float64(design: str, condition: float) -> None:
    x, y = problem(condition)
    assert_within(nested_ridge, x @ x.T, y, x, design)


@pytest.mark.parametrize(("design", "condition"), CASES)
def test_primal_float32(design: str, condition: float) -> None:
    x, y = problem(condition, units=12)
    assert_within(nested_ridge_features, x.astype(np.float32), y, x, design)
