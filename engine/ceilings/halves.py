"""Random halves of the repetitions, and how well their averages agree.

With R repetitions of n stimuli and H halvings, neuroid by neuroid:

Where no response is missing, a half's average is a combination m of the repetitions, the same for all stimuli, so that
the covariance of two halves over the stimuli is m1' C m2 with C the R x R covariance of the repetitions. 2 n R^2 flops
give C, 4 H R^2 more give all halvings, and nothing of size H x n is ever made.

Where some are missing, the halves' averages are made: 8 H R n flops and some ten passes over H x n values for each
neuroid.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from engine.ceilings.correlation import spread
from engine.errors import InputError

MEMORY = 2**26  # bytes of each working array

Halves = tuple[np.ndarray, np.ndarray]


def random_halves(count: int, halvings: int, seed: int, *, leave_one_out: bool) -> Halves:
    """Which repetitions are in the first and in the second half: two arrays of halvings x repetitions, 0 or 1.

    Args:
        count: of repetitions.
        halvings: how many to draw.
        seed: of the draws, one permutation per halving.
        leave_one_out: of an uneven number of repetitions one is left out; otherwise the second half has one more.
    """
    rng = np.random.default_rng(seed)
    half = count // 2
    orders = [rng.permutation(count) for _ in range(halvings)]
    rest = slice(half, 2 * half if leave_one_out else count)
    return members([(order[:half], order[rest]) for order in orders], count)


def members(parts: Sequence[tuple[np.ndarray, np.ndarray]], count: int) -> Halves:
    """Pairs of lists of repetitions as two arrays of halvings x repetitions, 0 or 1."""
    first, second = np.zeros((2, len(parts), count))
    for turn, (one, other) in enumerate(parts):
        first[turn, one] = 1
        second[turn, other] = 1
    return first, second


def check_repeats(repeats: np.ndarray, purpose: str) -> None:
    """Raises InputError unless there are repetitions x stimuli x neuroids with two repetitions or more."""
    if repeats.ndim != 3 or 0 in repeats.shape:
        raise InputError(f"{purpose}: wanted repetitions x stimuli x neuroids, got shape {repeats.shape}")
    if len(repeats) < 2:
        raise InputError(
            f"{purpose}: needs two or more repetitions of the stimuli to tell signal from noise, got {len(repeats)}; "
            "without them scores can only be raw"
        )


def correlations(repeats: np.ndarray, halves: Halves) -> np.ndarray:
    """Pearson r between the halves' averages over the stimuli that have a response in both: halvings x neuroids.

    Args:
        repeats: repetitions x stimuli x neuroids, NaN where missing.
        halves: from ``random_halves`` or ``members``.

    Returns:
        NaN where a half is constant, or fewer than three stimuli are in both.
    """
    count, stimuli, neuroids = repeats.shape
    found = np.full((len(halves[0]), neuroids), np.nan)
    width = max(1, MEMORY // (8 * stimuli * count))
    for start in range(0, neuroids if stimuli > 2 else 0, width):
        part = np.asarray(repeats[:, :, start : start + width])
        holes = ~np.isfinite(part).all(axis=(0, 1))
        if not holes.all():
            whole = by_neuroid(part[:, :, ~holes] if holes.any() else part)
            found[:, start + np.flatnonzero(~holes)] = from_covariance(covariance(whole), halves)
        if holes.any():
            found[:, start + np.flatnonzero(holes)] = _with_holes(by_neuroid(part[:, :, holes]), halves)
    return found


def by_neuroid(repeats: np.ndarray) -> np.ndarray:
    """A copy as neuroids x repetitions x stimuli, float64."""
    count, stimuli, neuroids = repeats.shape
    copy = np.empty((neuroids, count, stimuli))
    for own, repetition in enumerate(repeats):  # twice as fast as all of them at once
        copy[:, own] = repetition.T
    return copy


def covariance(repeats: np.ndarray) -> np.ndarray:
    """Sums of products of the repetitions' spreads over the stimuli: neuroids x repetitions x repetitions.

    Args:
        repeats: neuroids x repetitions x stimuli, none missing.
    """
    own = spread(repeats)
    with threadpool_limits(1, user_api="blas"):  # products this small only wait for each other's threads
        return np.matmul(own, own.swapaxes(-1, -2))


def from_covariance(covariances: np.ndarray, halves: Halves) -> np.ndarray:
    """Pearson r between the halves' averages: halvings x neuroids; NaN where a half is constant.

    Args:
        covariances: neuroids x repetitions x repetitions, any multiple of the repetitions' covariances.
        halves: from ``random_halves`` or ``members``.
    """
    one, other = (np.matmul(half, covariances) for half in halves)
    crossed = np.einsum("bhr,hr->hb", one, halves[1])
    squares = np.einsum("bhr,hr->hb", one, halves[0]) * np.einsum("bhr,hr->hb", other, halves[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return crossed / np.sqrt(squares)


def _with_holes(repeats: np.ndarray, halves: Halves) -> np.ndarray:
    """``correlations`` of neuroids x repetitions x stimuli, one neuroid at a time, which caches hold."""
    present = np.isfinite(repeats)
    with jax.enable_x64(True):
        parts = [jnp.asarray(half) for half in halves]
        found = []
        for own, there in zip(repeats, present, strict=True):
            one_value = own.flat[there.argmax()]  # keeps a constant neuroid exactly constant
            filled = np.where(there, own - one_value, 0.0)
            found.append(_masked(jnp.asarray(filled), jnp.asarray(there, np.float64), *parts))
        return np.stack(jax.device_get(found), axis=-1)


@jax.jit
def _masked(filled: jax.Array, present: jax.Array, first: jax.Array, second: jax.Array) -> jax.Array:
    product = partial(jnp.tensordot, axes=1, precision="highest")
    n_a, n_b = product(first, present), product(second, present)
    both = (n_a > 0) & (n_b > 0)
    n = both.sum(axis=-1, keepdims=True)

    def centred(half: jax.Array, own: jax.Array) -> jax.Array:
        mean = jnp.where(both, product(half, filled) / jnp.maximum(own, 1), 0.0)
        return jnp.where(both, mean - mean.sum(axis=-1, keepdims=True) / jnp.maximum(n, 1), 0.0)

    a, b = centred(first, n_a), centred(second, n_b)
    r = (a * b).sum(axis=-1) / jnp.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    return jnp.where(n[..., 0] >= 3, r, jnp.nan)
