"""All fits of a nested k-fold cross-validation by block elimination with shared steps.

Stimuli are ordered by fold, so the Gram matrix K falls into k x k blocks. Eliminating a set T of folds from the
bordered system [K + aI, Y] (block Gaussian elimination, that is a partial Cholesky factorisation) takes from the rows
of every other fold R what the dual ridge fit on T explains of them:

    E_R(Y) = K_RT (K_TT + aI)^-1 Y_T

A column of ones eliminated along gives the unpenalised intercept. With s = 1'(K_TT + aI)^-1 1 and
c = 1'(K_TT + aI)^-1 Y_T, the prediction of the fit with intercept is E_R(Y) + (1 - E_R(1)) c / s.

Nested k-fold needs T = all folds but two (both inner fits at once) and T = all folds but one (the outer refits). Going
through the folds in order, each is either eliminated or held out (at most twice), which makes a binary tree whose
nodes are shared by all sets T that begin alike. Every step is a step of a Cholesky factorisation of some K_TT + aI, so
the errors are those of refitting by Cholesky: about epsilon * largest eigenvalue / a.

Cost per penalty, m stimuli in each of 5 folds, in m^3 flops: 143 if symmetric halves and triangular zeros could be left
out, 196 in the full products done below; refitting each training set takes 197, in LAPACK factorisations that run at a
quarter of the speed of products. Targets: 138 m^2 flops each, or 110 with the weights multiplied out first (another
100 m^3), which also spares the triangular solves and pays from about m targets on.
The number of nodes grows like k^3 / 6, so from 7 folds on the blocks of one inverse are cheaper (``inverse.py``).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from engine.solvers.scoring import PenaltyScores, Selection, penalty_scores

MAX_FOLDS = 6

Blocks = dict[tuple[int, int], jax.Array]
Found = dict[tuple[int, ...], dict[int, jax.Array]]  # folds held out together -> fold -> its predictions
_product = partial(jnp.matmul, precision="highest")


class Step(NamedTuple):
    """One fold met in order, after some were eliminated and some held out.

    Attributes:
        root: Cholesky factor R of the fold's own block; its inverse where folds are left after it, or explicit.
        spread: other fold -> the matrix that carries this fold's responses over to it when it is eliminated:
            block R^-T; the bare block where no fold is left after it; block (R R')^-1 where explicit.
        eliminated, held_out: the next step in either case, None after the last fold.
    """

    root: jax.Array | None
    spread: dict[int, jax.Array]
    eliminated: "Step | None"
    held_out: "Step | None"


@partial(jax.jit, static_argnames=("sizes", "explicit"))
def factor(kernel: jax.Array, penalty: jax.Array, sizes: tuple[int, ...], explicit: bool) -> Step:
    """Everything that depends on the kernel and the penalty.

    Args:
        kernel: stimuli x stimuli, ordered by fold.
        penalty: scalar.
        sizes: stimuli in each fold.
        explicit: multiply the weights out, for many targets.
    """
    folds = range(len(sizes))
    place = [slice(end - size, end) for size, end in zip(sizes, np.cumsum(sizes).tolist(), strict=True)]
    blocks = {(row, column): kernel[place[row], place[column]] for column in folds for row in folds[column:]}
    for fold in folds:
        blocks[fold, fold] += penalty * jnp.eye(sizes[fold], dtype=kernel.dtype)
    step = _factor(blocks, tuple(folds), (), explicit)
    assert step is not None
    return step


def _factor(blocks: Blocks, left: tuple[int, ...], held: tuple[int, ...], explicit: bool) -> Step | None:
    if not left:
        return None
    fold, rest = left[0], left[1:]
    root = eliminated = held_out = None
    spread: dict[int, jax.Array] = {}
    if rest or held:
        root = jax.lax.linalg.cholesky(blocks[fold, fold], symmetrize_input=False)
        spread = {other: blocks[other, fold] for other in rest + held}
        if rest or explicit:
            # Products with the inverse factor run several times faster than triangular solves of this size.
            root = solve_triangular(root, jnp.eye(len(root), dtype=root.dtype), lower=True)
            spread = {other: _product(block, root.T) for other, block in spread.items()}
        after = {
            (row, column): block - _product(spread[row], spread[column].T)
            for (row, column), block in blocks.items()
            if fold not in (row, column)
        }
        eliminated = _factor(after, rest, held, explicit)
        if explicit:
            spread = {other: _product(block, root) for other, block in spread.items()}
    if len(held) < 2:
        without = {place: block for place, block in blocks.items() if fold not in place}
        without |= {(fold, column): blocks[column, fold].T for column in rest}
        held_out = _factor(without, rest, (*held, fold), explicit)
    return Step(root, spread, eliminated, held_out)


@partial(jax.jit, static_argnames=("sizes", "explicit", "selection", "predictions"))
def scores(
    step: Step,
    responses: jax.Array,
    sizes: tuple[int, ...],
    explicit: bool,
    selection: Selection,
    predictions: bool = False,
) -> PenaltyScores:
    """Scores of every fold at one penalty.

    Args:
        step: what ``factor`` returned, for the same sizes.
        responses: stimuli x targets, ordered by fold.
        explicit: as in ``factor``.
        selection: inner score.
        predictions: return those of the outer test parts.
    """
    folds = range(len(sizes))
    measured = jnp.split(responses, np.cumsum(sizes)[:-1].tolist())
    bordered = {fold: jnp.pad(block, ((0, 0), (0, 1)), constant_values=1) for fold, block in enumerate(measured)}
    nothing = {fold: jnp.zeros((), responses.dtype) for fold in folds}
    found: Found = {}
    _predict(step, bordered, nothing, nothing[0], tuple(folds), (), explicit, found)
    inner = [
        [(measured[other], found[min(fold, other), max(fold, other)][other]) for other in folds if other != fold]
        for fold in folds
    ]
    outer = [(measured[fold], found[fold,][fold]) for fold in folds]
    return penalty_scores(inner, outer, selection, predictions)


def _predict(
    step: Step | None,
    responses: dict[int, jax.Array],
    explained: dict[int, jax.Array],
    sums: jax.Array,
    left: tuple[int, ...],
    held: tuple[int, ...],
    explicit: bool,
    found: Found,
) -> None:
    """Fills ``found`` below this step.

    ``responses`` of each fold end in the column of ones. Over the folds T eliminated so far, ``explained`` is
    K_RT (K_TT + aI)^-1 [Y_T, 1] of every other fold R, and ``sums`` the row 1'(K_TT + aI)^-1 [Y_T, 1]. The explained
    part is kept rather than what it leaves, which would lose the small predictions that large penalties make.
    """
    if step is None:
        intercept = sums[:-1] / sums[-1]
        found[held] = {fold: explained[fold][:, :-1] + (1 - explained[fold][:, -1:]) * intercept for fold in held}
        return
    fold, rest = left[0], left[1:]
    if step.root is not None:
        given = responses[fold] - explained[fold]
        if explicit:
            solved = given
            total = sums + _product(_product(_product(step.root, given[:, -1]), step.root), given)
        else:
            half = _product(step.root, given) if rest else solve_triangular(step.root, given, lower=True)
            solved = half if rest else solve_triangular(step.root, half, lower=True, trans=1)
            total = sums + _product(half[:, -1], half)
        after = {other: explained[other] + _product(step.spread[other], solved) for other in rest + held}
        _predict(step.eliminated, responses, after, total, rest, held, explicit, found)
    if len(held) < 2:
        _predict(step.held_out, responses, explained, sums, rest, (*held, fold), explicit, found)


@partial(jax.jit, static_argnames=("sizes", "selection", "predictions"))
def factor_and_score(
    kernel: jax.Array,
    penalty: jax.Array,
    responses: jax.Array,
    sizes: tuple[int, ...],
    selection: Selection,
    predictions: bool = False,
) -> PenaltyScores:
    """``factor`` and ``scores`` in one program that keeps no weights: for targets that fit one block."""
    return scores(factor(kernel, penalty, sizes, False), responses, sizes, False, selection, predictions)
