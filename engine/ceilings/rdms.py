"""Noise ceilings of dissimilarity matrices, from several subjects.

Nili et al., PLoS Computational Biology 2014: the RDM that is most like all subjects' on average is the best that any
model could predict. The average of the subjects' RDMs, each first normalised as the comparison demands, is that RDM
(exactly for cosine, Pearson and Spearman similarity, nearly for Kendall's tau). Compared with each subject it gives the
upper bound; made without the subject it is compared with, the lower one. There is no Spearman-Brown correction.
"""

from typing import NamedTuple

import numpy as np

from engine.errors import InputError
from engine.metrics.rdm_comparison import Comparison, compare, ranks, upper_triangle


class RdmBounds(NamedTuple):
    """Similarity of each subject's RDM with the best one; the bounds are the means.

    Attributes:
        lower: per subject, with the RDM pooled over the others.
        upper: per subject, with the RDM pooled over all.
    """

    lower: np.ndarray
    upper: np.ndarray


def rdm_bounds(rdms: np.ndarray, comparison: Comparison) -> RdmBounds:
    """Lower and upper noise ceiling of a model RDM's similarity with the subjects' RDMs.

    Their means equal ``boot_noise_ceiling`` of rsatoolbox 0.3.0 with the method of the same name (see
    ``engine.metrics.rdm_comparison.compare``). Brain-Score divides by the mean upper bound. With few subjects the upper
    bound is too high and the lower too low.

    Cost: one normalisation for each subject and 2 k comparisons; memory 8 k m bytes for k subjects and m pairs, four
    times over.

    Args:
        rdms: subjects x stimuli x stimuli, or subjects x pairs.
        comparison: by which models are compared with the subjects.

    Raises:
        InputError: fewer than two subjects; RDMs that cannot be compared.
    """
    if len(rdms) < 2:
        raise InputError(
            f"noise ceiling of RDMs: needs two or more subjects, got {len(rdms)}; for one subject, take the "
            "reliability of its RDM over halves of its repetitions (engine.ceilings.rdm_halves)"
        )
    vectors = upper_triangle(rdms)
    similar = _normalised(vectors, comparison)
    pooled = similar.sum(axis=0)
    count = len(vectors)
    lower = [compare(((pooled - similar[i]) / (count - 1))[None], vectors[i : i + 1], comparison) for i in range(count)]
    upper = compare((pooled / count)[None], vectors, comparison)
    return RdmBounds(np.array(lower).reshape(count), upper.reshape(count))


def _normalised(vectors: np.ndarray, comparison: Comparison) -> np.ndarray:
    """RDMs whose plain average is closest to all of them by this comparison."""
    if comparison in ("spearman", "rho_a", "kendall"):
        return np.stack([ranks(vector) for vector in vectors])
    centred = vectors
    if comparison in ("pearson", "whitened_pearson"):
        centred = vectors - vectors.mean(axis=1, keepdims=True)
    size = np.sqrt(np.square(centred).mean(axis=1, keepdims=True))
    if (size == 0).any():
        raise InputError(
            f"noise ceiling of RDMs: {int((size == 0).sum())} of {len(vectors)} subjects have an RDM without "
            "variation, which is like no other; leave them out"
        )
    return centred / size
