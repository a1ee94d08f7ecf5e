"""What of a layer's Gram matrix is above its rounding errors, for regressions with little or no penalty.

A Gram matrix in dtype d knows its eigenvalues to about eps(d) |K|, with |K| the Frobenius norm of the centred matrix K:
products of random features of 100 to 200,000 units left 0.005 to 0.13 eps |K| where the eigenvalue is truly 0, and the
smallest true eigenvalues of AlexNet's and EfficientNet's layers over 400 photographs are above 10,000 eps |K|. So
directions above eps |K| are real and those below are rounding errors, which least squares would divide by.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.solvers.routes import check_kernel, deflated
from engine.solvers.threads import one_for_lapack

FLOAT64_CUT = 1e-10  # eps of float64 is that of single operations; centring and decomposing n x n take more


class Resolved(NamedTuple):
    """The part of a layer above the resolution of its Gram matrix.

    Attributes:
        kernel: stimuli x stimuli, float64, centred, without the directions below ``floor``.
        rank: directions that are left.
        directions: stimuli x rank, orthonormal; None where nothing was taken away.
        norm: Frobenius norm of the centred kernel.
        floor: smallest eigenvalue that is told from 0: norm times eps of the Gram matrix's dtype, or times 1e-10
            where it is float64.
    """

    kernel: np.ndarray
    rank: int
    directions: np.ndarray | None
    norm: float
    floor: float


def resolved(gram: np.ndarray) -> Resolved:
    """The kernel that regressions with little or no penalty work on.

    With more units than stimuli usually nothing lies below the floor, which one Cholesky factorisation of the kernel
    less the floor tells: n^3 / 3 flops. Otherwise an eigendecomposition takes the rest away: about 11 n^3. Three to
    five matrices of n^2 float64 are held for a moment.

    Raises:
        InputError: not a square matrix of finite real numbers.
    """
    eps = float(np.finfo(np.asarray(gram).dtype).eps)
    with jax.enable_x64(True), one_for_lapack():
        given = jnp.asarray(gram, jnp.float64)
        check_kernel(given, 2)
        kernel, size = deflated(given)
        norm = float(size)
        floor = max(eps, FLOAT64_CUT) * norm
        if bool(_above(kernel, floor)):
            return Resolved(np.asarray(kernel - kernel.mean()), len(given) - 1, None, norm, floor)
        values, vectors = (np.asarray(part) for part in jnp.linalg.eigh(kernel - kernel.mean()))
    kept = values > floor
    directions = vectors[:, kept]
    scores = directions * np.sqrt(values[kept])
    return Resolved(scores @ scores.T, int(kept.sum()), directions, norm, floor)


@jax.jit
def _above(kernel: jax.Array, floor: float) -> jax.Array:
    """Whether all eigenvalues are above the floor."""
    return jnp.isfinite(jnp.linalg.cholesky(kernel - floor * jnp.eye(len(kernel)))).all()
