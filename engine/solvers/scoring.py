"""Scores of held-out predictions at one penalty, column by column, inside jit."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

Selection = Literal["r2", "pearson", "mse"]
SELECTIONS: tuple[str, ...] = get_args(Selection)

Held = tuple[jax.Array, jax.Array]  # measured, predicted: held-out stimuli x targets


class PenaltyScores(NamedTuple):
    """What one penalty is worth, fold x target each.

    Attributes:
        selection: mean inner score, by which penalties are chosen.
        pearson, r2: on the test part, fitted on the whole train part.
        predictions: one array of test stimuli x targets per fold; empty if not asked for.
        broken: some prediction of the fold is NaN, which no score may hide.
    """

    selection: jax.Array
    pearson: jax.Array
    r2: jax.Array
    predictions: tuple[jax.Array, ...]
    broken: jax.Array


def penalty_scores(
    inner: Sequence[Sequence[Held]], outer: Sequence[Held], selection: Selection, predictions: bool
) -> PenaltyScores:
    """Scores from the inner folds of every outer fold, and from every outer test part.

    A constant column scores 0 in an inner fold, as in himalaya, so that a neuroid silent in one of them can still be
    fitted; in a test part its Pearson r and R2 are NaN.
    """
    chosen, broken = inner_scores(inner, selection)
    return PenaltyScores(
        chosen,
        jnp.stack([pearson(*held, jnp.nan) for held in outer]),
        jnp.stack([r2(*held, jnp.nan) for held in outer]),
        tuple(predicted for _, predicted in outer) if predictions else (),
        broken | jnp.stack([_any_nan([held]) for held in outer]),
    )


def inner_scores(inner: Sequence[Sequence[Held]], selection: Selection) -> tuple[jax.Array, jax.Array]:
    """Mean score over the inner folds of every outer fold, and whether any prediction is NaN: fold x target each."""
    score = {"r2": r2, "pearson": pearson, "mse": negative_mse}[selection]
    return (
        jnp.stack([jnp.stack([score(*held, 0.0) for held in folds]).mean(axis=0) for folds in inner]),
        jnp.stack([_any_nan(folds) for folds in inner]),
    )


def _any_nan(folds: Sequence[Held]) -> jax.Array:
    # A sum is NaN where a term is; this one is there already for the scores.
    return jnp.isnan(jnp.stack([_squared_residual(*held) for held in folds]).sum(axis=0))


def joined_folds(folds: Sequence[PenaltyScores]) -> PenaltyScores:
    """One result of several that hold different outer folds of the same targets."""
    return PenaltyScores(
        jnp.concatenate([fold.selection for fold in folds]),
        jnp.concatenate([fold.pearson for fold in folds]),
        jnp.concatenate([fold.r2 for fold in folds]),
        tuple(guess for fold in folds for guess in fold.predictions),
        jnp.concatenate([fold.broken for fold in folds]),
    )


def _sum(values: jax.Array) -> jax.Array:
    # Over a column, as a product: on CPUs XLA sums columns on one core.
    return jnp.matmul(jnp.ones(len(values), values.dtype), values, precision="highest")


def _squared_residual(measured: jax.Array, predicted: jax.Array) -> jax.Array:
    residual = measured - predicted
    return _sum(residual * residual)


def _spread(values: jax.Array) -> jax.Array:
    # Taking the first row off before the mean makes the spread of a constant column exactly zero.
    shifted = values - values[0]
    return shifted - _sum(shifted) / len(shifted)


def r2(measured: jax.Array, predicted: jax.Array, undefined: float) -> jax.Array:
    """1 - residual / total sum of squares of each column; ``undefined`` where the measured column is constant."""
    spread = _spread(measured)
    total = _sum(spread * spread)
    return jnp.where(total == 0, undefined, 1 - _squared_residual(measured, predicted) / total)


def pearson(measured: jax.Array, predicted: jax.Array, undefined: float) -> jax.Array:
    """Pearson r of each column; ``undefined`` where either column is constant, the predicted one up to rounding."""
    spread, guess = _spread(measured), _spread(predicted)
    total, explained = _sum(spread * spread), _sum(guess * guess)
    rounding = 16 * jnp.finfo(predicted.dtype).eps * jnp.abs(predicted).max(axis=0)
    flat = (total == 0) | (explained <= len(predicted) * rounding * rounding)
    # Two roots: in float32 the product of the sums leaves the range for responses of 1e9, or of 1e-11.
    return jnp.where(flat, undefined, _sum(spread * guess) / (jnp.sqrt(total) * jnp.sqrt(explained)))


def negative_mse(measured: jax.Array, predicted: jax.Array, undefined: float) -> jax.Array:
    """Minus the mean squared residual of each column; always defined."""
    del undefined
    return -_squared_residual(measured, predicted) / len(measured)
