"""What people use today, at its best settings."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.scoring import correlation_score, r2_score
from sklearn.linear_model import RidgeCV

from benchmarks.agreement import correlation
from engine.solvers.folds import Split


class Chosen(NamedTuple):
    """Fold x target each: position of the chosen penalty in the grid, and test Pearson r."""

    index: np.ndarray
    pearson: np.ndarray


def himalaya_backends() -> list[str]:
    """Those that work here: numpy, torch where installed, torch_cuda where it finds a device."""
    found = ["numpy"]
    try:
        import torch
    except ImportError:
        return found
    found.append("torch")
    if torch.cuda.is_available():
        found.append("torch_cuda")
    return found


def himalaya(
    backend: str,
    kernel: str,
    batch: int | None,
    features: np.ndarray,
    responses: np.ndarray,
    splits: Sequence[Split],
    grid: np.ndarray,
) -> Chosen:
    """``KernelRidgeCV`` refitted for every outer fold, with the same inner folds, from features to test scores.

    Args:
        backend: of himalaya.
        kernel: ``linear``, from the features of each train part; or ``precomputed``, one product for all folds.
        batch: ``n_targets_batch`` of the solver.
        features, responses: float32 in host memory.
        splits, grid: as for our own solver.
    """
    module = set_backend(backend)
    given, measured = module.asarray(features), module.asarray(responses)
    if kernel == "precomputed":
        given = given @ given.T
    index, pearson = [], []
    for split in splits:
        train, test = module.asarray(split.train), module.asarray(split.test)
        inner = [
            (np.searchsorted(split.train, np.setdiff1d(split.train, part)), np.searchsorted(split.train, part))
            for part in split.validation or ()
        ]
        fitted, held = given[train], given[test]
        if kernel == "precomputed":
            fitted, held = fitted[:, train], held[:, train]
        model = KernelRidgeCV(
            alphas=grid.astype(features.dtype),
            cv=inner,
            kernel=kernel,
            fit_intercept=True,
            warn=False,
            solver_params={"score_func": r2_score, "n_targets_batch": batch},
        )
        model.fit(fitted, measured[train])
        pearson.append(module.to_numpy(correlation_score(measured[test], model.predict(held))))
        index.append(position(grid, module.to_numpy(model.best_alphas_)))
    return Chosen(np.stack(index), np.stack(pearson))


def scikit_learn(features: np.ndarray, responses: np.ndarray, splits: Sequence[Split], grid: np.ndarray) -> Chosen:
    """``RidgeCV(alpha_per_target=True)`` for every split: leave-one-out on its train part, then its test scores."""
    index, pearson = [], []
    for split in splits:
        model = RidgeCV(grid, alpha_per_target=True).fit(features[split.train], responses[split.train])
        pearson.append(correlation(responses[split.test], model.predict(features[split.test])))
        index.append(position(grid, model.alpha_))
    return Chosen(np.stack(index), np.stack(pearson))


def position(grid: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Of each value in the grid, up to rounding."""
    return np.abs(np.log(values[..., None]) - np.log(grid)).argmin(axis=-1)
