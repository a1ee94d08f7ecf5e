"""Banded ridge: several feature spaces, each with a penalty of its own, found by random search.

Penalty a / w_s on space s is ridge at penalty a on the summed kernel

    K = sum_s w_s K_s,    K_s = X_s X_s',

that is on the features sqrt(w_s) X_s side by side. Candidates are weightings w drawn from the simplex and, for each, a
list of penalties a; each target takes the pair with the best mean score over the folds. Every fold of every candidate
is exact and none is skipped.

Cost of one weighting: 2 S n^2 flops for the summed kernel, then for every penalty what ``fold_weights.py`` says. At
1500 stimuli, 2000 targets, 5 folds and 10 penalties 0.14 Tflop, half of it in the held-out predictions themselves.
The fit on all stimuli takes another 1.6 n^3 for each pair that some target chose.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError
from engine.solvers.banded_search import Candidates, choose, coefficients, layouts_of
from engine.solvers.folds import check_validation
from engine.solvers.nested import breakdown, check, check_scorable
from engine.solvers.routes import PRECISIONS, deflated
from engine.solvers.scoring import Selection
from engine.solvers.threads import one_for_lapack


class BandedFit(NamedTuple):
    """A fit on all stimuli, in numpy arrays.

    The prediction for new stimuli is sum_s weights[s] * (K_s,new @ coefficients) + intercept, with
    K_s,new = X_s,new X_s' from the same features, centred or not, as the kernels given.

    Attributes:
        weights: spaces x targets, the chosen weighting.
        penalty: of each target.
        weighting_index, penalty_index: of each target, positions in the lists given.
        selection: weightings x targets, the score at the best penalty of each weighting; of a group, its mean.
        coefficients: stimuli x targets.
        intercept: of each target.
    """

    weights: np.ndarray
    penalty: np.ndarray
    weighting_index: np.ndarray
    penalty_index: np.ndarray
    selection: np.ndarray
    coefficients: np.ndarray
    intercept: np.ndarray


def simplex_weightings(
    spaces: int, count: int, seed: int | None, concentration: Sequence[float] = (0.1, 1.0)
) -> np.ndarray:
    """Random weightings, count x spaces, each summing to one; equal to himalaya's ``generate_dirichlet_samples``.

    Args:
        spaces: number of feature spaces.
        count: number of weightings.
        seed: of the draw; None for another one every time.
        concentration: of the Dirichlet distributions the weightings come from in turn: 1 is uniform over the simplex,
            less favours few spaces, more favours equal weights.

    Raises:
        InputError: arguments that cannot be used.
    """
    if spaces < 1 or count < 1 or not len(concentration) or not all(0 < c < np.inf for c in concentration):
        raise InputError(
            f"wanted at least one space, one weighting and positive concentrations, got {spaces}, {count} and "
            f"{concentration}"
        )
    random = np.random.RandomState(seed)
    each = -(-count // len(concentration))
    drawn = np.stack([random.dirichlet([c] * spaces, each) for c in concentration], axis=1)
    return drawn.reshape(-1, spaces)[:count]


def fit_banded(
    kernels: jax.Array | np.ndarray,
    responses: np.ndarray,
    validation: Sequence[np.ndarray] | None,
    weightings: np.ndarray,
    penalties: Sequence[float] | np.ndarray,
    *,
    selection: Selection = "mse",
    groups: np.ndarray | None = None,
    fit_intercept: bool = True,
) -> BandedFit:
    """Chooses a weighting and a penalty for each target and fits on all stimuli.

    Equals himalaya's ``solve_multiple_kernel_ridge_random_search(n_iter=weightings, local_alpha=True)`` with the same
    folds, where ``mse`` is its default score. Ties go to the first weighting listed, then the first penalty.

    Args:
        kernels: spaces x stimuli x stimuli, one Gram matrix X_s X_s' each, centred or not. Their dtype is the
            precision of all work; give float64 under ``jax.enable_x64(True)``.
        responses: stimuli x targets, none missing.
        validation: held-out stimuli of each fold; None for leave-one-out. Folds that share no stimulus share one
            inverse for each candidate.
        weightings: candidates x spaces, not negative.
        penalties: positive; a of the minimised |Y - sum_s X_s B_s - b|^2 + a sum_s |B_s|^2 / w_s.
        selection: ``mse`` (its negative), ``r2`` or ``pearson``; over folds the mean, in leave-one-out the score of
            all held-out predictions together.
        groups: label of each target; targets with the same label share weighting and penalty, the pair with the best
            mean of their scores.
        fit_intercept: add an unpenalised intercept, fitted anew in every fold.

    Warns:
        RuntimeWarning: penalties below the resolution of a summed kernel in its dtype.

    Raises:
        InputError: shapes, folds or values that cannot be used; a candidate that cannot be factorised.
    """
    # Held on the host until its stimuli are ordered by fold.
    kernels, responses = np.asarray(jnp.asarray(kernels)), np.asarray(responses)
    check_kernels(kernels)
    stimuli = kernels.shape[-1]
    check_complete(stimuli, responses, penalties, selection, groups)
    targets = responses.shape[1]
    weightings = _check_weightings(weightings, len(kernels))
    parts = check_validation(validation, np.arange(stimuli), stimuli, "validation")
    check_scorable(parts, selection, "validation")
    grid = np.asarray(penalties, np.float64)
    layouts = layouts_of(parts, stimuli)
    order = layouts[0].order
    place = np.argsort(order)
    layouts = [layout._replace(order=place[layout.order]) for layout in layouts]
    levels = kernels.mean(axis=1, dtype=np.float64)
    ordered = jnp.asarray(kernels[:, order[:, None], order])
    ordered, norms = deflated(ordered) if fit_intercept else (ordered, np.linalg.norm(kernels, axis=(1, 2)))
    _warn(weightings @ np.asarray(norms, np.float64), grid, kernels.dtype)
    means = responses.mean(axis=0, dtype=np.float64) if fit_intercept else np.zeros(targets)
    centred = (responses - means)[order].astype(kernels.dtype)
    candidates = Candidates(ordered, weightings, grid, fit_intercept)
    with one_for_lapack():
        best, scores = choose(candidates, centred, layouts, selection, groups)
        dual = coefficients(candidates, centred, best)[place]
    first, second = np.divmod(best, len(grid))
    weights = weightings[first].T
    intercept = means - (weights * (levels @ dual)).sum(axis=0) if fit_intercept else means
    return BandedFit(weights, grid[second], first, second, scores, dual, intercept)


def _warn(norms: np.ndarray, grid: np.ndarray, dtype: np.dtype) -> None:
    low = grid < np.finfo(dtype).eps * norms[:, None]
    if low.any():
        warnings.warn(
            f"{low.sum()} of {low.size} candidates have penalties below the resolution of their summed kernel in "
            f"{dtype}, up to {np.finfo(dtype).eps * norms.max():.3g}: fits there follow its rounding errors; "
            f"{breakdown(dtype)}",
            RuntimeWarning,
            stacklevel=3,
        )


def check_complete(
    stimuli: int,
    responses: np.ndarray,
    penalties: Sequence[float] | np.ndarray,
    selection: str,
    groups: np.ndarray | None,
) -> None:
    """Raises InputError for arguments that cannot be used, missing responses among them."""
    check(stimuli, responses, penalties, selection, groups)
    if not np.isfinite(responses).all():
        raise InputError("responses hold NaN or infinity; fit targets with missing responses on the others")


def check_kernels(kernels: np.ndarray) -> None:
    """Raises InputError unless these are spaces x stimuli x stimuli, finite real numbers."""
    if kernels.ndim != 3 or not len(kernels) or kernels.shape[1] != kernels.shape[2] or kernels.dtype not in PRECISIONS:
        raise InputError(
            f"wanted one square kernel of real numbers for each feature space, got {kernels.dtype} of shape "
            f"{kernels.shape}; float32 and float64 can be solved"
        )
    if not np.isfinite(kernels).all():
        raise InputError("the kernels hold NaN or infinity; check the features they were computed from")


def _check_weightings(weightings: np.ndarray, spaces: int) -> np.ndarray:
    array = np.asarray(weightings, np.float64)
    if array.ndim != 2 or not len(array) or array.shape[1] != spaces:
        raise InputError(f"wanted weightings as candidates x {spaces} spaces, got shape {array.shape}")
    if not np.isfinite(array).all() or (array < 0).any() or not array.any(axis=1).all():
        raise InputError("weightings must be positive numbers or 0, and not all 0 in one candidate")
    return array
