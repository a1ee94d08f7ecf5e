"""Shape distance of a layer and a population: the angle left after the best rotation of one onto the other.

Williams, Kunz, Kornblith & Linderman, NeurIPS 2021; netrep's ``LinearMetric(alpha)`` with its angular distance. Both
sides are centred and partly whitened by Z = alpha I + (1 - alpha) (Xᵀ X)^(-1/2): alpha = 1 allows rotations only
(Procrustes), alpha = 0 any linear map (canonical correlations). The narrower side is padded with zeros, rotations U and
V from the singular value decomposition of (X Z_x)ᵀ (Y Z_y) are fitted on training stimuli, and on test stimuli

    similarity = <X' U, Y' V> / (|X'| |Y'|),    distance = arccos(similarity)

with X' and Y' the test responses, centred and whitened as the training ones were.

Everything follows from Gram matrices. With K = W diag(s²) Wᵀ the centred one of the training stimuli, X Z_x has the
coordinates W diag(alpha s + 1 - alpha) along the layer's training directions, and a test stimulus with centred products
k has kᵀ W diag(1 / s) before and that times (alpha + (1 - alpha) / s) after whitening. Cost of a fit: an
eigendecomposition of n x n on each side (about 9 n³ flops) and one singular value decomposition of at most n x n.

Rotations alone (alpha = 1) need none of n x n. With Y the centred training responses of m neuroids,
(Xᵀ Y)ᵀ (Xᵀ Y) = Yᵀ K Y = V diag(σ²) Vᵀ, so U = Xᵀ Y V diag(1 / σ) and X' U = (X' Xᵀ) Y V diag(1 / σ), of which the
first two factors are K's: 2 n² m flops and an eigendecomposition of m x m, with Y replaced by n coordinates with the
same products where there are more neuroids. (σ below 1e-7 of the largest is lost in σ²; it adds as little.)
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from engine.errors import InputError
from engine.gram import Summary
from engine.metrics.rdm import check_responses
from engine.metrics.scores import Scores
from engine.solvers.folds import Split, check_splits
from engine.solvers.threads import one_for_lapack

VERSION = "2"  # of the numbers below; part of every result's key


class Procrustes(NamedTuple):
    """Settings that change the numbers.

    Attributes:
        alpha: 1 for rotations only, 0 for any linear map, between them partial whitening.
    """

    alpha: float = 1.0


class _Side(NamedTuple):
    """A kernel, and the coordinates of its training stimuli along their own directions.

    Attributes:
        kernel: all stimuli x all stimuli.
        train: stimuli.
        directions: train x directions, orthonormal columns.
        scales: singular values s.
    """

    kernel: np.ndarray
    train: np.ndarray
    directions: np.ndarray
    scales: np.ndarray


def score_layer(summary: Summary, responses: np.ndarray, splits: Sequence[Split], settings: Procrustes) -> Scores:
    """Similarity of a layer and one population on held-out stimuli, aligned on training stimuli.

    Equals netrep's ``LinearMetric(alpha).fit(X[train], Y[train]).score(X[test], Y[test])`` where the training stimuli
    span all units. Where they do not, netrep's number depends on chance (vectors of zero singular values) and, for
    alpha < 1, on the constant it clips eigenvalues at. Here what lies outside the span of the training stimuli keeps
    the weight alpha and is matched with nothing: it counts in the norms of the test responses only.

    Args:
        summary: of the layer, over n stimuli.
        responses: n x neuroids of one population, none missing.
        splits: over the stimuli.

    Returns:
        ``value``: splits x 1, the similarity (1 is alike up to a rotation). ``details["distance"]``: the angle in
        radians, 0 to pi. ``selection``: mean similarity over the inner folds, fitted on the rest of the training
        stimuli; without inner folds the similarity of the training stimuli themselves. NaN where one side is constant.

    Raises:
        InputError: alpha is not in 0 ... 1, responses are missing or of another number of stimuli.
    """
    gram, y = _checked(summary, responses, settings.alpha)
    value, selection = [], []
    with one_for_lapack():
        fitted = _fits(gram, y, settings.alpha)
        for split in check_splits(splits, len(gram)):
            inner = [(np.setdiff1d(split.train, part), (part,)) for part in split.validation or ()]
            (test, train), *rest = fitted([(split.train, (split.test, split.train)), *inner])
            value.append(test)
            selection.append(float(np.mean(rest)) if rest else train)
    similarity = np.array(value)[:, None]
    return Scores(similarity, np.array(selection)[:, None], {"distance": np.arccos(similarity)})


def compare_layer(summary: Summary, responses: np.ndarray, settings: Procrustes) -> np.ndarray:
    """Similarity over all stimuli, aligned on the same ones, shape (1,): optimistic, and 1 where both have rank n - 1
    and alpha is 0. Its arccos equals netrep's ``fit_score``. Arguments and errors as of ``score_layer``.
    """
    gram, y = _checked(summary, responses, settings.alpha)
    everything = np.arange(len(gram))
    with one_for_lapack():
        (found,) = _fits(gram, y, settings.alpha)([(everything, (everything,))])
    return np.array(found)


Fit = tuple[np.ndarray, Sequence[np.ndarray]]
"""Training stimuli, and sets of stimuli whose similarity is wanted."""


def _fits(gram: np.ndarray, y: np.ndarray, alpha: float) -> Callable[[Sequence[Fit]], list[list[float]]]:
    if alpha == 1:
        return partial(_rotated, np.asarray(gram, np.float64), _narrow(y), np.finfo(gram.dtype).eps)
    kernels = gram, y @ y.T
    return lambda fits: [_fit_and_score(kernels, train, tests, alpha) for train, tests in fits]


def _checked(summary: Summary, responses: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The layer's Gram matrix and the responses, centred."""
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha={alpha}: wanted a number from 0 (any linear map) to 1 (rotations only)")
    y = check_responses(responses, ("stimuli", "neuroids"))
    if len(y) != len(summary.gram):
        raise InputError(
            f"responses to {len(y)} stimuli were given for a layer over {len(summary.gram)}; wanted the same ones"
        )
    return np.asarray(summary.gram), y - y.mean(axis=0)


def _narrow(y: np.ndarray) -> np.ndarray:
    """Coordinates with the same products, no more than there are stimuli."""
    if y.shape[1] <= len(y):
        return y
    squared, directions = np.linalg.eigh(y @ y.T)
    return directions * np.sqrt(np.maximum(squared, 0))


def _rotated(gram: np.ndarray, y: np.ndarray, eps: float, fits: Sequence[Fit]) -> list[list[float]]:
    """As :func:`_fit_and_score` for alpha = 1, of several fits, the first to all stimuli that the others are fitted to.

    What is multiplied for the first serves the others too, as far as they leave stimuli out.

    Args:
        eps: of the Gram matrix as it was given.
    """
    all_train, largest = fits[0][0], np.abs(gram).max()
    with_one = np.column_stack([y, np.ones(len(y))])
    whole = gram[:, all_train] @ with_one[all_train]
    result = []
    for train, tests in fits:
        left_out = np.setdiff1d(all_train, train, assume_unique=True)
        products = whole - gram[:, left_out] @ with_one[left_out] if len(left_out) else whole
        centre, mean = y[train].mean(axis=0), products[:, -1] / len(train)
        cross = products[:, :-1] - np.outer(products[:, -1], centre)
        cross -= cross[train].mean(axis=0)  # (x - mean of x) Xᵀ Y for each stimulus x
        lengths = np.diagonal(gram) - 2 * mean + mean[train].mean()  # |x - mean of x|²
        right = y - centre
        squared, v = np.linalg.eigh(right[train].T @ cross[train])
        if lengths[train].sum() <= len(train) * eps * largest or not squared[-1] > 0:  # constant
            result.append([float("nan")] * len(tests))
            continue
        aligned = squared > len(train) * np.finfo(float).eps * squared[-1]
        turn = (v[:, aligned] / np.sqrt(squared[aligned])) @ v[:, aligned].T  # V diag(1 / sigma) Vᵀ
        of_tests = []
        for test in tests:
            inner = np.vdot(turn, right[test].T @ cross[test])
            norms = np.sqrt(max(lengths[test].sum(), 0.0) * np.vdot(right[test], right[test]))
            of_tests.append(float(np.clip(inner / norms, -1.0, 1.0)) if norms > 0 else float("nan"))
        result.append(of_tests)
    return result


def _fit_and_score(
    kernels: tuple[np.ndarray, np.ndarray], train: np.ndarray, tests: Sequence[np.ndarray], alpha: float
) -> list[float]:
    first, second = (_side(kernel, train) for kernel in kernels)
    if not len(first.scales) or not len(second.scales):
        return [float("nan")] * len(tests)
    left, right = (side.directions * (alpha * side.scales + 1 - alpha) for side in (first, second))
    u, singular, vt = np.linalg.svd(left.T @ right, full_matrices=False)
    aligned = singular > len(train) * np.finfo(float).eps * singular[0]  # vectors beyond are arbitrary
    rotations = u[:, aligned], vt[aligned].T
    result = []
    for test in tests:
        a, b = (_whitened(side, test, alpha) for side in (first, second))
        inner = np.vdot(a[0] @ rotations[0], b[0] @ rotations[1])
        norms = a[1] * b[1]
        result.append(float(np.clip(inner / norms, -1.0, 1.0)) if norms > 0 else float("nan"))
    return result


def _side(kernel: np.ndarray, train: np.ndarray) -> _Side:
    gram = np.asarray(kernel[np.ix_(train, train)], np.float64)
    mean = gram.mean(axis=0)
    centred = gram - mean - mean[:, None] + mean.mean()
    squared, directions = np.linalg.eigh((centred + centred.T) / 2)
    # Below this, directions are rounding errors of the products, which whitening would blow up.
    kept = squared > len(train) * np.finfo(kernel.dtype).eps * max(squared[-1], np.abs(gram).max())
    return _Side(kernel, train, directions[:, kept], np.sqrt(squared[kept]))


def _whitened(side: _Side, test: np.ndarray, alpha: float) -> tuple[np.ndarray, float]:
    """Coordinates of the test stimuli along the training directions, partly whitened, and the norm of all of them."""
    cross = np.asarray(side.kernel[np.ix_(test, side.train)], np.float64)
    among = np.asarray(side.kernel[np.ix_(side.train, side.train)], np.float64)
    mean = among.mean(axis=0)
    own = np.asarray(side.kernel[test, test], np.float64) - 2 * cross.mean(axis=1) + mean.mean()
    # Directions are orthogonal to the constant vector, so centring over the training stimuli needs `mean` alone.
    coordinates = (cross - mean) @ side.directions / side.scales
    outside = max(own.sum() - np.vdot(coordinates, coordinates), 0.0)
    whitened = coordinates * (alpha + (1 - alpha) / side.scales)
    return whitened, float(np.sqrt(np.vdot(whitened, whitened) + alpha**2 * outside))
