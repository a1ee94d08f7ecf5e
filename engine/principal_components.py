"""Principal components of a layer, from its Gram matrix alone, fitted on some stimuli and applied to all.

With K the Gram matrix and c the fitted stimuli, K centred on the mean of c is K' = (I - 1 m^T) K (I - m 1^T) with m
uniform over c. Where K'_cc = V W V^T, the components of every stimulus are Z = K'_:c V W^(-1/2), and the kernel that a
regression on the first k of them sees is Z Z^T. Costs one eigendecomposition of the fitted stimuli (about 9 c^3) and
2 n c k multiply-adds; the units are never needed.
"""

import numpy as np
import scipy.linalg


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
    k = np.asarray(gram, np.float64)
    rows = k[:, fitted].mean(1)
    centred = k - rows[:, None] - rows[None, :] + rows[fitted].mean()
    inside = centred[np.ix_(fitted, fitted)]
    kept = min(count, len(fitted) - 1)
    values, vectors = scipy.linalg.eigh(inside, subset_by_index=(len(fitted) - kept, len(fitted) - 1))
    # Directions at the level of rounding are noise that a division by their size would blow up.
    large = values > values[-1] * np.finfo(np.float32).eps
    scores = centred[:, fitted] @ (vectors[:, large] / np.sqrt(values[large]))
    return scores @ scores.T
