"""The loop of a nested cross-validation, whatever the route: penalties, missing responses, blocks, layers."""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from engine.errors import InputError, unknown
from engine.solvers.choice import Choice, Part, in_pairs, joined_targets, scattered
from engine.solvers.folds import Split, check_splits, restrict
from engine.solvers.missing import Pattern, Responses, patterns
from engine.solvers.scoring import SELECTIONS, Selection
from engine.solvers.shares import divided, over_processes
from engine.solvers.targets import Route, TargetBlocks, target_mesh
from engine.solvers.threads import one_for_lapack


class NestedRidge(NamedTuple):
    """Scores of one layer on one set of targets, in numpy arrays.

    Attributes:
        pearson, r2: fold x target, on the test part. NaN where the target is constant there; Pearson r also where
            the prediction is, as for a target that is constant in the train part.
        penalty_index: fold x target, position of the chosen penalty in the list of penalties.
        selection: fold x target, each target's own mean inner score at the chosen penalty. The test part has no
            share in it, so layers may be chosen by it.
        predictions: test stimuli (ascending) x targets for each fold, NaN where a response is missing; None if not
            asked for.
        resolution: fits at penalties below this follow the rounding of the kernel: machine epsilon times an upper
            bound (the Frobenius norm) of the largest eigenvalue of the centred kernel.
    """

    pearson: np.ndarray
    r2: np.ndarray
    penalty_index: np.ndarray
    selection: np.ndarray
    predictions: list[np.ndarray] | None
    resolution: float


class Rules(NamedTuple):
    """How penalties are chosen and what is returned; see ``engine.solvers.ridge.nested_ridge``."""

    selection: Selection
    groups: np.ndarray | None
    predictions: bool
    devices: Sequence[jax.Device] | None


class Source(NamedTuple):
    """Layers to be solved side by side.

    Attributes:
        dtype: of the factorisations.
        route: stimuli, splits over them, number and dtype of targets, devices, rules -> the way to their scores, and
            each layer's resolution. The scores have layers in front where ``layers`` is not None.
        layers: how many, None for a single one.
    """

    dtype: np.dtype
    route: Callable[[np.ndarray, list[Split], int, np.dtype, Mesh, Rules], tuple[Route, np.ndarray]]
    layers: int | None


def products_dtype(responses: Responses, factors: np.dtype) -> np.dtype:
    """float32 if factors or responses are; the factors' dtype otherwise."""
    return np.dtype(np.float32) if responses.dtype == np.float32 else np.dtype(factors)


def solve(
    source: Source,
    stimuli: int,
    responses: Responses,
    splits: Sequence[Split],
    grid: np.ndarray,
    rules: Rules,
) -> list[NestedRidge]:
    """Nested cross-validation of every layer of the source; ``grid`` is penalties x layers.

    See ``engine.solvers.ridge.nested_ridge`` for the arguments, which ``check`` has seen. Several processes, all of
    which must call this, divide targets that choose their penalties alone.
    """
    if rules.devices is None and rules.groups is None and divided(responses.shape[1]):
        alone = rules._replace(devices=jax.local_devices())
        return over_processes(lambda part: solve(source, stimuli, part, splits, grid, alone), responses)
    splits = check_splits(splits, stimuli)
    for number, split in enumerate(splits, start=1):
        check_scorable(split.validation, rules.selection, f"fold {number} of {len(splits)}")
    used = np.unique(np.concatenate([np.concatenate([split.train, split.test]) for split in splits]))
    tests = [len(split.test) for split in splits]
    targets = responses.shape[1]
    mesh, dtype = target_mesh(rules.devices), products_dtype(responses, source.dtype)
    choices = [Choice(rules.groups) for _ in range(source.layers or 1)]
    with one_for_lapack():
        found = patterns(responses, used)
        works, resolutions = [], np.zeros(len(choices))
        for pattern in found:
            own = restrict(splits, pattern.stimuli)
            route, resolution = source.route(pattern.stimuli, own, len(pattern.targets), dtype, mesh, rules)
            resolutions = np.maximum(resolutions, resolution)
            rows = [
                np.searchsorted(whole.test, pattern.stimuli[part.test]) for whole, part in zip(splits, own, strict=True)
            ]
            works.append((pattern.targets, rows, route, TargetBlocks(responses, pattern, route.order, dtype, mesh)))
        warn_unresolved(grid, resolutions, source.dtype)
        for position, penalties in enumerate(grid):
            given = jnp.asarray(penalties if source.layers else penalties[0], source.dtype)
            parts = [
                Part(own, rows, joined_targets(in_pairs(map(route.at(given), blocks)), len(own)))
                for own, rows, route, blocks in works
            ]
            for layer, choice in enumerate(choices):
                mine = parts
                if source.layers:
                    mine = [p._replace(scores=jax.tree.map(lambda a, i=layer: a[i], p.scores)) for p in parts]
                scores = scattered(mine, targets, tests)
                if scores.broken.any():
                    raise InputError(
                        f"ridge at penalty {penalties[layer]:.3g} broke down: the kernel is not positive definite in "
                        f"{source.dtype}, which resolves penalties above {resolutions[layer]:.3g}; "
                        f"{breakdown(source.dtype)}"
                    )
                by_fold = [scores.pearson, scores.r2, scores.selection, *([scores.predictions] * rules.predictions)]
                choice.offer(position, np.asarray(scores.selection), list(zip(*by_fold, strict=True)))
    return [_result(choice, found, float(r)) for choice, r in zip(choices, resolutions, strict=True)]


def _result(choice: Choice, found: Sequence[Pattern], resolution: float) -> NestedRidge:
    pearson, r2, selection, *guesses = zip(*choice.kept, strict=True)
    means = np.empty(choice.index.shape[1])
    for pattern in found:
        means[pattern.targets] = pattern.means
    return NestedRidge(
        np.stack(pearson),
        np.stack(r2),
        choice.index,
        np.stack(selection),
        [guess + means for guess in guesses[0]] if guesses else None,
        resolution,
    )


def warn_unresolved(grid: np.ndarray, resolutions: np.ndarray, dtype: np.dtype) -> None:
    """Warns of penalties below the resolution; ``grid`` is penalties x layers, ``resolutions`` one per layer."""
    worst = int(np.argmin(grid.min(axis=0) / np.maximum(resolutions, np.finfo(float).tiny)))
    low = grid[:, worst] < resolutions[worst]
    if low.any():
        warnings.warn(
            f"{low.sum()} of {len(grid)} penalties lie below {resolutions[worst]:.3g}, the resolution of this kernel "
            f"in {dtype}: fits there follow its rounding errors; {breakdown(dtype)}",
            RuntimeWarning,
            stacklevel=4,
        )


def check_scorable(validation: Sequence[np.ndarray] | None, selection: str, where: str) -> None:
    """Raises InputError where the score is defined in no inner fold, so that any penalty would do."""
    if validation is not None and selection != "mse" and max(map(len, validation)) < 2:
        raise InputError(
            f"{where}: every inner fold holds out a single stimulus, where {selection} is not defined; choose by mse, "
            "or by None for the inner folds, which scores all left-out stimuli together"
        )


def breakdown(dtype: np.dtype) -> str:
    """What to do where a penalty cannot be factorised in that precision."""
    if dtype == np.float64:
        return "raise the penalties, or check that kernels are X X' of the features"
    return "raise the penalties or give float64"


def check(
    stimuli: int,
    responses: Responses,
    penalties: Sequence[float] | np.ndarray,
    selection: str,
    groups: np.ndarray | None,
) -> None:
    """Raises InputError for arguments that cannot be used."""
    if not (hasattr(responses, "shape") and hasattr(responses, "dtype")):
        raise InputError(
            f"wanted responses as an array of stimuli x targets, got a {type(responses).__name__}; give numpy.asarray "
            "of it"
        )
    if len(responses.shape) != 2 or responses.shape[0] != stimuli or not responses.shape[1]:
        raise InputError(f"wanted responses of {stimuli} stimuli x targets, got shape {responses.shape}")
    if not np.issubdtype(responses.dtype, np.number) or np.issubdtype(responses.dtype, np.complexfloating):
        raise InputError(f"wanted responses as real numbers, got {responses.dtype}")
    if selection not in SELECTIONS:
        raise unknown("selection score", selection, SELECTIONS)
    try:
        grid = np.asarray(penalties, np.float64)
    except (TypeError, ValueError):
        grid = np.empty(0)
    if grid.ndim != 1 or not len(grid) or not (np.isfinite(grid).all() and (grid > 0).all()):
        raise InputError(f"penalties must be a list of positive numbers, got {penalties}")
    if groups is not None and np.shape(groups) != (responses.shape[1],):
        raise InputError(f"wanted one group label for each of {responses.shape[1]} targets, got {np.shape(groups)}")
