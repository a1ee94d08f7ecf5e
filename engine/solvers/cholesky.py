"""Inverses of positive definite matrices by blocks, so that nearly all of the work is matrix products.

LAPACK's factorisations and triangular solves, which XLA calls on CPUs, run at a quarter of the speed of products.

The inverse Cholesky factor goes by halves. With A = [[A1, B'], [B, A2]] and the inverse factor L1 of A1,

    C = B L1',   L2 of A2 - C C',   inverse factor of A = [[L1, 0], [-L2 C L1, L2]].

Cost: 4/3 n^3 flops.

The inverse comes from Gauss-Jordan elimination (the sweep operator) of g = 5 blocks of m = n / g rows, of which only
the lower half is worked on: with the pivot block P = R R' and B the blocks beside it, H = B R^-T, every other block
loses H H', and B becomes H R^-1. Each pivot block is what Cholesky factorisation would meet there. Dividing by P itself
instead of its factor would take a fifth fewer operations but lose twice the digits: errors like
epsilon * (largest / smallest eigenvalue)^2. As it is they stay at or below those of LAPACK's factor.
Cost: g (2 (g - 1) + g (g - 1) / 2 + 2) 2 m^3 = 1.6 n^3 flops, n^3 if no product were wasted.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

LAPACK = 160  # rows that LAPACK factorises at once; more are halved
PIVOTS = 5  # the fewer, the larger the products; the more, the less of a symmetric product is wasted

_product = partial(jnp.matmul, precision="highest")


def inverse_factor(matrix: jax.Array) -> jax.Array:
    """The inverse of the lower Cholesky factor; NaN where the matrix is not positive definite. Reads the lower half."""
    n = len(matrix)
    if n <= LAPACK:
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
    n = len(matrix)
    ends = np.linspace(0, n, min(PIVOTS, -(-n // LAPACK)) + 1).astype(int)
    place = [slice(*pair) for pair in zip(ends.tolist(), ends[1:].tolist(), strict=False)]
    count = len(place)
    blocks = {(i, j): matrix[place[i], place[j]] for i in range(count) for j in range(i + 1)}
    for pivot in range(count):
        root = inverse_factor(blocks[pivot, pivot])
        blocks[pivot, pivot] = -_product(root.T, root)
        others = [i for i in range(count) if i != pivot]
        if not others:
            break
        beside = jnp.concatenate([blocks[i, pivot] if i > pivot else blocks[pivot, i].T for i in others])
        half = _product(beside, root.T)
        cuts = np.cumsum([len(blocks[i, i]) for i in others])[:-1].tolist()
        quotients = jnp.split(_product(half, root), cuts)
        halves = jnp.split(half, cuts)
        for row, (i, quotient) in enumerate(zip(others, quotients, strict=True)):
            # One product for all blocks of the row up to the diagonal.
            lost = _product(halves[row], jnp.concatenate(halves[: row + 1]).T)
            for j, part in zip(others, jnp.split(lost, cuts[:row], axis=1), strict=False):
                blocks[i, j] -= part
            blocks[max(i, pivot), min(i, pivot)] = quotient if i > pivot else quotient.T
    return -jnp.block([[blocks[i, j] if j <= i else blocks[j, i].T for j in range(count)] for i in range(count)])
