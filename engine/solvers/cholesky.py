"""Inverses of positive definite matrices by halves, so that nearly all of the work is matrix products.

LAPACK's factorisations and triangular solves, which XLA calls on CPUs, run at a quarter of the speed of products. With
A = [[A1, B'], [B, A2]] and the inverse Cholesky factor L1 of A1,

    C = B L1',   L2 of A2 - C C',   inverse factor of A = [[L1, 0], [-L2 C L1, L2]],   A^-1 = L'L.

Errors are those of Cholesky factors of the halves, as small as LAPACK's. Cost: 4/3 n^3 flops for the factor, 2/3 n^3
more for the inverse, against n^3 that could do with every zero and symmetry used.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

SMALL = 400  # rows below which one call of LAPACK is quicker than halving again

_product = partial(jnp.matmul, precision="highest")


def inverse_factor(matrix: jax.Array) -> jax.Array:
    """The inverse of the lower Cholesky factor; NaN where the matrix is not positive definite. Reads the lower half."""
    n = len(matrix)
    if n <= SMALL:
        root = jax.lax.linalg.cholesky(matrix, symmetrize_input=False)
        return solve_triangular(root, jnp.eye(n, dtype=matrix.dtype), lower=True)
    half = n // 2
    first = inverse_factor(matrix[:half, :half])
    carried = _product(matrix[half:, :half], first.T)
    second = inverse_factor(matrix[half:, half:] - _product(carried, carried.T))
    below = -_product(second, _product(carried, first))
    return jnp.block([[first, jnp.zeros_like(below.T)], [below, second]])


def solve(factor: jax.Array, values: jax.Array) -> jax.Array:
    """A^-1 times values, from the inverse factor of A."""
    return _product(factor.T, _product(factor, values))


def inverse(matrix: jax.Array) -> jax.Array:
    """The inverse, from the lower half of the matrix; NaN where it is not positive definite."""
    return _squared(inverse_factor(matrix))


def _squared(lower: jax.Array) -> jax.Array:
    """L'L of a lower triangular L."""
    n = len(lower)
    if n <= SMALL:
        return _product(lower.T, lower)
    half = n // 2
    first, below, second = lower[:half, :half], lower[half:, :half], lower[half:, half:]
    cross = _product(second.T, below)
    return jnp.block([[_squared(first) + _product(below.T, below), cross.T], [cross, _squared(second)]])
