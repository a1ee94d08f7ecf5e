"""Reverse mapping by ridge regression: how well neuroids or voxels predict each unit of a layer on held-out stimuli.

The predictors X (stimuli x p neuroids) are few and the targets many, so everything that does not depend on the units is
made once (``prepare``) and the units pass by in blocks (``score_block``), each of which is read once for all splits and
penalties. A block enters only through its moments over sets of stimuli: with C = X'Y, and A = X'X centred over the
evaluated set E, the fit on F at penalty a, in the eigenvectors Q of its centred X'X = Q diag(w) Q', is

    beta = Q'C_F / (w + a),    sum of ŷ y = beta' Q'C_E,    sum of ŷ² = |R Q beta|²  with R'R = A_E,

all centred, which give R2 and Pearson r without one predicted value. More neuroids than stimuli are first rotated into
the space of the stimuli, where ridge is the same.

Cost per unit, n stimuli, p predictors, s splits of i inner folds, g penalties: at most 4 s n p flops for the moments
(2 n p for k-fold), s i (4 + 2 g) p² for the choice and 6 s p² for the scores. Memory beside the block: p² for each fit,
s (i + 1) of them, and ``WIDTH`` units at a time.

After Horikawa & Kamitani (Nature Communications 2017), who predict units of a network from voxels, and Muzellec & Kar
(Nature Machine Intelligence 2026), who name it reverse predictivity (ridge at penalty 0.1, 10 folds).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError
from engine.metrics.reverse_units import check_predictors, check_units, dead_units
from engine.metrics.scores import Scores
from engine.solvers.folds import Split, check_splits
from engine.solvers.threads import one_for_lapack

WIDTH = 2048  # units worked on at once

Array = jax.Array | np.ndarray


class Fit(NamedTuple):
    """A fit on one set of stimuli, evaluated on another; all in the fit's eigenvectors but the two means.

    Attributes:
        rotation: Q, p x p.
        values: w, p.
        root: R Q, at most p rows.
        apart: Q' (mean over E less mean over F), p.
        own_mean, other_mean: of the predictors over F and over E, p.
        sizes: how many stimuli are in F and in E.
    """

    rotation: Array
    values: Array
    root: Array
    apart: Array
    own_mean: Array
    other_mean: Array
    sizes: tuple[float, float]


class Moments(NamedTuple):
    """Of a block over one set of stimuli: X'Y (p x units), sums and squares of Y, and whether a unit varies."""

    crossed: jax.Array
    sums: jax.Array
    squares: jax.Array
    varied: jax.Array


class Prepared(NamedTuple):
    """What all blocks of units share; made by ``prepare``.

    Attributes:
        predictors: stimuli x p, float64, centred over all stimuli.
        splits: checked.
        penalties: as given.
        outer: a fit for each split.
        inner: for each split, a fit for each of its inner folds; none where the split has none.
    """

    predictors: np.ndarray
    splits: Sequence[Split]
    penalties: np.ndarray
    outer: list[Fit]
    inner: list[list[Fit]]


def prepare(responses: np.ndarray, splits: Sequence[Split], penalties: Sequence[float] | np.ndarray) -> Prepared:
    """Factorises the predictors for every split and inner fold.

    Args:
        responses: stimuli x neuroids, none missing, averaged over repetitions.
        splits: over the stimuli, with inner folds unless there is one penalty.
        penalties: a of the minimised |Y - X B - b|² + a |B|², positive; in the responses' units, not relative.

    Raises:
        InputError: values, shapes, folds or penalties that cannot be used.
    """
    predictors = check_predictors(responses)
    grid = np.asarray(penalties, np.float64)
    if grid.ndim != 1 or not grid.size or not np.isfinite(grid).all() or (grid <= 0).any():
        raise InputError(f"wanted one or more positive penalties, got {penalties}")
    if grid.size > 1 and any(split.validation is None for split in splits):
        raise InputError("reverse ridge chooses its penalty on inner folds; give folds, not leave-one-out")
    checked = check_splits(splits, len(predictors))
    if predictors.shape[1] > len(predictors):
        with one_for_lapack():
            left, values, _ = np.linalg.svd(predictors, full_matrices=False)
        predictors = left * values
    outer = [_fit(predictors, split.train, split.test) for split in checked]
    inner = [
        [_fit(predictors, np.setdiff1d(split.train, part), part) for part in split.validation or ()]
        for split in checked
    ]
    return Prepared(predictors, checked, grid, outer, inner)


def score_block(prepared: Prepared, units: np.ndarray) -> Scores:
    """Nested cross-validated ridge from the neuroids to one block of units.

    Equals ``sklearn.linear_model.Ridge(a)`` refitted with an intercept for every split, inner fold and penalty; the
    penalty of each unit is the one with the best mean R2 over the inner folds (a unit that is constant in one scores 0
    there), the first of equals.

    Args:
        prepared: by ``prepare``.
        units: stimuli x units. Their dtype is that of the products, float32 or float64; float32 scores are off by
            about 1e-7 times the root of the condition number of the centred responses' X'X + a.

    Returns:
        Scores, splits x units: Pearson r on the test stimuli, NaN where a unit is constant over the train or the test
        stimuli; ``selection`` the inner R2 (NaN without inner folds); ``penalty``. Units that are constant over all
        stimuli are counted in the notes.

    Raises:
        InputError: shapes, or units that are not finite.
    """
    units = check_units(units, len(prepared.predictors))
    with jax.enable_x64(units.dtype == np.float64):
        return _score(prepared, units)


def _score(prepared: Prepared, units: np.ndarray) -> Scores:
    dtype = units.dtype
    predictors, outer, inner = jax.tree.map(
        lambda array: jnp.asarray(array, dtype), (prepared.predictors, prepared.outer, prepared.inner)
    )
    penalties = jnp.asarray(prepared.penalties, dtype)
    found = []
    for start in range(0, units.shape[1], WIDTH):
        part = units[:, start : start + WIDTH]
        width = part.shape[1]
        if units.shape[1] > WIDTH:
            part = np.pad(part, ((0, 0), (0, WIDTH - width)))  # one program for all
        result = _block(prepared.splits, predictors, outer, inner, penalties, part)
        found.append(tuple(np.asarray(array)[:, :width] for array in result))
    pearson, index, selection = (np.concatenate(each, axis=1) for each in zip(*found, strict=True))
    return Scores(pearson, selection, {"penalty": prepared.penalties[index]}, dead_units(units))


def _fit(predictors: np.ndarray, fitted: np.ndarray, evaluated: np.ndarray) -> Fit:
    own, other = predictors[fitted], predictors[evaluated]
    own_mean, other_mean = own.mean(axis=0), other.mean(axis=0)
    own = own - own_mean
    with one_for_lapack():
        values, rotation = np.linalg.eigh(own.T @ own)
        turned = (other - other_mean) @ rotation
        root = np.asarray(np.linalg.qr(turned, mode="r")) if len(turned) > len(rotation) else turned
    sizes = float(len(fitted)), float(len(evaluated))
    return Fit(rotation, np.maximum(values, 0), root, rotation.T @ (other_mean - own_mean), own_mean, other_mean, sizes)


def _block(
    splits: Sequence[Split],
    predictors: jax.Array,
    outer: Sequence[Fit],
    inner: Sequence[Sequence[Fit]],
    penalties: jax.Array,
    units: np.ndarray,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Pearson r, position of the penalty and inner R2: splits x units."""
    shifted = jnp.asarray(units - units.mean(axis=0))
    everything = np.arange(len(units))
    seen: dict[bytes, Moments] = {}

    def over(chosen: np.ndarray) -> Moments:
        key = chosen.tobytes()
        if key not in seen:
            seen[key] = _moments(predictors, shifted, chosen)
        return seen[key]

    found = []
    for split, fit, folds in zip(splits, outer, inner, strict=True):
        held = np.setdiff1d(everything, split.train)
        train = _without(over(everything), over(held), _varied(shifted, split.train))
        parts = [over(part) for part in split.validation or ()] if folds else []
        found.append(_fold(fit, list(folds), train, over(split.test), parts, penalties))
    pearson, index, selection = (jnp.stack(each) for each in zip(*found, strict=True))
    return pearson, index, selection


@jax.jit
def _moments(predictors: jax.Array, units: jax.Array, chosen: jax.Array) -> Moments:
    own = units[chosen]
    ones = jnp.ones(len(chosen), own.dtype)
    sums = jnp.matmul(ones, own, precision="highest")
    crossed = jnp.matmul(predictors[chosen].T, own, precision="highest")
    squares = jnp.matmul(ones, own * own, precision="highest")
    return Moments(crossed, sums, squares, (own != own[0]).any(axis=0))


@jax.jit
def _varied(units: jax.Array, chosen: jax.Array) -> jax.Array:
    return (units[chosen] != units[chosen[0]]).any(axis=0)


@jax.jit
def _without(every: Moments, left_out: Moments, varied: jax.Array) -> Moments:
    return Moments(
        every.crossed - left_out.crossed, every.sums - left_out.sums, every.squares - left_out.squares, varied
    )


@jax.jit
def _fold(
    outer: Fit, inner: list[Fit], train: Moments, test: Moments, parts: list[Moments], penalties: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    index, selection = jnp.zeros(train.sums.shape, jnp.int32), jnp.full(train.sums.shape, jnp.nan, train.sums.dtype)
    if inner:
        scores = jnp.zeros((len(penalties), *train.sums.shape), train.sums.dtype)
        for fit, part in zip(inner, parts, strict=True):
            scores += _inner_r2(fit, _without(train, part, train.varied), part, penalties) / len(inner)
        index, selection = scores.argmax(axis=0).astype(jnp.int32), scores.max(axis=0)
    crossed, other, total, _ = _rotated(outer, train, test)
    beta = crossed / (outer.values[:, None] + penalties[index])
    guess = jnp.matmul(outer.root, beta, precision="highest")
    # Two roots: the product of the sums leaves the range of float32 for activations of 1e9, or of 1e-11.
    r = (beta * other).sum(axis=0) / jnp.sqrt((guess * guess).sum(axis=0)) / jnp.sqrt(total)
    return jnp.where(train.varied & test.varied, r, jnp.nan), index, selection


def _rotated(fit: Fit, own: Moments, other: Moments) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Q'C of both sets, centred; sum of squares of Y over the evaluated one; and how far the means are apart."""
    m, k = fit.sizes
    crossed = own.crossed - fit.own_mean[:, None] * own.sums
    apart = other.crossed - fit.other_mean[:, None] * other.sums
    turned = [jnp.matmul(fit.rotation.T, each, precision="highest") for each in (crossed, apart)]
    return turned[0], turned[1], other.squares - other.sums**2 / k, other.sums / k - own.sums / m


def _inner_r2(fit: Fit, own: Moments, other: Moments, penalties: jax.Array) -> jax.Array:
    crossed, apart, total, distance = _rotated(fit, own, other)

    def at(penalty: jax.Array) -> jax.Array:
        beta = crossed / (fit.values + penalty)[:, None]
        guess = jnp.matmul(fit.root, beta, precision="highest")
        level = distance - jnp.matmul(fit.apart, beta, precision="highest")
        explained = 2 * (beta * apart).sum(axis=0) - (guess * guess).sum(axis=0) - fit.sizes[1] * level**2
        return jnp.where(other.varied, explained / total, 0)

    return jax.lax.map(at, penalties)
