"""Bootstrap resamples as counts, and what is averaged over neuroids or subjects in them.

A resample with replacement of n rows is a vector of n counts that add up to n. Every statistic here and in
``bootstrap_stimuli``, ``bootstrap_rdms`` and ``dual_bootstrap`` is computed from counts, never from copied rows:

    mean      counts . values / counts . 1: one product of 2 R n k flops for R resamples of n rows x k columns
    median    the value at which the counts, added up in the order of the values, pass half of their total:
              n steps over R x k numbers, 6 R n k operations, against a sort of every resample

Counts come from outside so that one set of them serves all layers, models and splits: their differences are then
paired. ``draws`` makes them; ``interval`` turns results into percentile intervals.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError

Centre = Literal["mean", "median"]
State = tuple[jax.Array, jax.Array, jax.Array]
BLOCK = 2**22  # resamples x columns worked on at once


def draws(rows: int, *, resamples: int = 2000, seed: int = 0, clusters: np.ndarray | None = None) -> np.ndarray:
    """How often each row is in each resample, resamples x rows; every row of the result adds up to ``rows``.

    Equal to counting ``numpy.random.default_rng(seed).integers(0, rows, (resamples, rows))``.

    Args:
        rows: stimuli, neuroids or subjects.
        resamples: how many.
        seed: same seed, same resamples.
        clusters: label of each row; whole clusters are drawn with all their rows, as many as there are, as where
            neuroids are resampled by subject. The sums then differ where clusters do in size.
    """
    if clusters is not None:
        _, own = np.unique(clusters, return_inverse=True)
        if len(own) != rows:
            raise InputError(f"wanted a cluster for each of {rows} rows, got {len(own)}")
        return draws(int(own.max()) + 1, resamples=resamples, seed=seed)[:, own]
    if rows < 2 or resamples < 1:
        raise InputError(f"wanted 2 or more rows and 1 or more resamples, got {rows} and {resamples}")
    rng = np.random.default_rng(seed)
    counts = np.empty((resamples, rows), np.uint16 if rows < 2**16 else np.uint32)
    step = max(1, BLOCK // rows)
    for start in range(0, resamples, step):
        part = counts[start : start + step]
        drawn = rng.integers(0, rows, part.shape) + rows * np.arange(len(part))[:, None]
        part[:] = np.bincount(drawn.ravel(), minlength=part.size).reshape(part.shape)
    return counts


def interval(draws: np.ndarray, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval over the first axis (Efron 1979); NaN draws are left out, fewer than half left give NaN.

    Equals ``scipy.stats.bootstrap(..., method="percentile")`` for the same resamples.
    """
    tail = 50 * (1 - level)
    finite = np.isfinite(draws)
    if finite.all():
        low, high = np.percentile(draws, [tail, 100 - tail], axis=0)
        return low, high
    enough = finite.mean(axis=0) >= 0.5
    with np.errstate(invalid="ignore"):
        safe = np.where(enough, draws, 0.0)
        low, high = np.nanpercentile(safe, [tail, 100 - tail], axis=0)
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def centres(counts: np.ndarray, values: np.ndarray, centre: Centre) -> np.ndarray:
    """Mean or median of every column in every resample of the rows, resamples x columns; NaN values are left out.

    Equals ``numpy.nanmedian(numpy.repeat(values, count, axis=0), axis=0)``, or ``nanmean``, for every count. Columns
    may be splits, layers or models: all see the same resamples. The average over splits is the caller's, before or
    after, as its protocol says.

    Args:
        counts: resamples x rows, from ``draws``.
        values: rows (neuroids or subjects) x columns.
        centre: ``mean`` or ``median``.

    Returns:
        resamples x columns, float64; NaN where a resample holds no value of the column.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or counts.ndim != 2 or counts.shape[1] != len(values):
        raise InputError(f"counts of shape {counts.shape} do not fit values of shape {values.shape}, rows x columns")
    found = np.empty((len(counts), values.shape[1]))
    step = max(1, BLOCK // max(values.shape))
    work = {"mean": _means, "median": _medians}[centre]
    with jax.enable_x64(True):
        order = jnp.asarray(np.argsort(values, axis=0))  # NaN last
        given = jnp.asarray(values)
        for start in range(0, len(counts), step):
            part = counts[start : start + step]
            filled = np.pad(part, ((0, step - len(part)), (0, 0))) if len(counts) > step else part
            found[start : start + step] = work(jnp.asarray(filled), given, order)[: len(part)]
    return found


def bootstrap_median(values: np.ndarray, *, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the median, resampling the values (neuroids) with replacement.

    Equals ``scipy.stats.bootstrap((values,), np.median, method="percentile")`` up to the draws. NaN values are
    left out; fewer than two values give (NaN, NaN).
    """
    finite = values[np.isfinite(values)]
    if finite.size < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(0, finite.size, (resamples, finite.size))
    low, high = np.percentile(np.median(finite[drawn], axis=1), [2.5, 97.5])
    return float(low), float(high)


@jax.jit
def _means(counts: jax.Array, values: jax.Array, order: jax.Array) -> jax.Array:
    del order
    weights, present = counts.astype(values.dtype), jnp.isfinite(values)
    total = jnp.matmul(weights, jnp.where(present, values, 0.0), precision="highest")
    return total / jnp.matmul(weights, present.astype(values.dtype), precision="highest")


@jax.jit
def _medians(counts: jax.Array, values: jax.Array, order: jax.Array) -> jax.Array:
    """One step per row, in each column's own order: columns x resamples, which vector units run along."""
    weights = counts.T.astype(jnp.int32)
    present = jnp.isfinite(values)
    total = jnp.matmul(present.T.astype(values.dtype), weights.astype(values.dtype)).astype(jnp.int32)
    lower, upper = (total + 1) // 2, total // 2 + 1  # ranks of the two middle values, the same one where odd
    values = jnp.where(present, values, 0.0)
    columns = jnp.arange(values.shape[1])

    def step(state: State, rows: jax.Array) -> tuple[State, None]:
        before, low, high = state
        after = before + weights[rows]
        value = values[rows, columns][:, None]
        low = jnp.where((before < lower) & (lower <= after), value, low)
        high = jnp.where((before < upper) & (upper <= after), value, high)
        return (after, low, high), None

    nothing = jnp.full(total.shape, jnp.nan, values.dtype)
    (_, low, high), _ = jax.lax.scan(step, (jnp.zeros_like(total), nothing, nothing), order)
    # NaN rows come last in the order and never hold a middle rank; without any value both stay NaN.
    return jnp.where(total > 0, (low + high) / 2, jnp.nan).T
