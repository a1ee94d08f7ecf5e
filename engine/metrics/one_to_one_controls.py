"""What chance, width and the choice of axes contribute to a one-to-one score.

Each control answers one objection to the score of :mod:`engine.metrics.one_to_one`:

- the largest of many correlations is large by chance: :func:`permuted` responses choose the units, true ones score;
- any unit would do: random units, which is :func:`best_of` one unit;
- wide layers have more to choose from: :func:`best_of` a fixed number of units, the same for every layer;
- not single units but the space they span follows the neuroid: the best :func:`best_component`, and
  :func:`rotated_units`, a random rotation of the layer, in place of the units.

An untrained network is a model like any other. The controls that need units take a random sample of the layer,
collected from its blocks by ``one_to_one.take_units``: 4 n bytes for every unit.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy.special import gammaln

from engine.errors import InputError
from engine.metrics.scores import Scores
from engine.solvers.folds import Split, check_splits
from engine.solvers.missing import patterns

# Units whose spread is below this share of their size, in roundings of their precision, are constant.
ROUNDINGS = 16


class UnitCorrelations(NamedTuple):
    """splits x units x neuroids each; NaN where a unit or a neuroid is constant over the set.

    Attributes:
        train, test: Pearson r over the training and the test stimuli.
    """

    train: np.ndarray
    test: np.ndarray


def permuted(responses: np.ndarray, splits: Sequence[Split], *, seed: int = 0) -> list[np.ndarray]:
    """Responses to choose units by that have nothing to do with the stimuli, for ``one_to_one.prepare(fitted=...)``.

    For each split, every neuroid's responses to the training stimuli in a random order (of those it has); NaN
    elsewhere. The test responses stay true, so the scores show what the choice among many units gives by itself: 0 on
    average. Costs 2 n p q flops for each split when a layer of p units is matched.

    Args:
        responses: stimuli x neuroids, NaN where missing.
    """
    rng = np.random.default_rng(seed)
    result = []
    for split in splits:
        mixed = np.full(responses.shape, np.nan)
        for j in range(responses.shape[1]):
            has = split.train[np.isfinite(responses[split.train, j])]
            mixed[has, j] = rng.permutation(responses[has, j])
        result.append(mixed)
    return result


def sample_units(units: int, count: int, *, seed: int = 0) -> np.ndarray:
    """Numbers of at most ``count`` different units of a layer, drawn uniformly and sorted."""
    if units < 1 or count < 1:
        raise InputError(f"{count} of {units} units cannot be drawn; wanted at least one of each")
    return np.sort(np.random.default_rng(seed).choice(units, min(units, count), replace=False))


def correlations(sample: np.ndarray, responses: np.ndarray, splits: Sequence[Split]) -> UnitCorrelations:
    """Pearson r of every unit of a sample with every neuroid, in float64.

    Costs 2 n L q flops for every split and twice 8 L q bytes, for L units.

    Args:
        sample: stimuli x units.
        responses: stimuli x neuroids, NaN where missing: those stimuli are left out for the neuroid.
    """
    checked = check_splits(splits, len(responses))
    return UnitCorrelations(
        np.stack([_pearson(sample, responses, split.train) for split in checked]),
        np.stack([_pearson(sample, responses, split.test) for split in checked]),
    )


def best_of(r: UnitCorrelations, count: int, *, absolute: bool = False) -> np.ndarray:
    """Expected one-to-one score with ``count`` units, drawn at random without replacement from those of the sample.

    Of L units ordered by training r, the one of rank k (from 1) is the best of a random subset of ``count`` with the
    probability C(L - k, count - 1) / C(L, count). So the expectation over all subsets is a weighted mean of the test r
    and no draws are made. With ``count`` 1 it is the mean over units: the control of random units. A subset of a
    random sample of a layer is a random subset of the layer, so the expectation is unbiased for the whole layer.
    Units that are constant in training are not drawn; where the test r is not defined it counts as 0.

    Args:
        r: of the sample, from :func:`correlations`.
        count: units to choose from.
        absolute: choose by the size of r; the test r then has the sign of the training r.

    Returns:
        splits x neuroids; NaN for a neuroid that is constant, or where the sample has fewer than ``count`` units that
        vary in training.
    """
    if count < 1:
        raise InputError(f"the best of {count} units: wanted 1 or more")
    size = np.abs(r.train) if absolute else r.train
    test = np.nan_to_num(r.test) * (np.sign(r.train) if absolute else 1)
    order = np.argsort(np.where(np.isnan(size), np.inf, -size), axis=1, kind="stable")
    ranked = np.take_along_axis(test, order, 1)
    varying = np.isfinite(size).sum(axis=1)
    result = np.full(varying.shape, np.nan)
    undefined = np.isnan(r.test).all(axis=1)
    for units in np.unique(varying[varying >= count]):
        remaining = units - np.arange(1, units - count + 2)  # others ranked below
        weights = np.exp(_log_choose(remaining, count - 1) - _log_choose(np.array(units), count))
        expected = np.einsum("k,skj->sj", weights, ranked[:, : len(weights)])
        result = np.where((varying == units) & ~undefined, expected, result)
    return result


def best_component(
    gram: np.ndarray, responses: np.ndarray, splits: Sequence[Split], *, components: int | None = None
) -> Scores:
    """One-to-one score of a layer's principal components in place of its units.

    Fitted on the training stimuli of each split, applied to the test stimuli. The sign of a component is arbitrary,
    so it is chosen by the size of its training r and keeps the sign it has there. Equals ``sklearn.decomposition.PCA``
    followed by the absolute one-to-one mapping. Costs one eigendecomposition (about 9 n³ flops) for every split.

    Args:
        gram: n x n, of the layer, shifted or not.
        responses: stimuli x neuroids, NaN where missing.
        components: the first so many compete; None for all that stand above rounding.

    Returns:
        Scores with the detail ``component`` (from 0, the largest first); ``selection`` is the training r.
    """
    checked = check_splits(splits, len(responses))
    shape = (len(checked), responses.shape[1])
    value, train_r, component = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, -1)
    for i, split in enumerate(checked):
        scores = component_scores(gram, split.train, components)
        train = _pearson(scores, responses, split.train)
        size = np.where(np.isnan(train), -1, np.abs(train))
        best = size.argmax(axis=0)
        each = np.arange(shape[1])
        known = size[best, each] >= 0
        train_r[i] = np.where(known, size[best, each], np.nan)
        component[i] = np.where(known, best, -1)
        test = _pearson(scores, responses, split.test)[best, each] * np.sign(train[best, each])
        value[i] = np.where(known, test, np.nan)
    return Scores(value, train_r, {"component": component})


def component_scores(gram: np.ndarray, fitted: np.ndarray, count: int | None = None) -> np.ndarray:
    """Scores of all stimuli on the principal components of some of them: n x components, the largest first.

    Equals ``sklearn.decomposition.PCA(count).fit(X[fitted]).transform(X)`` up to the signs.

    Args:
        gram: n x n, of the features, shifted or not.
        fitted: indices of the stimuli that the components are fitted on.
    """
    k = np.asarray(gram, np.float64)
    rows = k[:, fitted].mean(1)
    centred = k - rows[:, None] - rows[None, :] + rows[fitted].mean()
    values, vectors = scipy.linalg.eigh(centred[np.ix_(fitted, fitted)])
    # Directions at the level of rounding are noise that a division by their size would blow up.
    large = np.flatnonzero(values > values[-1] * np.finfo(np.float32).eps)[::-1][:count]
    return centred[:, fitted] @ (vectors[:, large] / np.sqrt(values[large]))


def rotated_units(gram: np.ndarray, units: int, count: int, *, seed: int = 0) -> np.ndarray:
    """The first ``count`` units of a randomly rotated layer: X R less its means, R orthogonal and uniform (Haar).

    Distances, the Gram matrix and all that a regression sees of the layer are kept; the axes, its units, are lost.
    R (p x p) is never made: with X = Z Vᵀ, where Z (n x r) are the principal components of all stimuli, X R = Z Q with
    Q = Vᵀ R, which are r orthonormal rows of length p, uniform among such. With G Gaussian (r x p), the triangular
    factor L of G Gᵀ gives Q = L⁻¹ G. Only the first columns of G are drawn; the rest enters by G Gᵀ alone, which is a
    Wishart matrix. So the result has exactly the distribution of units of the rotated layer whatever ``count`` is, for
    2 n r count + 2 r² (count + r) flops and 8 (r + n) count bytes. Compare with :func:`best_of` as many units of the
    layer; ``count = units`` is the whole rotated layer.

    Args:
        gram: n x n, of the layer, shifted or not.
        units: p, of the layer.
        count: at most ``units``.

    Returns:
        n x count, float64.
    """
    if not 0 < count <= units:
        raise InputError(f"{count} rotated units of a layer of {units}; wanted between 1 and all of them")
    rng = np.random.default_rng(seed)
    z = component_scores(gram, np.arange(len(gram)))
    rank = z.shape[1]
    if units < rank:
        raise InputError(
            f"a layer of {units} units cannot have a Gram matrix of rank {rank}; check the number of units"
        )
    drawn = rng.normal(size=(rank, count))
    rest = units - count
    if rest >= rank:
        # Bartlett: the triangular factor of a Wishart matrix has these independent entries.
        factor = np.tril(rng.normal(size=(rank, rank)), -1)
        np.fill_diagonal(factor, np.sqrt(rng.chisquare(rest - np.arange(rank))))
    else:
        factor = rng.normal(size=(rank, rest))
    lower = scipy.linalg.cholesky(drawn @ drawn.T + factor @ factor.T, lower=True)
    return z @ scipy.linalg.solve_triangular(lower, drawn, lower=True)


def unit_length(values: np.ndarray) -> np.ndarray:
    """Each column less its mean, of length 1; NaN where it is constant up to rounding."""
    centred = values.astype(np.float64)
    centred -= centred.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    rounding = ROUNDINGS * np.finfo(values.dtype).eps * np.abs(values).max(axis=0)
    return centred / np.where(length <= rounding * np.sqrt(len(values)), np.nan, length)


def _log_choose(n: np.ndarray, k: int) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def _pearson(units: np.ndarray, responses: np.ndarray, stimuli: np.ndarray) -> np.ndarray:
    """Units x neuroids over the given stimuli, each neuroid over those it has."""
    result = np.full((units.shape[1], responses.shape[1]), np.nan)
    for pattern in patterns(responses, stimuli):
        rows = pattern.stimuli
        if len(rows) >= 3:
            x, y = unit_length(units[rows]), unit_length(responses[np.ix_(rows, pattern.targets)])
            result[:, pattern.targets] = x.T @ y
    return result
