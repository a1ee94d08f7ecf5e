"""Ridge regression from a Gram matrix, scored by nested cross-validation; every fold and penalty exact."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from engine.errors import InputError, unknown
from engine.solvers import elimination, inverse
from engine.solvers.choice import Choice, Scored, joined_targets
from engine.solvers.folds import Split, check_splits, shared_partition
from engine.solvers.scoring import SELECTIONS, Selection, joined_folds

TARGETS_AT_ONCE = 511  # with the column of ones 512: a few MB, which stays in cache through all products


class NestedRidge(NamedTuple):
    """Scores of one kernel on one set of targets, in numpy arrays.

    Attributes:
        pearson, r2: fold x target, on the test part. NaN where the target is constant there; Pearson r also where
            the prediction is, as for a target that is constant in the train part.
        penalty_index: fold x target, position of the chosen penalty in the list of penalties.
        selection: fold x target, each target's own mean inner score at the chosen penalty. The test part has no
            share in it, so layers may be chosen by it.
        predictions: test stimuli (ascending) x targets for each fold; None if not asked for.
        resolution: fits at penalties below this follow the rounding of the kernel: machine epsilon times an upper
            bound (the Frobenius norm) of the largest eigenvalue of the centred kernel.
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
    """Chooses penalties on the inner folds, refits on the train part, scores the test part.

    Equals refitting ``sklearn.linear_model.Ridge(alpha)`` (unpenalised intercept) for every outer fold, inner fold
    and penalty. With one penalty per target and the same inner folds it chooses as himalaya's
    ``KernelRidgeCV(fit_intercept=True)`` does with ``r2_score``; ties go to the first penalty listed.

    Args:
        kernel: stimuli x stimuli, X X' of the features X, centred or not. Its dtype is the precision of all work;
            give float64 under ``jax.enable_x64(True)``.
        responses: stimuli x targets, none missing.
        splits: outer folds with their inner folds.
        penalties: a of the minimised |Y - X B - b|^2 + a |B|^2, positive.
        selection: inner score, averaged over inner folds: ``r2``, ``pearson`` or ``mse`` (its negative).
        groups: label of each target; targets with the same label share a penalty, the one with the best mean of
            their scores. Without labels each target has its own.
        predictions: return the predicted responses to the test stimuli as well.

    Raises:
        InputError: shapes, folds or values that cannot be used; a kernel that is not positive semidefinite to
            working precision, so that some penalty cannot be factorised.
    """
    kernel = jnp.asarray(kernel)
    responses = np.asarray(responses)
    grid = _check(kernel, responses, penalties, selection, groups)
    splits, used = _renumbered(check_splits(splits, len(kernel)))
    responses = responses[used]
    silent = np.stack([(responses[s.test] == responses[s.test[0]]).all(axis=0) for s in splits])
    offset = responses.mean(axis=0, dtype=np.float64)
    choice = Choice(None if groups is None else np.unique(groups, return_inverse=True)[1])
    # LAPACK runs between XLA's own threads; with threads of its own the two sets wait for each other, which on a
    # busy machine costs up to fifty times the work itself.
    with threadpool_limits(1, user_api="blas"):
        centred, norm = _deflated(kernel[jnp.ix_(used, used)] if len(used) < len(kernel) else kernel)
        resolution = float(norm) * float(jnp.finfo(kernel.dtype).eps)
        every = _each_penalty(centred, responses - offset, splits, grid, selection, predictions)
        for position, scores in enumerate(every):
            if np.isnan(scores.selection).any() or (np.isnan(scores.r2) & ~silent).any():
                raise InputError(
                    f"ridge at penalty {grid[position]:.3g} broke down: the kernel is not positive definite in "
                    f"{kernel.dtype}, which resolves penalties above {resolution:.3g}; raise the penalties or give "
                    "the kernel in float64"
                )
            choice.offer(position, scores)
    kept = choice.kept
    guesses = [guess + offset for guess in kept.predictions] if predictions else None
    return NestedRidge(kept.pearson, kept.r2, choice.index, kept.selection, guesses, resolution)


def _each_penalty(
    kernel: jax.Array,
    responses: np.ndarray,
    splits: list[Split],
    grid: np.ndarray,
    selection: Selection,
    predictions: bool,
) -> Iterator[Scored]:
    """Scores at one penalty after the other, by the cheaper of the two routes."""
    parts = shared_partition(splits)
    targets = responses.shape[1]
    if parts is not None and len(parts) <= elimination.MAX_FOLDS:
        order = np.concatenate(parts)
        sizes = tuple(len(part) for part in parts)
        kernel = kernel[jnp.ix_(order, order)]
        blocks = _target_blocks(responses[order], kernel.dtype)
        explicit = targets > max(sizes)
        for penalty in jnp.asarray(grid, kernel.dtype):
            if len(blocks) == 1 and not explicit:
                each = [elimination.factor_and_score(kernel, penalty, blocks[0], sizes, selection, predictions)]
            else:
                step = elimination.factor(kernel, penalty, sizes, explicit)
                each = [elimination.scores(step, block, sizes, explicit, selection, predictions) for block in blocks]
            yield joined_targets(each, targets)
        return
    blocks = _target_blocks(responses, kernel.dtype)
    held = [np.setdiff1d(np.arange(len(kernel)), split.train) for split in splits]
    for penalty in jnp.asarray(grid, kernel.dtype):
        matrix = inverse.centred_inverse(kernel, penalty)
        each = []
        for block in blocks:
            projected = inverse.project(matrix, block)
            folds = [
                inverse.fold_scores(
                    matrix,
                    projected,
                    block,
                    out,
                    np.searchsorted(out, split.test),
                    split.validation,
                    selection,
                    predictions,
                )
                for out, split in zip(held, splits, strict=True)
            ]
            each.append(joined_folds(folds))
        yield joined_targets(each, targets)


def _target_blocks(responses: np.ndarray, dtype: jnp.dtype) -> list[jax.Array]:
    """Equally wide blocks of targets, the last filled up with zeros, so that one compiled program serves them all."""
    count = -(-responses.shape[1] // TARGETS_AT_ONCE)
    width = -(-responses.shape[1] // count)
    fill = count * width - responses.shape[1]
    padded = np.pad(responses, ((0, 0), (0, fill)))
    return [jnp.asarray(padded[:, i * width : (i + 1) * width], dtype) for i in range(count)]


@jax.jit
def _deflated(kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The centred kernel, with the mean eigenvalue put in the constant direction; and the centred one's norm.

    A fit with an intercept is the same for any feature offset and for any further constant feature, so the constant
    direction may have any eigenvalue. An average one keeps its rounding error from being multiplied by 1 / penalty.
    """
    means = kernel.mean(axis=0)
    centred = kernel - means - means[:, None] + means.mean()
    n = len(kernel)
    return centred + jnp.trace(centred) / (n * n), jnp.linalg.norm(centred)


def _renumbered(splits: list[Split]) -> tuple[list[Split], np.ndarray]:
    """The splits over only the stimuli they use, and which these are."""
    used = np.unique(np.concatenate([np.concatenate([split.train, split.test]) for split in splits]))

    def place(stimuli: np.ndarray) -> np.ndarray:
        return np.searchsorted(used, stimuli)

    return [Split(place(s.train), place(s.test), tuple(place(v) for v in s.validation)) for s in splits], used


def _check(
    kernel: jax.Array,
    responses: np.ndarray,
    penalties: Sequence[float] | np.ndarray,
    selection: str,
    groups: np.ndarray | None,
) -> np.ndarray:
    """The penalties as an array; raises InputError for arguments that cannot be used."""
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or not jnp.issubdtype(kernel.dtype, jnp.floating):
        raise InputError(f"wanted a square kernel of real numbers, got {kernel.dtype} of shape {kernel.shape}")
    if responses.ndim != 2 or len(responses) != len(kernel) or not responses.shape[1]:
        raise InputError(f"wanted responses of {len(kernel)} stimuli x targets, got shape {responses.shape}")
    if not np.isfinite(responses).all():
        raise InputError("responses hold NaN or infinity; group targets by missing stimuli and solve each group")
    if not bool(jnp.isfinite(kernel).all()):
        raise InputError("the kernel holds NaN or infinity; check the features it was computed from")
    if selection not in SELECTIONS:
        raise unknown("selection score", selection, SELECTIONS)
    grid = np.asarray(penalties, np.float64)
    if grid.ndim != 1 or not len(grid) or not (np.isfinite(grid).all() and (grid > 0).all()):
        raise InputError(f"penalties must be a list of positive numbers, got {penalties}")
    if groups is not None and np.shape(groups) != (responses.shape[1],):
        raise InputError(f"wanted one group label for each of {responses.shape[1]} targets, got {np.shape(groups)}")
    return grid
