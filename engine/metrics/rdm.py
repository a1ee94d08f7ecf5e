"""Representational dissimilarity matrices (RDMs): how different the responses to every two stimuli are.

Kriegeskorte, Mur & Bandettini, Frontiers in Systems Neuroscience 2008. An RDM is n x n over n stimuli, float64,
symmetric, with a diagonal of zeros. Of a layer it follows from its Summary, whatever the number of units:

    squared euclidean   g_ii + g_jj - 2 g_ij                  g: shifted Gram matrix; differences drop the shift
    correlation         1 - c_ij / sqrt(c_ii c_jj)            c = k - s sᵀ / p; k: unshifted Gram, s: sums, p: units
    cosine              1 - k_ij / sqrt(k_ii k_jj)

Cost: a few passes over n² numbers; of responses, one product of n² x neuroids multiply-adds before.
"""

from typing import Literal, get_args

import numpy as np
from scipy.linalg import solve_triangular

from engine.errors import InputError, unknown
from engine.gram import Summary

Distance = Literal["correlation", "euclidean", "squared_euclidean", "cosine"]
DISTANCES: tuple[str, ...] = get_args(Distance)

Shrinkage = Literal["full", "diag", "shrinkage_eye", "shrinkage_diag"]
SHRINKAGES: tuple[str, ...] = get_args(Shrinkage)


def layer_rdm(summary: Summary, distance: Distance) -> np.ndarray:
    """RDM of a layer over all its units, n x n.

    Equals ``scipy.spatial.distance.pdist`` of the activations (``euclidean``, ``sqeuclidean``, ``correlation``,
    ``cosine``) up to the rounding of the Gram matrix: a squared distance is off by about eps * g_ii, so distances
    between near-identical stimuli are the least exact. ``correlation`` equals ``1 - numpy.corrcoef``.
    A row and column are NaN where the measure is not defined for a stimulus: all its units respond alike
    (correlation) or not at all (cosine), up to the rounding of the Gram matrix.
    """
    _check_distance(distance)
    gram = np.asarray(summary.gram, np.float64)
    if distance in ("euclidean", "squared_euclidean"):
        return _from_kernel(gram, distance)
    along = np.asarray(summary.along_shift, np.float64)
    kernel = gram + along[:, None]
    kernel += along
    kernel += summary.shift_squared
    # What the diagonal is a sum of, by size: the scale of its rounding errors.
    size = np.diag(gram) + 2 * np.abs(along) + summary.shift_squared
    if distance == "correlation":
        mean = np.asarray(summary.sums, np.float64) / np.sqrt(summary.units)
        kernel -= mean[:, None] * mean
        size = size + mean * mean
    eps = np.finfo(np.asarray(summary.gram).dtype).eps
    return _one_minus_normalised(kernel, np.diag(kernel) <= 16 * eps * size)


def response_rdm(responses: np.ndarray, distance: Distance) -> np.ndarray:
    """RDM of recorded responses (stimuli x neuroids, none missing), n x n. Equals ``pdist`` as ``layer_rdm`` does.

    Raises InputError where responses are missing, or fewer than two stimuli or (correlation) neuroids are given.
    """
    _check_distance(distance)
    x = check_responses(responses, ("stimuli", "neuroids"))
    if distance in ("euclidean", "squared_euclidean"):
        x = x - x.mean(axis=0)
        return _from_kernel(x @ x.T, distance)
    if distance == "correlation":
        if x.shape[1] < 2:
            raise InputError("a correlation over neuroids needs at least 2 neuroids, got 1; use distance=euclidean")
        # Taking one neuroid off before the mean makes the spread of a constant row exactly zero.
        x = x - x[:, :1]
        x -= x.mean(axis=1, keepdims=True)
    kernel = x @ x.T
    return _one_minus_normalised(kernel, np.diag(kernel) == 0)


def noise_covariance(repeats: np.ndarray, method: Shrinkage) -> np.ndarray:
    """Covariance of the noise of single repetitions, neuroids x neuroids, from repeats x stimuli x neuroids.

    Residuals from each stimulus' mean, (repeats - 1) x stimuli degrees of freedom. ``shrinkage_eye`` shrinks towards
    a multiple of the identity (Ledoit & Wolf, J. Multivariate Analysis 2004), ``shrinkage_diag`` towards the diagonal
    (Schäfer & Strimmer, Stat. Appl. Genet. Mol. Biol. 2005), each by the weight it estimates to be best; ``diag``
    keeps the variances, ``full`` everything. Equals rsatoolbox's ``cov_from_unbalanced``.
    Cost: 2 x rows x neuroids² multiply-adds, twice that memory in neuroids².
    """
    if method not in SHRINKAGES:
        raise unknown("noise covariance", method, SHRINKAGES)
    x = _check_repeats(repeats)
    freedom = (x.shape[0] - 1) * x.shape[1]
    residuals = (x - x.mean(axis=0)).reshape(-1, x.shape[2])
    if method == "diag":
        return np.diag(np.einsum("ij,ij->j", residuals, residuals) / freedom)
    total = residuals.T @ residuals
    if method == "full":
        return total / freedom
    squared = residuals * residuals
    squared_total = squared.T @ squared
    rows = len(residuals)
    if method == "shrinkage_eye":
        covariance = total / rows
        target = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        distance = np.sum((covariance - target) ** 2)
        error = min(distance, np.sum(squared_total / rows - covariance**2) / rows)
        weight = error / distance if distance > 0 else 0.0
        return (weight * target + (1 - weight) * covariance) * rows / freedom
    variance = np.diag(total) / freedom
    if not (variance > 0).all():
        raise InputError(
            f"{int((variance <= 0).sum())} of {len(variance)} neuroids never vary over repetitions: their noise is "
            "not known; leave them out"
        )
    scale = np.sqrt(variance[:, None] * variance)
    correlation = total / scale / (rows - 1)
    spread = rows / freedom**2 * (squared_total / scale**2 / (rows - 1) - correlation**2)
    off = ~np.eye(len(total), dtype=bool)
    common = np.sum(correlation[off] ** 2)
    weight = min(max(np.sum(spread[off]) / common, 0.0), 1.0) if common > 0 else 0.0
    return np.where(off, 1 - weight, 1.0) * total / freedom


def mahalanobis_rdm(responses: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distance per neuroid of responses (stimuli x neuroids), n x n.

    (x_i - x_j)ᵀ C⁻¹ (x_i - x_j) / neuroids with C the noise covariance. Equals rsatoolbox's
    ``calc_rdm(method="mahalanobis", noise=inv(covariance))``. Biased upwards by noise; ``crossnobis_rdm`` is not.
    """
    x = check_responses(responses, ("stimuli", "neuroids"))
    x = _whitened(x - x.mean(axis=0), covariance)
    return _from_kernel(x @ x.T, "squared_euclidean") / x.shape[1]


def crossnobis_rdm(repeats: np.ndarray, covariance: np.ndarray | None) -> np.ndarray:
    """Cross-validated squared Mahalanobis distance per neuroid of repeats x stimuli x neuroids, n x n.

    Walther et al., NeuroImage 2016: the mean over repetitions r of (x_i - x_j)ᵀ C⁻¹ (y_i - y_j) / neuroids, x from
    repetition r and y the mean of the others. Noise of different repetitions is independent, so it is unbiased: zero
    on average where two stimuli are alike, and then often negative. C is the noise covariance, None the identity.
    Equals rsatoolbox's ``calc_rdm(method="crossnobis", noise=inv(covariance), cv_descriptor=repetition)``.

    With T the sum of the R repetitions X_r, whitened, all folds together are one kernel,
    (T Tᵀ - sum X_r X_rᵀ) / (R (R - 1)): (R + 1) n² neuroids multiply-adds, one repetition whitened at a time.
    """
    x = _check_repeats(repeats)
    folds = len(x)
    total = np.zeros(x.shape[1:])
    kernel = np.zeros((x.shape[1],) * 2)
    for repetition in x:
        one = _whitened(repetition - repetition.mean(axis=0), covariance)
        total += one
        kernel -= one @ one.T
    kernel += total @ total.T
    kernel /= folds * (folds - 1) * x.shape[2]
    return _squared_distances(kernel)


def check_responses(given: np.ndarray, axes: tuple[str, ...]) -> np.ndarray:
    """The responses as float64; raises InputError where their shape is wrong or some are missing or infinite."""
    x = np.asarray(given, np.float64)
    if x.ndim != len(axes) or not x.size or x.shape[-2] < 2:
        raise InputError(
            f"wanted responses as {' x '.join(axes)} with at least 2 stimuli, got an array of shape {x.shape}"
        )
    incomplete = ~np.isfinite(x).all(axis=tuple(range(x.ndim - 1)))
    if incomplete.any():
        raise InputError(
            f"{int(incomplete.sum())} of {incomplete.size} neuroids lack responses to some stimuli, and this measure "
            "compares whole populations; choose neuroids that have all responses, or fewer stimuli"
        )
    return x


def _check_distance(distance: str) -> None:
    if distance not in DISTANCES:
        raise unknown("distance", distance, DISTANCES)


def _check_repeats(repeats: np.ndarray) -> np.ndarray:
    x = check_responses(repeats, ("repeats", "stimuli", "neuroids"))
    if len(x) < 2:
        raise InputError("1 repetition of each stimulus was given; noise needs at least 2")
    return x


def _whitened(x: np.ndarray, covariance: np.ndarray | None) -> np.ndarray:
    """Rows of x in coordinates where the noise has covariance 1: inner products become xᵀ C⁻¹ y."""
    if covariance is None:
        return x
    c = np.asarray(covariance, np.float64)
    if c.shape != (x.shape[1],) * 2:
        raise InputError(f"wanted a noise covariance of {x.shape[1]} x {x.shape[1]} neuroids, got shape {c.shape}")
    try:
        root = np.linalg.cholesky(c)
    except np.linalg.LinAlgError:
        raise InputError(
            "the noise covariance has no inverse (fewer repetitions than neuroids, or a neuroid without noise); "
            "shrink it: shrinkage_eye or shrinkage_diag"
        ) from None
    return solve_triangular(root, x.T, lower=True).T


def _squared_distances(kernel: np.ndarray) -> np.ndarray:
    diagonal = np.diag(kernel)
    squared = diagonal[:, None] + diagonal
    squared -= kernel
    squared -= kernel.T
    np.fill_diagonal(squared, 0.0)
    return squared


def _from_kernel(kernel: np.ndarray, distance: str) -> np.ndarray:
    squared = np.maximum(_squared_distances(kernel), 0.0)  # below zero by rounding only
    return np.sqrt(squared) if distance == "euclidean" else squared


def _one_minus_normalised(kernel: np.ndarray, undefined: np.ndarray) -> np.ndarray:
    norm = np.sqrt(np.where(undefined, 1.0, np.diag(kernel)))
    rdm = 1 - np.clip(kernel / norm[:, None] / norm, -1.0, 1.0)
    rdm = (rdm + rdm.T) / 2
    np.fill_diagonal(rdm, 0.0)
    rdm[undefined] = np.nan
    rdm[:, undefined] = np.nan
    return rdm
