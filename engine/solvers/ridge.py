"""Ridge regression from a Gram matrix, scored by nested cross-validation, every fold and penalty exact."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from engine.errors import unknown
from engine.solvers.folds import Split, check_splits

Selection = Literal["r2", "pearson", "mse"]


class NestedRidge(NamedTuple):
    """Scores of one kernel on one set of targets; numpy arrays of the kernel's dtype.

    Attributes:
        pearson, r2: fold x target, on the test part; NaN where the target is constant there (or, for Pearson r,
            in the train part: the prediction is then constant).
        penalty_index: fold x target, position of the chosen penalty in the ascending list of penalties.
        selection: fold x target, the target's own inner score at the chosen penalty (test part not used).
        predictions: one array of test stimuli (ascending) x targets per fold, or None if not asked for.
        resolution: penalties below this drown in the rounding of the kernel: machine epsilon times the largest
            eigenvalue of the centred kernel.
    """

    pearson: np.ndarray
    r2: np.ndarray
    penalty_index: np.ndarray
    selection: np.ndarray
    predictions: list[np.ndarray] | None
    resolution: float


def penalty_scale(kernel: jax.Array | np.ndarray) -> float:
    """Mean diagonal of the centred kernel: the natural unit of penalties."""
    kernel = np.asarray(kernel)
    return float(np.trace(kernel, dtype=np.float64) / len(kernel) - kernel.mean(dtype=np.float64))


def nested_ridge(
    kernel: jax.Array | np.ndarray,
    responses: np.ndarray,
    splits: Sequence[Split],
    penalties: Sequence[float] | np.ndarray,
    *,
    selection: Selection = "r2",
    groups: np.ndarray | None = None,
    predictions: bool = False,
) -> NestedRidge:
    """Chooses each target's penalty on inner folds, refits on the train part, scores the test part."""
    kernel = jnp.asarray(kernel)
    splits = check_splits(splits, len(kernel))
    y_all = np.asarray(responses, kernel.dtype)
    y_all = y_all - y_all.mean(axis=0)
    grid = np.asarray(penalties, kernel.dtype)
    if selection not in ("r2", "pearson", "mse"):
        raise unknown("selection score", selection, ("r2", "pearson", "mse"))
    targets = y_all.shape[1]
    out = [np.zeros((len(splits), targets), kernel.dtype) for _ in range(3)]
    index = np.zeros((len(splits), targets), np.int64)
    predicted = []
    for fold, split in enumerate(splits):
        inner = np.zeros((len(grid), targets), kernel.dtype)
        for part in split.validation:
            fit = np.setdiff1d(split.train, part)
            for a, penalty in enumerate(grid):
                guess = _predict(kernel[fit][:, fit], kernel[part][:, fit], y_all[fit], penalty)
                inner[a] += _score(y_all[part], np.asarray(guess), selection) / len(split.validation)
        choice = inner.copy()
        if groups is not None:
            for label in np.unique(groups):
                choice[:, groups == label] = choice[:, groups == label].mean(axis=1, keepdims=True)
        index[fold] = choice.argmax(axis=0)
        guess = np.zeros((len(split.test), targets), kernel.dtype)
        for a in np.unique(index[fold]):
            fit, part = split.train, split.test
            g = np.asarray(_predict(kernel[fit][:, fit], kernel[part][:, fit], y_all[fit], grid[a]))
            guess[:, index[fold] == a] = g[:, index[fold] == a]
        truth = y_all[split.test]
        const = np.ptp(truth, axis=0) == 0
        flat = const | (np.ptp(y_all[split.train], axis=0) == 0)
        out[0][fold] = np.where(flat, np.nan, _score(truth, guess, "pearson"))
        out[1][fold] = np.where(const, np.nan, _score(truth, guess, "r2"))
        out[2][fold] = np.take_along_axis(inner, index[fold][None], 0)[0]
        predicted.append(guess + np.asarray(responses).mean(axis=0))
    resolution = float(np.finfo(kernel.dtype).eps * np.linalg.norm(np.asarray(kernel), 2))
    return NestedRidge(out[0], out[1], index, out[2], predicted if predictions else None, resolution)


@jax.jit
def _predict(k: jax.Array, k_new: jax.Array, y: jax.Array, penalty: jax.Array) -> jax.Array:
    with jax.default_matmul_precision("highest"):
        centred = k - k.mean(0) - k.mean(1)[:, None] + k.mean()
        new = k_new - k.mean(0) - k_new.mean(1)[:, None] + k.mean()
        root = jnp.linalg.cholesky(centred + penalty * jnp.eye(len(k), dtype=k.dtype))
        dual = solve_triangular(root, y - y.mean(0), lower=True)
        dual = solve_triangular(root, dual, lower=True, trans=1)
        return new @ dual + y.mean(0)


def _score(y: np.ndarray, guess: np.ndarray, kind: str) -> np.ndarray:
    if kind == "mse":
        return -((y - guess) ** 2).mean(axis=0)
    total = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    with np.errstate(all="ignore"):
        if kind == "r2":
            return np.where(total == 0, 0, 1 - ((y - guess) ** 2).sum(axis=0) / total)
        dy, dg = y - y.mean(axis=0), guess - guess.mean(axis=0)
        r = (dy * dg).sum(axis=0) / np.sqrt((dy**2).sum(axis=0) * (dg**2).sum(axis=0))
        return np.where(np.isfinite(r), r, 0)
