"""Correlations of one piece of a layer with the neuroids, on the device: the arithmetic of the one-to-one mapping.

With x a unit and y a neuroid, both less their means over all stimuli, r over a training set follows from the sums of
x, x² and x y over all stimuli less those over the sets that it leaves out. Everything here is compiled once for all
layers: pieces have one width.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from engine.metrics.one_to_one_plan import Sums

# A unit with less than this many roundings of its sum of squares inside the training set is constant there: all but a
# few thousandths of a percent of it lie in held-out stimuli, and what is left is mostly the error of a difference.
ROUNDINGS = 1000


Products = tuple[jax.Array, jax.Array]  # sums of a unit with each neuroid and over each pattern; of its squares


def on_device(sums: Sums, dtype: np.dtype) -> tuple[jax.Array, ...]:
    return tuple(jnp.asarray(each, dtype) for each in (sums.mean, sums.scale, np.maximum(sums.counts, 1)))


@partial(jax.jit, static_argnames=("n", "width"))
def take_piece(blocks: tuple[jax.Array, ...], start: jax.Array, n: int, width: int) -> tuple[jax.Array, jax.Array]:
    """Units ``start`` to ``start + width`` less their means, stimuli x width, and the means.

    Every piece has the same width, so that the rest is compiled once for all layers: the last one starts earlier, and
    units that it shares with the one before, or that do not exist, are 0 and never chosen.
    """
    units = blocks[0].shape[1]
    taken = min(units, width)
    from_ = jnp.minimum(start, units - taken)
    x = jnp.concatenate([jax.lax.dynamic_slice_in_dim(block, from_, taken, axis=1) for block in blocks])[:n]
    x = jnp.pad(x, ((0, 0), (0, width - taken)))
    mean = jnp.where(from_ + jnp.arange(width) >= start, jnp.sum(x, axis=0) / n, 0)
    return jnp.where(from_ + jnp.arange(width) >= start, x - mean, 0), mean


@partial(jax.jit, static_argnames="q")
def products(x: jax.Array, weights: jax.Array, q: int) -> Products:
    present = weights[:, q:]
    # One row of a product runs slower than a sum.
    squares = jnp.sum(present * x * x, axis=0)[None] if present.shape[1] == 1 else cross(x * x, present)
    return cross(x, weights), squares


@partial(jax.jit, static_argnames="q")
def set_products(x: jax.Array, rows: jax.Array, weights: jax.Array, q: int) -> Products:
    return products(x[rows], weights, q)


@jax.jit
def cross(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.matmul(y.T, x, precision="highest")


@jax.jit
def less(a: Products, b: Products) -> Products:
    return a[0] - b[0], a[1] - b[1]


@partial(jax.jit, static_argnames=("k", "absolute"))
def choose(
    crossed: jax.Array,
    rest: Products,
    all_squares: jax.Array,
    training: tuple[jax.Array, ...],
    mean: jax.Array,
    pattern: jax.Array,
    k: int,
    absolute: bool,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Training r of the best k units, its sign as it counts in tests, and their places (-1 for none, and safe)."""
    q = len(pattern)
    sums, squares = rest[0][q:], rest[1]
    y_mean, y_scale, counts = training
    spread = squares - sums * sums / counts[:, None]
    eps = jnp.finfo(spread.dtype).eps
    constant = spread <= jnp.maximum(ROUNDINGS * eps * all_squares, counts[:, None] * (16 * eps * mean) ** 2)
    scale = jnp.where(constant, 0, jax.lax.rsqrt(jnp.where(constant, 1, spread)))
    r = (crossed[:q] - sums[pattern] * y_mean[:, None]) * scale[pattern] * y_scale[:, None]
    size = jnp.where(constant[pattern] | jnp.isnan(r), -jnp.inf, jnp.abs(r) if absolute else r)
    if k == 1:
        # Several times faster than argmax on CPUs, with the same answer: the first of the largest.
        best = jnp.max(size, axis=1, keepdims=True)
        at = jnp.min(jnp.where(size == best, jnp.arange(size.shape[1]), size.shape[1] - 1), axis=1, keepdims=True)
    else:
        best, at = jax.lax.top_k(size, k)
    none = jnp.isneginf(best)
    r = jnp.where(none, jnp.nan, jnp.take_along_axis(r, at, 1))
    return r, jnp.sign(r) if absolute else jnp.where(none, jnp.nan, 1), jnp.where(none, -1, at), at


@jax.jit
def held_out_r(
    part: Products,
    testing: tuple[jax.Array, ...],
    mean: jax.Array,
    pattern: jax.Array,
    at: jax.Array,
    sign: jax.Array,
) -> jax.Array:
    """r of the chosen units over one held-out set, q x k."""
    q, of = len(pattern), pattern[:, None]
    y_mean, y_scale, counts = testing
    sums, squares, count = part[0][q + of, at], part[1][of, at], counts[of]
    spread = squares - sums * sums / count
    eps = jnp.finfo(spread.dtype).eps
    flat = spread <= jnp.maximum(100 * eps * squares, count * (16 * eps * mean[at]) ** 2)
    value = (jnp.take_along_axis(part[0][:q], at, 1) - sums * y_mean[:, None]) * y_scale[:, None]
    return jnp.where(flat, jnp.nan, sign * value / jnp.sqrt(jnp.where(flat, 1, spread)))
