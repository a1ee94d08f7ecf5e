"""Reverse mapping by partial least squares: all units of a layer from the neuroids, fitted jointly.

NIPALS sees the units Y only through G = Y Y' (stimuli x stimuli) and the unit y that it starts from, so the components
come from a layer's Gram matrix, and a block of units needs nothing more than its loadings on them: layers of any width
pass by in blocks, once for the Gram matrix and once for the scores. With few neuroids X the iteration runs on their
weights, w <- M w / |M w| with M = X' G X (neuroids x neuroids) from w = X' y; deflation keeps Z = G X,

    t = X w, p = X' t / t't:    X <- X - t p',    Z <- Z - (Z w) p',    y <- y - t (t'y / t't).

Cost per split of n stimuli, p neuroids, k components: 2 n² p flops for Z, 2 k n p² for M and 2 p² per turn; and 2 k n
per unit for the scores. Memory beside the block: two n x n matrices and a few n x p.

Brain-Score's ``reverse_pls`` (its 10 splits, 25 components) after Muzellec & Kar (Nature Machine Intelligence 2026).
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
from engine.solvers.pls import MAX_ITER, TOL
from engine.solvers.scoring import pearson

WIDTH = 8192  # units worked on at once


class PreparedPLS(NamedTuple):
    """What all blocks of units share; made by ``prepare_pls``.

    Attributes:
        splits: checked.
        scores: for each split components x stimuli, orthonormal over its train stimuli.
        turns: splits x components, of the iteration; 500 is not converged.
    """

    splits: Sequence[Split]
    scores: list[np.ndarray]
    turns: np.ndarray


def prepare_pls(
    responses: np.ndarray, splits: Sequence[Split], gram: np.ndarray, first: np.ndarray, components: int = 25
) -> PreparedPLS:
    """Finds the components of every split, in float64.

    Args:
        responses: stimuli x neuroids, none missing, averaged over repetitions.
        splits: over the stimuli; inner folds have no part in it.
        gram: stimuli x stimuli, Y Y' of all units of the layer, shifted by any vector or not (``Summary.gram``).
        first: of each stimulus, the first unit that varies; scikit-learn starts from it, and results depend on the
            start by no more than the tolerance of the iteration.
        components: no more than neuroids or train stimuli, as in scikit-learn.

    Raises:
        InputError: values or shapes that cannot be used; more components than neuroids.
    """
    predictors = check_predictors(responses)
    n, neuroids = predictors.shape
    checked = check_splits([split._replace(validation=None) for split in splits], n)
    most = min(neuroids, *(len(split.train) for split in checked))
    if not 1 <= components <= most:
        raise InputError(f"wanted 1 to {most} components, no more than neuroids and train stimuli; got {components}")
    gram, first = _centred(gram, first, n)
    found = [_components(predictors, gram, first, split.train, components) for split in checked]
    return PreparedPLS(checked, [scores for scores, _ in found], np.stack([turns for _, turns in found]))


def score_block_pls(prepared: PreparedPLS, units: np.ndarray) -> Scores:
    """Scores of one block of units; equals those columns of scikit-learn's ``PLSRegression(k, scale=False)``.

    Args:
        prepared: by ``prepare_pls`` from the Gram matrix of all blocks together.
        units: stimuli x units; their dtype is that of the products.

    Returns:
        Scores, splits x units: Pearson r on the test stimuli, NaN where a unit is constant over the train or the test
        stimuli. No ``selection``. Units that are constant over all stimuli are counted in the notes.
    """
    units = check_units(units, prepared.scores[0].shape[1])
    with jax.enable_x64(units.dtype == np.float64):
        return _score(prepared, units)


def _score(prepared: PreparedPLS, units: np.ndarray) -> Scores:
    found = []
    for start in range(0, units.shape[1], WIDTH):
        part = units[:, start : start + WIDTH]
        width = part.shape[1]
        if units.shape[1] > WIDTH:
            part = np.pad(part, ((0, 0), (0, WIDTH - width)))  # one program for all
        block = jnp.asarray(part - part.mean(axis=0))
        scores = [
            _pearson(jnp.asarray(each, block.dtype), block, split.train, split.test)
            for each, split in zip(prepared.scores, prepared.splits, strict=True)
        ]
        found.append(np.stack([np.asarray(each) for each in scores])[:, :width])
    value = np.concatenate(found, axis=1)
    return Scores(value, np.full_like(value, np.nan), {}, dead_units(units))


def reverse_pls(responses: np.ndarray, units: np.ndarray, splits: Sequence[Split], components: int = 25) -> Scores:
    """Both passes over units that are in memory, stimuli x units."""
    units = check_units(units, len(responses))
    varies = np.flatnonzero(units.max(axis=0) != units.min(axis=0))
    if not len(varies):
        raise InputError(f"all {units.shape[1]} units are constant over the stimuli; there is nothing to predict")
    gram = np.zeros((len(units),) * 2)
    for start in range(0, units.shape[1], WIDTH):
        part = units[:, start : start + WIDTH].astype(np.float64)
        part -= part.mean(axis=0)
        gram += part @ part.T
    return score_block_pls(prepare_pls(responses, splits, gram, units[:, varies[0]], components), units)


def _centred(gram: np.ndarray, first: np.ndarray, stimuli: int) -> tuple[np.ndarray, np.ndarray]:
    gram, first = np.asarray(gram, np.float64), np.asarray(first, np.float64)
    if gram.shape != (stimuli, stimuli) or first.shape != (stimuli,):
        raise InputError(
            f"wanted a Gram matrix of {stimuli} x {stimuli} and a unit of {stimuli} stimuli, got {gram.shape} and "
            f"{first.shape}"
        )
    if not np.isfinite(gram).all() or not np.isfinite(first).all() or np.ptp(first) == 0:
        raise InputError("the Gram matrix or the first unit is not finite, or the first unit is constant")
    means = gram.mean(axis=0)
    return gram - means - means[:, None] + means.mean(), first - first.mean()


def _components(
    predictors: np.ndarray, gram: np.ndarray, first: np.ndarray, train: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of all stimuli, components x stimuli, of length one over the train stimuli; and the turns taken."""
    every = predictors - predictors[train].mean(axis=0)
    y = first[train] - first[train].mean()
    image = gram[np.ix_(train, train)] @ every[train]
    image -= image.mean(axis=0)  # the columns of X have mean 0 there, so this centres G
    scores, turns = np.zeros((count, len(predictors))), np.zeros(count, int)
    rounding = 8 * np.finfo(np.float64).eps
    full = length = 0.0
    for k in range(count):
        own = every[train]
        moment = own.T @ image
        left = np.diagonal(moment)
        full, length = max(full, left.max()), max(length, float(np.linalg.norm(own)))
        if left.max() <= rounding * full:
            break  # nothing is left to explain but rounding
        start = own.T @ y
        if np.linalg.norm(start) <= rounding * length * np.linalg.norm(first):
            start = moment[:, left.argmax()]  # the first unit is used up
        w, turns[k] = _leading(moment, start / np.linalg.norm(start))
        t = every @ w
        squared = t[train] @ t[train]
        p = own.T @ t[train] / squared
        scores[k] = t / np.sqrt(squared)
        image -= np.outer(image @ w, p)
        every -= np.outer(t, p)
        y -= t[train] * (t[train] @ y / squared)
    return scores, turns


def _leading(moment: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, int]:
    """The weights that the power iteration ends with as scikit-learn's does, and its number of turns."""
    for turn in range(2, MAX_ITER + 1):
        old, w = w, moment @ w
        w /= np.linalg.norm(w)
        if (w - old) @ (w - old) < TOL:
            return w, turn
    return w, MAX_ITER


@jax.jit
def _pearson(scores: jax.Array, units: jax.Array, train: jax.Array, test: jax.Array) -> jax.Array:
    fitted, held = units[train], units[test]
    varied = (fitted != fitted[0]).any(axis=0)
    loadings = jnp.matmul(scores[:, train], fitted, precision="highest")
    predicted = jnp.matmul(scores[:, test].T, loadings, precision="highest")
    return jnp.where(varied, pearson(held, predicted, jnp.nan), jnp.nan)
