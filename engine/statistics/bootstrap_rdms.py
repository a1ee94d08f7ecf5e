"""Comparisons of RDMs with the stimuli resampled.

A resample with counts c holds the pair of stimuli i, j in c_i c_j copies. Pairs of a stimulus with itself, whose
dissimilarity is trivially zero, are dropped (Kriegeskorte et al., Front. Syst. Neurosci. 2008; as rsatoolbox does).
So each pair i < j has the weight w = c_i c_j, and the rest are weighted sums over the m = n (n - 1) / 2 pairs:

    pearson, cosine    one product of the weights with [x, y, x², y², x y] of all RDMs: 2 R m (2 k + 2 s + k s) flops
                       for R resamples, k model and s measured RDMs
    spearman, rho_a    midranks within the resample: with the weights added up in the order of the dissimilarities,
                       those of equal ones lie between a and b and have rank (a + b + 1) / 2; about 10 R m (k + s)
                       operations and 2 R m k s flops. The order is found once, not in every resample

92 stimuli have 4186 pairs, 1000 stimuli 499,500. Memory: for products the weights of as many resamples as 128 MiB
hold, in float64 twice that; for ranks the weights of 16 resamples or 2 MiB, and twice that for each model.
"""

from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError, unknown
from engine.metrics.rdm_comparison import upper_triangle

Comparison = Literal["spearman", "pearson", "rho_a", "cosine"]
COMPARISONS: tuple[str, ...] = get_args(Comparison)
BLOCK = 2**27  # bytes of weights in one product
CACHE = 2**21  # bytes of weights that ranks are found with; few pairs then stay in cache from step to step
SIDE_BY_SIDE = 16  # resamples at least, which fill a cache line
Ranks = tuple[jax.Array, jax.Array]
FLAT = 1e-12  # of the second moment: a smaller variance is rounding of dissimilarities that are all alike


def rdm_similarities(
    counts: np.ndarray, models: np.ndarray, measured: np.ndarray, comparison: Comparison
) -> np.ndarray:
    """Every measured against every model RDM in every resample of the stimuli: resamples x measured x models.

    Equals ``rsatoolbox.rdm.compare`` (``spearman``, ``corr``, ``rho-a``, ``cosine``) of RDMs that went through
    ``subsample_pattern``, and with all counts 1 ``engine.metrics.rdm_comparison.compare``. The mean over measured RDMs
    (subjects) is what rsatoolbox reports.

    Args:
        counts: resamples x stimuli, from ``bootstrap.draws``.
        models: k x n x n, or k x pairs as ``scipy.spatial.distance.squareform`` orders them.
        measured: s x n x n or s x pairs, such as one RDM per subject.
        comparison: ``spearman``, ``pearson``, ``rho_a`` or ``cosine``.

    Raises:
        InputError: shapes that do not fit, dissimilarities that are not finite, another comparison.
    """
    if comparison not in COMPARISONS:
        raise unknown("comparison for resampled RDMs", comparison, COMPARISONS)
    x, y = upper_triangle(models), upper_triangle(measured)
    stimuli = counts.shape[1]
    first, second = np.triu_indices(stimuli, 1)
    if not x.shape[1] == y.shape[1] == len(first):
        raise InputError(
            f"models of {x.shape[1]} and measured RDMs of {y.shape[1]} pairs do not fit counts of {stimuli} stimuli, "
            f"which have {len(first)} pairs"
        )
    ranked = comparison in ("spearman", "rho_a")
    step = min(len(counts), max(SIDE_BY_SIDE, (CACHE if ranked else BLOCK) // (4 * len(first))))
    found = np.empty((len(counts), len(y), len(x)))
    with jax.enable_x64(True):
        places = jnp.asarray(first), jnp.asarray(second)
        orders = [_order(rdm) for rdm in (*x, *y)] if ranked else []
        moments = None if ranked else jnp.asarray(_moments(x, y, comparison == "pearson"))
        for start in range(0, len(counts), step):
            part = counts[start : start + step]
            copies = jnp.asarray(np.pad(part, ((0, step - len(part)), (0, 0))))
            weights = _weights(copies, *places)
            if moments is not None:
                similar = _linear(weights, moments, len(x), comparison == "pearson")
            else:
                guesses, rows = [_ranks(weights, *order) for order in orders[: len(x)]], []
                for order in orders[len(x) :]:
                    ranks = _ranks(weights, *order)
                    rows.append([_rank_correlation(weights, ranks, guess, comparison == "rho_a") for guess in guesses])
                similar = np.array(jax.device_get(rows)).transpose(2, 0, 1)
            found[start : start + step] = similar[: len(part)]
    return found


def _moments(x: np.ndarray, y: np.ndarray, centred: bool) -> np.ndarray:
    """Pairs x [1, models, models², measured, measured², measured models], centred on all pairs for precision."""
    if centred:
        x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    both = (y[:, None] * x[None]).reshape(-1, x.shape[1])
    return np.concatenate([np.ones((1, x.shape[1])), x, x**2, y, y**2, both]).T


def _order(rdm: np.ndarray) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The order of the pairs, and for each pair the places in it where those as dissimilar begin and end."""
    order = np.argsort(rdm, kind="stable")
    values = rdm[order]
    return (
        jnp.asarray(order),
        jnp.asarray(np.searchsorted(values, rdm, "left")),
        jnp.asarray(np.searchsorted(values, rdm, "right")),
    )


@jax.jit
def _weights(counts: jax.Array, first: jax.Array, second: jax.Array) -> jax.Array:
    """C_i c_j of every pair: pairs x resamples, whole numbers."""
    each = counts.T.astype(jnp.int32)
    return each[first] * each[second]


@jax.jit
def _ranks(weights: jax.Array, order: jax.Array, begin: jax.Array, end: jax.Array) -> Ranks:
    """Midranks in each resample less their mean, pairs x resamples, and the weighted sum of their squares."""
    nothing, ordered = jnp.zeros(weights.shape[1], weights.dtype), weights[order]
    if jax.default_backend() == "cpu":
        # One pass; XLA's own running sum takes log2(pairs) of them, which only accelerators are quick at.
        _, running = jax.lax.scan(lambda sofar, each: (sofar + each,) * 2, nothing, ordered)
    else:
        running = jnp.cumsum(ordered, axis=0)
    total = jnp.concatenate([nothing[None], running])
    ranks = (total[begin] + total[end] - total[-1]).astype(jnp.float64) / 2
    return ranks, (weights * ranks * ranks).sum(axis=0)


@partial(jax.jit, static_argnames=("models", "centred"))
def _linear(weights: jax.Array, moments: jax.Array, models: int, centred: bool) -> jax.Array:
    """Resamples x measured x models."""
    sums = jnp.matmul(weights.T.astype(moments.dtype), moments, precision="highest")
    measured = (sums.shape[1] - 1 - 2 * models) // (2 + models)
    n, x, xx, y, yy, xy = jnp.split(sums, np.cumsum([1, models, models, measured, measured]).tolist(), axis=1)
    xy, n = xy.reshape(-1, measured, models), n[:, :, None]
    x, xx, y, yy = x[:, None], xx[:, None], y[:, :, None], yy[:, :, None]
    if centred:
        xy, own_x, own_y = n * xy - x * y, n * xx - x * x, n * yy - y * y
        defined = (own_x > FLAT * n * xx) & (own_y > FLAT * n * yy)
    else:
        own_x, own_y = xx, yy
        defined = (own_x > 0) & (own_y > 0)
    return jnp.where(defined, xy / jnp.sqrt(jnp.where(defined, own_x * own_y, 1.0)), jnp.nan)


@partial(jax.jit, static_argnames="unbiased")
def _rank_correlation(weights: jax.Array, measured: Ranks, model: Ranks, unbiased: bool) -> jax.Array:
    """Of one pair of RDMs, resamples; ``unbiased`` as expected where ties are broken at random."""
    (a, own_a), (b, own_b) = measured, model
    both, n = (weights * a * b).sum(axis=0), weights.sum(axis=0).astype(jnp.float64)
    defined = (own_a > 0) & (own_b > 0)
    scale = (n**3 - n) / 12 if unbiased else jnp.sqrt(own_a * own_b)
    return jnp.where(defined, both / jnp.where(defined, scale, 1.0), jnp.nan)
