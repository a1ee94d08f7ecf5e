"""Fits of any nested design, read as blocks of one inverse per penalty.

With G = (K + aI)^-1 over all stimuli, less its constant direction, G - G11'G / 1'G1, the residuals of the ridge fit
with unpenalised intercept on all stimuli but R are

    Y_R - prediction_R = (G_RR)^-1 (G Y)_R

for any set R. An outer fold leaves out H, the complement of its train part T. Fits inside T follow from the Schur
complement S = G_TT - G_TH (G_HH)^-1 G_HT and C = S Y_T = (G Y)_T - G_TH (G_HH)^-1 (G Y)_H, the dual coefficients of the
fit on T: the residuals of an inner fold with validation set V are (S_VV)^-1 C_V, those of leave-one-out C / diag S.

Cost per penalty: 1.6 n^3 flops for G (``cholesky.py``), then for each outer fold
|H|^3 / 3 + |T| |H|^2 + sum over inner folds (2 |V|^2 |H| + |V|^3 / 3) for the matrices, leave-one-out without the sum,
and 2 n^2 t + 2 |T| |H| t + sum (2 |V|^2 t) for t targets. Ten 90/10 splits with 5 inner folds: 1.9 n^3, against
8.7 n^3 for refitting every training set.
Errors are about epsilon * largest eigenvalue / a, times the residual variance of the held-out stimuli over a where
near-duplicates are held out together; use float64 kernels where that can matter.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from engine.solvers import cholesky
from engine.solvers.folds import Split, design
from engine.solvers.scoring import Held, PenaltyScores, Selection, inner_scores, joined_folds, penalty_scores
from engine.solvers.targets import Candidate, Route, cast, over_targets, replicated

_product = partial(jnp.matmul, precision="highest")


def penalised_inverse(kernel: jax.Array, penalty: jax.Array) -> jax.Array:
    """(K + aI)^-1."""
    return cholesky.inverse(kernel + penalty * jnp.eye(len(kernel), dtype=kernel.dtype))


@jax.jit
def centred_inverse(kernel: jax.Array, penalty: jax.Array) -> jax.Array:
    """(K + aI)^-1 less its constant direction: the residual-forming matrix of ridge with an intercept."""
    inverse = penalised_inverse(kernel, penalty)
    sums = inverse.sum(axis=0)
    return inverse - sums[:, None] * (sums / sums.sum())


@jax.jit
def project(inverse: jax.Array, responses: jax.Array) -> jax.Array:
    """inverse times responses: stimuli x targets; the dual coefficients of the fit on all stimuli."""
    return _product(inverse, responses)


class Inner(NamedTuple):
    """The matrices of the fits inside one train part T, in terms of G over it.

    Attributes:
        chosen: T, or the stimuli of the inner fold's validation set V.
        cross: G_TH or G_VH; None where nothing is held out.
        root: inverse Cholesky factor of S_VV; for leave-one-out the diagonal of S.
    """

    chosen: jax.Array
    cross: jax.Array | None
    root: jax.Array


class Fold(NamedTuple):
    """The matrices of one outer fold; ``root`` is the inverse Cholesky factor of G_HH."""

    held: jax.Array
    test: jax.Array
    root: jax.Array
    inner: tuple[Inner, ...]


@partial(jax.jit, static_argnames="dtype")
def factor_fold(
    inverse: jax.Array,
    held: jax.Array,
    test: jax.Array,
    train: jax.Array,
    validation: tuple[jax.Array, ...] | None,
    dtype: jnp.dtype,
) -> Fold:
    """What the fits of an outer fold need of G; compiled once per combination of sizes.

    Args:
        inverse: from ``centred_inverse``, stimuli x stimuli; its dtype is that of the work.
        held: indices of all stimuli outside the train part.
        test: positions of the test stimuli in ``held``.
        train: indices of the train part.
        validation: indices of each inner fold's validation set; None for leave-one-out.
        dtype: of the result, as the responses have it.
    """
    root = cholesky.inverse_factor(inverse[jnp.ix_(held, held)])
    inner = _factor_inner(inverse, train, validation, held, root)
    return cast(Fold(held, test, root, inner), dtype)


@partial(jax.jit, static_argnames="dtype")
def factor_choice(
    inverse: jax.Array, train: jax.Array, validation: tuple[jax.Array, ...] | None, dtype: jnp.dtype
) -> tuple[Inner, ...]:
    """As ``factor_fold`` for a choice among all stimuli, with no outer fold."""
    return cast(_factor_inner(inverse, train, validation, None, None), dtype)


def _factor_inner(
    inverse: jax.Array,
    train: jax.Array,
    validation: tuple[jax.Array, ...] | None,
    held: jax.Array | None,
    held_root: jax.Array | None,
) -> tuple[Inner, ...]:
    found = []
    for part in (train,) if validation is None else validation:
        own = jnp.diagonal(inverse)[part] if validation is None else inverse[jnp.ix_(part, part)]
        cross = None
        if held is not None and held_root is not None:
            cross = inverse[jnp.ix_(part, held)]
            half = _product(held_root, cross.T)
            own -= (half * half).sum(axis=0) if validation is None else _product(half.T, half)
        found.append(Inner(part, cross, own if validation is None else cholesky.inverse_factor(own)))
    return tuple(found)


@partial(jax.jit, static_argnames=("selection", "predictions", "mesh"))
def fold_scores(
    fold: Fold,
    projected: jax.Array,
    responses: jax.Array,
    selection: Selection,
    predictions: bool,
    mesh: Mesh,
) -> PenaltyScores:
    """Scores of one outer fold at one penalty.

    Args:
        fold: from ``factor_fold``.
        projected: inverse times responses.
        responses: stimuli x targets.
        selection: inner score.
        predictions: return those of the test part.
        mesh: devices the targets are spread over.
    """

    def work(fold: Fold, projected: jax.Array, responses: jax.Array) -> PenaltyScores:
        out = cholesky.solve(fold.root, projected[fold.held])
        inner = _inner_predictions(fold.inner, projected, responses, out)
        tested = responses[fold.held[fold.test]]
        return penalty_scores([inner], [(tested, tested - out[fold.test])], selection, predictions)

    return over_targets(work, mesh)(fold, projected, responses)


@partial(jax.jit, static_argnames=("selection", "mesh"))
def choice_scores(
    inner: tuple[Inner, ...], projected: jax.Array, responses: jax.Array, selection: Selection, mesh: Mesh
) -> Candidate:
    """What one penalty is worth with no outer fold; arguments as for ``fold_scores``."""

    def work(inner: tuple[Inner, ...], projected: jax.Array, responses: jax.Array) -> Candidate:
        chosen, broken = inner_scores([_inner_predictions(inner, projected, responses, None)], selection)
        return Candidate(projected, chosen, broken)

    return over_targets(work, mesh)(inner, projected, responses)


def _inner_predictions(
    inner: tuple[Inner, ...], projected: jax.Array, responses: jax.Array, out: jax.Array | None
) -> list[Held]:
    found = []
    for part in inner:
        coefficients = projected[part.chosen]
        if part.cross is not None and out is not None:
            coefficients -= _product(part.cross, out)
        residual = coefficients / part.root[:, None] if part.root.ndim == 1 else cholesky.solve(part.root, coefficients)
        found.append((responses[part.chosen], responses[part.chosen] - residual))
    return found


def route(
    kernel: jax.Array,
    splits: Sequence[Split],
    responses: np.dtype,
    selection: Selection,
    predictions: bool,
    mesh: Mesh,
) -> Route:
    """The way to the scores of any nested design, for responses of that dtype."""
    everything = np.arange(len(kernel))
    kernel = replicated(kernel, mesh)
    designs = [design(split, len(everything)) for split in splits]

    def at(penalty: jax.Array) -> Callable[[jax.Array], PenaltyScores]:
        inverse = centred_inverse(kernel, penalty)
        folds = [factor_fold(inverse, *own, responses) for own in designs]
        inverse = inverse.astype(responses)

        def score(block: jax.Array) -> PenaltyScores:
            projected = project(inverse, block)
            return joined_folds([fold_scores(fold, projected, block, selection, predictions, mesh) for fold in folds])

        return score

    return Route(everything, at)


def choice_route(
    kernel: jax.Array,
    validation: tuple[np.ndarray, ...] | None,
    responses: np.dtype,
    selection: Selection,
    mesh: Mesh,
) -> Route:
    """The way to the fits on all stimuli, with their scores on the inner folds."""
    everything = np.arange(len(kernel))
    kernel = replicated(kernel, mesh)

    def at(penalty: jax.Array) -> Callable[[jax.Array], Candidate]:
        inverse = centred_inverse(kernel, penalty)
        inner = factor_choice(inverse, everything, validation, responses)
        inverse = inverse.astype(responses)
        return lambda block: choice_scores(inner, project(inverse, block), block, selection, mesh)

    return Route(everything, at)
