"""How alike RDMs are: every RDM of one set with every RDM of another, from the pairs above the diagonal.

With n stimuli an RDM is a vector of m = n (n - 1) / 2 dissimilarities. Each vector is prepared once (ranked, centred,
whitened), and then all k1 x k2 similarities are one product of 2 k1 k2 m flops. Only Kendall's tau needs every pair
of RDMs by itself.
"""

from collections.abc import Iterator
from math import isqrt
from typing import Literal, get_args

import numpy as np

from engine.errors import InputError, unknown
from engine.metrics.kendall import tau_a

Comparison = Literal["spearman", "pearson", "kendall", "rho_a", "cosine", "whitened_cosine", "whitened_pearson"]
COMPARISONS: tuple[str, ...] = get_args(Comparison)

MEMORY = 2**30  # bytes of prepared vectors held at a time, of both sets together
ASYMMETRY = 1e-6  # of the largest entry: what rounding in float32 may leave


def compare(first: np.ndarray, second: np.ndarray, comparison: Comparison) -> np.ndarray:
    """Similarity of every RDM of ``first`` with every RDM of ``second``, k1 x k2.

    ``spearman``, ``pearson``, ``cosine``: of the m dissimilarities; ``rho_a``: Spearman's rho that expects ties to be
    broken at random, 12 sum (rank - mean) (rank - mean) / (m³ - m), for models that predict ties (Schütt et al.,
    eLife 2023); ``kendall``: tau-a, (concordant - discordant) / (m (m - 1) / 2) (Nili et al., PLoS Comput. Biol.
    2014). ``whitened_cosine`` and ``whitened_pearson`` weigh the dissimilarities by the inverse of their covariance V
    under equal independent noise of all stimuli (Diedrichsen et al., Neurons, Behavior, Data analysis, and Theory
    2021), the second after subtracting their mean. V is never formed: dᵀ V⁻¹ e is proportional to the sum of
    products of the doubly centred matrices -H D H / 2 and -H E H / 2, which is linear CKA.
    Equals rsatoolbox's ``compare`` with ``spearman``, ``corr``, ``tau-a``, ``rho-a``, ``cosine``, ``cosine_cov`` and
    ``corr_cov``, except that a measure which is not defined (all dissimilarities alike, or zero) is NaN here.

    Args:
        first, second: k x n x n, or k x m as ``scipy.spatial.distance.squareform`` orders them. The diagonal is
            ignored. Prepared in blocks of RDMs of at most MEMORY bytes; a block of ``second`` is prepared once for
            each block of ``first``, which is once where ``first`` fits into half of MEMORY.

    Raises:
        InputError: shapes do not fit, an RDM is not symmetric, or a dissimilarity is NaN or infinite.
    """
    if comparison not in COMPARISONS:
        raise unknown("comparison", comparison, COMPARISONS)
    a, b = _Set(first, "first"), _Set(second, "second")
    if a.stimuli != b.stimuli:
        raise InputError(f"the RDMs to compare are over {a.stimuli} and {b.stimuli} stimuli; wanted the same ones")
    if comparison == "kendall":
        return _kendall(a, b)
    rows = max(1, MEMORY // 2 // (8 * (a.pairs + a.stimuli)))
    result = np.empty((a.count, b.count))
    for i in range(0, a.count, rows):
        left = a.prepared(i, min(i + rows, a.count), comparison)
        for j in range(0, b.count, rows):
            right = b.prepared(j, min(j + rows, b.count), comparison)
            result[i : i + rows, j : j + rows] = left @ right.T
    if comparison == "rho_a":
        return result
    return np.clip(result, -1.0, 1.0)  # beyond by rounding only


def upper_triangle(rdms: np.ndarray) -> np.ndarray:
    """The pairs above the diagonal, k x m, of RDMs k x n x n (or of k x m as they are), float64, checked."""
    given = _Set(rdms, "given")
    return np.stack(list(given.vectors(0, given.count)))


class _Set:
    """RDMs of one side, read one vector at a time."""

    def __init__(self, rdms: np.ndarray, name: str) -> None:
        self.rdms, self.name = np.asarray(rdms), name
        shape = self.rdms.shape
        if self.rdms.ndim == 3 and shape[1] == shape[2]:
            self.stimuli = shape[1]
        elif self.rdms.ndim == 2:
            self.stimuli = (1 + isqrt(1 + 8 * shape[1])) // 2
        else:
            raise InputError(f"the {name} RDMs have shape {shape}; wanted RDMs x stimuli x stimuli, or RDMs x pairs")
        self.pairs = self.stimuli * (self.stimuli - 1) // 2
        if self.rdms.ndim == 2 and self.pairs != shape[1]:
            raise InputError(
                f"the {name} RDMs have shape {shape}: {shape[1]} is no number of pairs of stimuli, n (n - 1) / 2; one "
                "square RDM is given as 1 x stimuli x stimuli"
            )
        if self.stimuli < 3 or not shape[0]:
            raise InputError(f"the {name} RDMs have shape {shape}; wanted at least one RDM over at least 3 stimuli")
        self.count = shape[0]
        above = np.triu_indices(self.stimuli, 1) if self.rdms.ndim == 3 else None
        self.upper = None if above is None else np.ravel_multi_index(above, shape[1:])
        self.lower = None if above is None else np.ravel_multi_index(above[::-1], shape[1:])

    def vectors(self, start: int, stop: int) -> Iterator[np.ndarray]:
        for number in range(start, stop):
            rdm = self.rdms[number]
            if self.upper is None or self.lower is None:
                vector = np.asarray(rdm, np.float64)
            else:
                flat = rdm.reshape(-1)
                vector = np.asarray(flat[self.upper], np.float64)
                below = flat[self.lower]
            bad = ~np.isfinite(vector)
            if bad.any():
                raise InputError(
                    f"RDM {number} of the {self.name} ones has {int(bad.sum())} dissimilarities of {bad.size} that are "
                    "NaN or infinite; leave out the stimuli or RDMs concerned"
                )
            # not <=, so that NaN below the diagonal is refused too
            if self.upper is not None and not np.abs(vector - below).max() <= ASYMMETRY * np.abs(vector).max():
                raise InputError(
                    f"RDM {number} of the {self.name} ones is not symmetric; wanted the dissimilarity of stimuli i and "
                    "j at [i, j] and at [j, i]"
                )
            yield vector

    def prepared(self, start: int, stop: int, comparison: Comparison) -> np.ndarray:
        """RDMs ``start`` to ``stop`` as vectors whose inner products are the similarities."""
        whitened = comparison.startswith("whitened")
        out = np.empty((stop - start, self.pairs + (self.stimuli if whitened else 0)))
        for row, vector in zip(out, self.vectors(start, stop), strict=True):
            if comparison in ("spearman", "rho_a"):
                row[:] = ranks(vector)
                row -= (self.pairs + 1) / 2
            elif whitened:
                _centred_twice(vector, self.stimuli, comparison == "whitened_pearson", row)
            else:
                row[:] = vector
                if comparison == "pearson":
                    row -= row[0]  # makes the spread of a constant RDM exactly zero
                    row -= row.mean()
            if comparison == "rho_a":
                row *= np.sqrt(12 / (float(self.pairs) ** 3 - self.pairs))
            else:
                largest = np.abs(row).max()
                row /= largest if largest > 0 else np.nan  # before the square, which may underflow
                row /= np.sqrt(row @ row)
        return out


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, the mean rank where values are equal. Equals ``scipy.stats.rankdata``; one sort."""
    order = np.argsort(values)
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    result = np.empty(len(values))
    if len(starts) == len(values):
        result[order] = np.arange(1, len(values) + 1)
        return result
    counts = np.diff(starts, append=len(values))
    result[order] = np.repeat(starts + (counts + 1) / 2, counts)
    return result


def _centred_twice(vector: np.ndarray, stimuli: int, subtract_mean: bool, out: np.ndarray) -> None:
    """-H D H / 2 into ``out``: the m entries above the diagonal times sqrt 2, then the n on it."""
    pairs = len(vector)
    d = vector
    if subtract_mean:
        d = vector - vector[0]  # makes the spread of a constant RDM exactly zero
        d -= d.mean()
    sums = np.zeros(stimuli)
    starts = np.concatenate([[0], np.cumsum(np.arange(stimuli - 1, 0, -1))])
    for i in range(stimuli - 1):
        row = d[starts[i] : starts[i + 1]]
        sums[i] += row.sum()
        sums[i + 1 :] += row
    mean = sums / stimuli
    overall = mean.mean()
    for i in range(stimuli - 1):
        part = out[starts[i] : starts[i + 1]]
        np.subtract(d[starts[i] : starts[i + 1]], mean[i + 1 :], out=part)
        part += overall - mean[i]
    out[:pairs] *= -np.sqrt(0.5)
    out[pairs:] = mean - overall / 2


def _kendall(a: _Set, b: _Set) -> np.ndarray:
    rows = max(1, MEMORY // 2 // (8 * a.pairs))
    result = np.empty((a.count, b.count))
    for i in range(0, a.count, rows):
        left = np.stack(list(a.vectors(i, min(i + rows, a.count))))
        for j in range(0, b.count, rows):
            right = np.stack(list(b.vectors(j, min(j + rows, b.count))))
            result[i : i + rows, j : j + rows] = tau_a(left, right)
    return result
