"""Partial least squares regression from a Gram matrix, scored on splits or fitted on all stimuli.

With the scores h and loadings g = h' Y of ``nipals.py`` the prediction is the sum of h g over components, plus the
mean response. A score belongs to dual vectors u, with K u = sum of h (h' K u) over this component and earlier ones,
so H = K U A^-1 with triangular A = H' K U, and the dual coefficients are U A^-1 G.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError
from engine.solvers import nipals
from engine.solvers.folds import Split, check_splits
from engine.solvers.routes import check_kernel
from engine.solvers.scoring import pearson, r2

MAX_ITER, TOL = 500, 1e-6  # of scikit-learn


class KernelPLS(NamedTuple):
    """Scores of one kernel on one set of targets, in numpy arrays.

    Attributes:
        pearson, r2: fold x target, on the test part. NaN where the target is constant there; Pearson r also where
            the prediction is, as for a target that is constant in the train part.
        iterations: fold x component. 500 means not converged (scikit-learn warns and uses what it has, as is done
            here); 0 that nothing was left to explain above rounding, and the fit ended before this component.
        predictions: test stimuli (ascending) x targets for each fold; None if not asked for.
    """

    pearson: np.ndarray
    r2: np.ndarray
    iterations: np.ndarray
    predictions: list[np.ndarray] | None


class PLSFit(NamedTuple):
    """One fit, in numpy arrays. The prediction for new stimuli is K_new @ coefficients + intercept.

    K_new is new x fitted stimuli: X_new X' of the same features, centred or not, as the kernel was.

    Attributes:
        coefficients: stimuli x targets.
        intercept: of each target.
        iterations: of each component, as in ``KernelPLS``.
    """

    coefficients: np.ndarray
    intercept: np.ndarray
    iterations: np.ndarray


def kernel_pls(
    kernel: jax.Array | np.ndarray,
    responses: np.ndarray,
    splits: Sequence[Split],
    *,
    components: int = 25,
    predictions: bool = False,
    tol: float = TOL,
) -> KernelPLS:
    """Fits the train part of every split and scores its test part.

    Equals ``sklearn.cross_decomposition.PLSRegression(components, scale=False)`` on the features of each train part,
    with as many turns of the iteration. Differences are those of rounding the kernel, about epsilon * largest
    eigenvalue / variance of the last component: in float64 1e-12 to 1e-9 of the predictions for layers of networks,
    in float32 1e-5 to 1e-3.

    Args:
        kernel: stimuli x stimuli, X X' of the features X, centred or not. Its dtype is the precision of all work;
            give float64 under ``jax.enable_x64(True)``.
        responses: stimuli x targets, none missing; all targets are fitted together.
        splits: train and test stimuli; inner folds have no part in it.
        components: no more than train stimuli.
        predictions: return the predicted responses to the test stimuli as well.
        tol: as for ``fit_pls``.

    Raises:
        InputError: shapes, folds or values that cannot be used.
    """
    kernel, responses = jnp.asarray(kernel), np.asarray(responses)
    _check(kernel, responses)
    splits = check_splits([split._replace(validation=None) for split in splits], len(kernel))
    used = np.unique(np.concatenate([np.concatenate([split.train, split.test]) for split in splits]))
    if len(used) < len(kernel):
        kernel, responses = kernel[used[:, None], used], responses[used]
    means = responses.mean(axis=0, dtype=np.float64)
    measured = jnp.asarray(responses - means, kernel.dtype)
    trains = np.stack([np.isin(used, split.train) for split in splits])
    _check_components(components, trains)
    every = nipals.components(kernel, measured, trains, components, MAX_ITER, tol)
    correlations, explained, turns, guesses = [], [], [], []
    for split, train, found in zip(splits, trains, every, strict=True):
        scored = _scored(found.scores, measured, train, np.searchsorted(used, split.test))
        correlations.append(scored[0])
        explained.append(scored[1])
        turns.append(found.turns)
        if predictions:
            guesses.append(np.asarray(scored[2]) + means)
    return KernelPLS(np.stack(correlations), np.stack(explained), np.stack(turns), guesses if predictions else None)


def fit_pls(
    kernel: jax.Array | np.ndarray,
    responses: np.ndarray,
    *,
    components: int,
    max_iter: int = MAX_ITER,
    tol: float = TOL,
) -> PLSFit:
    """Fits all stimuli; equals ``sklearn.cross_decomposition.PLSRegression(components, scale=False)``.

    Args:
        kernel, responses, components: as for ``kernel_pls``.
        max_iter: most turns of the iteration for one component.
        tol: bound on the squared change of a weight vector of length one, below which the iteration ends.

    Raises:
        InputError: shapes or values that cannot be used.
    """
    kernel, responses = jnp.asarray(kernel), np.asarray(responses)
    _check(kernel, responses)
    means = responses.mean(axis=0, dtype=np.float64)
    measured = jnp.asarray(responses - means, kernel.dtype)
    everything = np.ones((1, len(kernel)), bool)
    _check_components(components, everything)
    (found,) = nipals.components(kernel, measured, everything, components, max_iter, tol)
    coefficients, intercept = _dual(found, kernel, measured)
    return PLSFit(np.asarray(coefficients), np.asarray(intercept) + means, np.asarray(found.turns))


@jax.jit
def _scored(
    scores: jax.Array, responses: jax.Array, train: jax.Array, test: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Pearson r, R2 and predictions on the test part."""
    loadings, means = _loadings(scores, responses, train)
    predicted = jnp.matmul(scores[:, test].T, loadings, precision="highest") + means
    return pearson(responses[test], predicted, jnp.nan), r2(responses[test], predicted, jnp.nan), predicted


@jax.jit
def _dual(found: nipals.Components, kernel: jax.Array, responses: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Coefficients and intercept of a fit to all stimuli."""
    loadings, means = _loadings(found.scores, responses, jnp.ones(len(kernel), bool))
    images = jnp.matmul(found.duals, kernel, precision="highest")
    mixing = jnp.matmul(found.scores, images.T, precision="highest")
    mixing += jnp.diag((found.turns == 0).astype(mixing.dtype))
    weights = jax.scipy.linalg.solve_triangular(mixing, loadings)
    level = jnp.matmul(images.mean(axis=1), weights, precision="highest")
    return jnp.matmul(found.duals.T, weights, precision="highest"), means - level


def _loadings(scores: jax.Array, responses: jax.Array, train: jax.Array) -> tuple[jax.Array, jax.Array]:
    """g = h' Y, and the mean response; both over the train part."""
    inside = train.astype(responses.dtype)
    loadings = jnp.matmul(scores * inside, responses, precision="highest")
    means = jnp.matmul(inside, responses, precision="highest") / inside.sum()
    # What a constant target has for loadings is rounding error, but would be given a Pearson r.
    return loadings * nipals.varied(responses, train), means


def _check(kernel: jax.Array, responses: np.ndarray) -> None:
    check_kernel(kernel, 2)
    if responses.ndim != 2 or len(responses) != len(kernel) or not responses.shape[1]:
        raise InputError(f"wanted responses of {len(kernel)} stimuli x targets, got shape {responses.shape}")
    if not np.issubdtype(responses.dtype, np.number) or np.issubdtype(responses.dtype, np.complexfloating):
        raise InputError(f"wanted responses as real numbers, got {responses.dtype}")
    if not np.isfinite(responses).all():
        raise InputError(
            "responses hold NaN or infinity; PLS fits all targets together, so leave out stimuli or targets"
        )


def _check_components(components: int, trains: np.ndarray) -> None:
    smallest = trains.sum(axis=1).min()
    if not isinstance(components, int | np.integer) or not 1 <= components <= smallest:
        raise InputError(f"wanted 1 to {smallest} components, no more than train stimuli; got {components}")
