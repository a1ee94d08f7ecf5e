"""Fits of any nested design, read as blocks of one inverse per penalty.

With G = (K + aI)^-1 over all stimuli, less its constant direction, G - G11'G / 1'G1, the residuals of the ridge fit
with unpenalised intercept on all stimuli but R are

    Y_R - prediction_R = (G_RR)^-1 (G Y)_R

for any set R. An outer fold leaves out H, the complement of its train part; an inner fold leaves out H and its
validation set V, whose residuals follow from the Schur complement of G_HH:

    (G_VV - G_VH (G_HH)^-1 G_HV)^-1 ((G Y)_V - G_VH (G_HH)^-1 (G Y)_H).

Cost per penalty: 1.7 n^3 + sum over folds (|H|^3 / 3 + sum over inner folds (|V| |H|^2 + |V|^2 |H| + |V|^3 / 3)) flops
for the matrices. Ten 90/10 splits with 5 inner folds: 2 n^3, against 8.7 n^3 for refitting every training set.
Errors are about epsilon * largest eigenvalue / a, times the residual variance of the held-out stimuli over a where
near-duplicates are held out together; use float64 kernels where that can matter.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular

from engine.solvers.scoring import PenaltyScores, Selection, penalty_scores

_product = partial(jnp.matmul, precision="highest")


@jax.jit
def centred_inverse(kernel: jax.Array, penalty: jax.Array) -> jax.Array:
    """(K + aI)^-1 less its constant direction: the residual-forming matrix of ridge with an intercept."""
    root = jax.lax.linalg.cholesky(kernel + penalty * jnp.eye(len(kernel), dtype=kernel.dtype), symmetrize_input=False)
    inverse_root = solve_triangular(root, jnp.eye(len(kernel), dtype=kernel.dtype), lower=True).T
    inverse = _product(inverse_root, inverse_root.T)
    sums = inverse.sum(axis=0)
    return inverse - sums[:, None] * (sums / sums.sum())


@jax.jit
def project(inverse: jax.Array, responses: jax.Array) -> jax.Array:
    """inverse times responses: stimuli x targets."""
    return _product(inverse, responses)


@partial(jax.jit, static_argnames=("selection", "predictions"))
def fold_scores(
    inverse: jax.Array,
    projected: jax.Array,
    responses: jax.Array,
    held: jax.Array,
    test: jax.Array,
    validation: tuple[jax.Array, ...],
    selection: Selection,
    predictions: bool = False,
) -> PenaltyScores:
    """Scores of one outer fold at one penalty; compiled once per combination of sizes.

    Args:
        inverse: from ``centred_inverse``, stimuli x stimuli.
        projected: inverse times responses.
        responses: stimuli x targets.
        held: indices of all stimuli outside the train part.
        test: positions of the test stimuli in ``held``.
        validation: indices of each inner fold's validation set.
        selection: inner score.
        predictions: return those of the test part.
    """
    root = jax.lax.linalg.cholesky(inverse[jnp.ix_(held, held)], symmetrize_input=False)
    out = cho_solve((root, True), projected[held])
    inner = []
    for part in validation:
        cross = inverse[jnp.ix_(part, held)]
        half = solve_triangular(root, cross.T, lower=True).T
        left = inverse[jnp.ix_(part, part)] - _product(half, half.T)
        residual = cho_solve(
            (jax.lax.linalg.cholesky(left, symmetrize_input=False), True),
            projected[part] - _product(cross, out),
        )
        inner.append((responses[part], responses[part] - residual))
    tested = responses[held[test]]
    return penalty_scores([inner], [(tested, tested - out[test])], selection, predictions)
