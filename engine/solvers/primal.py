"""Fits of any nested design from the features, for layers with fewer units than stimuli.

With Z = [X, 1] and D the penalty on all but the column of ones, the fit on a training set T is
B_T = (Z_T'Z_T + aD)^-1 Z_T'Y_T. The moments of a training set are those of all stimuli less those of what it leaves
out, so no product has more than p + 1 columns. Leave-one-out residuals in T are those of the fit on T over 1 - h with
the leverages h_i = z_i'(Z_T'Z_T + aD)^-1 z_i.

Cost per penalty and training set that leaves R out, p units, t targets: p^2 |R| + p^3 / 3 for the factor (leave-one-out
n p^2 more for the leverages), 2 p |R| t + 2 p^2 t for the weights and 2 p |R| t for the predictions.
Errors are about epsilon * largest eigenvalue of X'X / a, as on the dual side.
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


class Inner(NamedTuple):
    """One inner fold: its stimuli, their features and the inverse Cholesky factor without them.

    For leave-one-out those of the whole train part, with 1 - leverages in place of the factor.
    """

    chosen: jax.Array
    features: jax.Array
    root: jax.Array


class Fold(NamedTuple):
    """One outer fold, H being all stimuli outside its train part; ``root`` is the inverse Cholesky factor without H."""

    held: jax.Array
    test: jax.Array
    features: jax.Array
    root: jax.Array
    inner: tuple[Inner, ...]


@jax.jit
def moments(features: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[X, 1] and its second moments; compiled once per shape."""
    bordered = jnp.pad(features, ((0, 0), (0, 1)), constant_values=1)
    return bordered, _product(bordered.T, bordered)


def _root(second: jax.Array, penalty: jax.Array) -> jax.Array:
    diagonal = jnp.full(len(second), penalty, second.dtype).at[-1].set(0)
    return cholesky.inverse_factor(second + jnp.diag(diagonal))


@partial(jax.jit, static_argnames="dtype")
def factor_fold(
    bordered: jax.Array,
    second: jax.Array,
    penalty: jax.Array,
    held: jax.Array,
    test: jax.Array,
    train: jax.Array,
    validation: tuple[jax.Array, ...] | None,
    dtype: jnp.dtype,
) -> Fold:
    """What an outer fold needs that does not depend on the targets; compiled once per combination of sizes.

    Args:
        bordered: from ``moments``, as ``second``.
        second: second moments over all stimuli.
        penalty: scalar.
        held: indices of all stimuli outside the train part.
        test: positions of the test stimuli in ``held``.
        train: indices of the train part.
        validation: indices of each inner fold's validation set; None for leave-one-out.
        dtype: of the result, as the responses have it.
    """
    left_out = bordered[held]
    second -= _product(left_out.T, left_out)
    root = _root(second, penalty)
    inner = _factor_inner(bordered, second, penalty, root, train, validation)
    return cast(Fold(held, test, left_out, root, inner), dtype)


@partial(jax.jit, static_argnames="dtype")
def factor_choice(
    bordered: jax.Array,
    second: jax.Array,
    penalty: jax.Array,
    train: jax.Array,
    validation: tuple[jax.Array, ...] | None,
    dtype: jnp.dtype,
) -> tuple[jax.Array, tuple[Inner, ...]]:
    """As ``factor_fold`` for a choice among all stimuli, with no outer fold: the factor and the inner folds."""
    root = _root(second, penalty)
    return cast((root, _factor_inner(bordered, second, penalty, root, train, validation)), dtype)


def _factor_inner(
    bordered: jax.Array,
    second: jax.Array,
    penalty: jax.Array,
    root: jax.Array,
    train: jax.Array,
    validation: tuple[jax.Array, ...] | None,
) -> tuple[Inner, ...]:
    if validation is None:
        half = _product(root, bordered[train].T)
        return (Inner(train, bordered[train], 1 - (half * half).sum(axis=0)),)
    each = [(part, bordered[part]) for part in validation]
    return tuple(Inner(part, own, _root(second - _product(own.T, own), penalty)) for part, own in each)


@partial(jax.jit, static_argnames=("selection", "predictions", "mesh"))
def fold_scores(
    fold: Fold,
    crossed: jax.Array,
    responses: jax.Array,
    selection: Selection,
    predictions: bool,
    mesh: Mesh,
) -> PenaltyScores:
    """Scores of one outer fold at one penalty; ``crossed`` is [X, 1]' Y over all stimuli."""

    def work(fold: Fold, crossed: jax.Array, responses: jax.Array) -> PenaltyScores:
        measured = responses[fold.held]
        crossed -= _product(fold.features.T, measured)
        weights = cholesky.solve(fold.root, crossed)
        inner = [_inner_prediction(part, crossed, weights, responses) for part in fold.inner]
        predicted = _product(fold.features[fold.test], weights)
        return penalty_scores([inner], [(measured[fold.test], predicted)], selection, predictions)

    return over_targets(work, mesh)(fold, crossed, responses)


def _inner_prediction(part: Inner, crossed: jax.Array, weights: jax.Array, responses: jax.Array) -> Held:
    measured = responses[part.chosen]
    if part.root.ndim == 1:
        return measured, measured - (measured - _product(part.features, weights)) / part.root[:, None]
    own = cholesky.solve(part.root, crossed - _product(part.features.T, measured))
    return measured, _product(part.features, own)


@partial(jax.jit, static_argnames=("selection", "mesh"))
def choice_scores(
    root: jax.Array,
    inner: tuple[Inner, ...],
    crossed: jax.Array,
    responses: jax.Array,
    selection: Selection,
    mesh: Mesh,
) -> Candidate:
    """What one penalty is worth with no outer fold."""

    def work(shared: tuple[jax.Array, tuple[Inner, ...]], crossed: jax.Array, responses: jax.Array) -> Candidate:
        root, inner = shared
        weights = cholesky.solve(root, crossed)
        chosen, broken = inner_scores([[_inner_prediction(p, crossed, weights, responses) for p in inner]], selection)
        return Candidate(weights, chosen, broken)

    return over_targets(work, mesh)((root, inner), crossed, responses)


@jax.jit
def cross(bordered: jax.Array, responses: jax.Array) -> jax.Array:
    """[X, 1]' Y: units + 1 x targets."""
    return _product(bordered.T, responses)


def route(
    features: jax.Array,
    splits: Sequence[Split],
    responses: np.dtype,
    selection: Selection,
    predictions: bool,
    mesh: Mesh,
) -> tuple[Route, np.ndarray]:
    """The way to the scores for responses of that dtype; and the norm of the second moments."""
    everything = np.arange(len(features))
    bordered, second = moments(replicated(features, mesh))
    projector = bordered.astype(responses)
    designs = [design(split, len(everything)) for split in splits]

    def at(penalty: jax.Array) -> Callable[[jax.Array], PenaltyScores]:
        folds = [factor_fold(bordered, second, penalty, *own, responses) for own in designs]

        def score(block: jax.Array) -> PenaltyScores:
            crossed = cross(projector, block)
            return joined_folds([fold_scores(fold, crossed, block, selection, predictions, mesh) for fold in folds])

        return score

    return Route(everything, at), _norm(second)


def choice_route(
    features: jax.Array,
    validation: tuple[np.ndarray, ...] | None,
    responses: np.dtype,
    selection: Selection,
    mesh: Mesh,
) -> tuple[Route, np.ndarray]:
    """The way to the fits on all stimuli, with their scores on the inner folds; and the norm of the second moments."""
    everything = np.arange(len(features))
    bordered, second = moments(replicated(features, mesh))
    projector = bordered.astype(responses)

    def at(penalty: jax.Array) -> Callable[[jax.Array], Candidate]:
        root, inner = factor_choice(bordered, second, penalty, everything, validation, responses)
        return lambda block: choice_scores(root, inner, cross(projector, block), block, selection, mesh)

    return Route(everything, at), _norm(second)


def _norm(second: jax.Array) -> np.ndarray:
    return np.asarray(jnp.linalg.norm(second[:-1, :-1]), np.float64)
