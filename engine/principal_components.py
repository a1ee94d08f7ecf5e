"""Principal components of a layer, from its Gram matrix alone, fitted on some images and applied to all.

With K the Gram matrix and c the fitted images, K centred on the mean of c is K' = (I - 1 m^T) K (I - m 1^T) with m
uniform over c. Where K'_cc = V W V^T, the components of every image are Z = K'_:c V W^(-1/2), and the kernel that a
regression on the first k of them sees is Z Z^T. Costs one eigendecomposition of the fitted images (about 9 c^3) and
2 n c k multiply-adds; the units are never needed.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from engine.gram import Summary
from engine.reference_images import ReferenceImages


@dataclass(frozen=True)
class Components:
    """Each layer by its principal components, fitted to other images than the recording's stimuli.

    Attributes:
        size: how many components; layers of no more units stay whole.
        reference: what they are fitted to.
    """

    size: int
    reference: ReferenceImages


def components_kernel(gram: np.ndarray, fitted: np.ndarray, count: int) -> np.ndarray:
    """Kernel of the first principal components, fitted on some of the stimuli.

    Equals ``Z @ Z.T`` with ``Z = sklearn.decomposition.PCA(count).fit(X[fitted]).transform(X)``.

    Args:
        gram: n x n, of the features, shifted or not.
        fitted: rows of the stimuli that the components are fitted on.
        count: of components; at most as many are kept as the fitted stimuli have.

    Returns:
        n x n, float64.
    """
    scores = component_scores(gram, fitted, count)
    return scores @ scores.T


def components_summary(summary: Summary, stimuli: int, count: int) -> Summary:
    """The first ``stimuli`` rows of a layer by the principal components that are fitted to all other rows.

    Equals the summary of ``sklearn.decomposition.PCA(count).fit(X[stimuli:]).transform(X[:stimuli])``. Whole where the
    layer has no more units than ``count``.
    """
    if summary.units <= count:
        return Summary(
            summary.gram[:stimuli, :stimuli],
            summary.sums[:stimuli],
            summary.along_shift[:stimuli],
            summary.shift_squared,
            summary.units,
        )
    scores = component_scores(summary.gram, np.arange(stimuli, len(summary.gram)), count)[:stimuli]
    return Summary(scores @ scores.T, scores.sum(1), np.zeros(stimuli), 0.0, scores.shape[1])


def component_scores(gram: np.ndarray, fitted: np.ndarray, count: int) -> np.ndarray:
    """``PCA(count).fit(X[fitted]).transform(X)`` from ``gram``, as :func:`components_kernel` takes it.

    A component's sign is arbitrary: here the score that is largest in magnitude among the fitted is positive, as in
    scikit-learn before version 1.5.

    Returns:
        n x components, float64, the one of largest variance first.
    """
    across = np.asarray(gram[:, fitted], np.float64)
    inside = across[fitted]
    centred = across - across.mean(1)[:, None] - inside.mean(0)[None, :] + inside.mean()
    kept = min(count, len(fitted) - 1)
    first = len(fitted) - kept
    values, vectors = scipy.linalg.eigh(centred[fitted], subset_by_index=(first, len(fitted) - 1))
    # Directions at the level of rounding are noise that a division by their size would blow up.
    large = np.flatnonzero(values > values[-1] * np.finfo(np.float32).eps)[::-1]
    vectors = vectors[:, large]
    signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(len(large))])
    return centred @ (vectors * signs / np.sqrt(values[large]))
