"""All fits of a k-fold cross-validation at one penalty as plain matrices, for many targets.

G is the centred inverse of ``inverse.py``: (K + aI)^-1 less its constant direction. The ridge fit with unpenalised
intercept on all stimuli T outside a fold R predicts there

    prediction_R = W_R Y_T,    W_R = -(G_RR)^-1 G_RT,

so every fold is one product of |R| x |T| with |T| x t, the least that held-out predictions can take. Leave-one-out is
W = I - G / diag G, whose diagonal is zero.

Cost per penalty in flops, the products of full blocks that are done:
    G               1.6 n^3, see ``cholesky.py``
    all k folds     2 n^3 / k
    t targets       2 n^2 t (1 - 1 / k)
and k inverse Cholesky factors of blocks. 1500 stimuli, 5 folds, 2000 targets: 5.4 + 1.4 + 7.2 = 14 Gflop, done at
four fifths of the speed of one large product: the targets at 0.95, G at 0.8, the folds at 0.5 of it.
Decomposing K once for all penalties saves nothing, since U diag(1 / (w + a)) U' costs as much as the elimination.
Decomposing every training set leaves only the 7.2 Gflop for each penalty, but costs as much beforehand as a dozen
penalties cost here.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from engine.solvers import cholesky
from engine.solvers.inverse import centred_inverse, penalised_inverse

_product = partial(jnp.matmul, precision="highest")


@partial(jax.jit, static_argnames="intercept")
def residual_inverse(kernel: jax.Array, penalty: jax.Array, intercept: bool) -> jax.Array:
    """G of one penalty, or penalties x stimuli x stimuli of several.

    Args:
        kernel: stimuli x stimuli.
        penalty: a scalar, or some worked on side by side.
        intercept: take the constant direction off; without, G is (K + aI)^-1.
    """
    if penalty.ndim:
        return jax.vmap(lambda one: residual_inverse(kernel, one, intercept))(penalty)
    return centred_inverse(kernel, penalty) if intercept else penalised_inverse(kernel, penalty)


@partial(jax.jit, static_argnames="size")
def fold_weights(inverse: jax.Array, start: jax.Array, size: int) -> jax.Array:
    """W_R of one fold, fold x rest; penalties in front where the inverse has them.

    Compiled once for all folds of a size. Its columns are the stimuli as ``outside`` has them.

    Args:
        inverse: from ``residual_inverse``.
        start: the first stimulus of the fold, 0 or not below ``size``.
        size: number of stimuli in it, which follow the first.
    """
    if inverse.ndim > 2:
        return jax.vmap(lambda one: fold_weights(one, start, size))(inverse)
    rows = jax.lax.dynamic_slice_in_dim(inverse, start, size)
    root = cholesky.inverse_factor(jax.lax.dynamic_slice_in_dim(rows, start, size, axis=1))
    others = jax.lax.dynamic_update_slice_in_dim(rows, rows[:, :size], start, axis=1)[:, size:]
    return -_product(_product(root.T, root), others)


def outside(values: np.ndarray, start: int, size: int) -> np.ndarray:
    """The rows outside a fold, its place taken by the first ones: an order that one program finds for every fold."""
    moved = values.copy()
    moved[start : start + size] = values[:size]
    return moved[size:]


@jax.jit
def leave_one_out_weights(inverse: jax.Array) -> jax.Array:
    """W of leave-one-out, stimuli x stimuli; penalties in front where the inverse has them."""
    own = jnp.diagonal(inverse, axis1=-2, axis2=-1)
    return jnp.eye(inverse.shape[-1], dtype=inverse.dtype) - inverse / own[..., None]
