"""All fits of a nested k-fold cross-validation by block elimination with shared steps.

Stimuli are ordered by fold, so the Gram matrix K falls into k x k blocks. Eliminating a set T of folds from the
bordered system [K + aI, Y] (block Gaussian elimination, that is a partial Cholesky factorisation) takes from the rows
of every other fold R what the dual ridge fit on T explains of them:

    E_R(Y) = K_RT (K_TT + aI)^-1 Y_T

A column of ones eliminated along gives the unpenalised intercept. With s = 1'(K_TT + aI)^-1 1 and
c = 1'(K_TT + aI)^-1 Y_T, the prediction of the fit with intercept is E_R(Y) + (1 - E_R(1)) c / s. All about the ones is
done with the factors, so that targets do not meet and can be spread over devices.

Nested k-fold needs T = all folds but two (both inner fits at once) and T = all folds but one (the outer refits). Going
through the folds in order, each is either eliminated or held out (at most twice), which makes a binary tree whose
nodes are shared by all sets T that begin alike. Every step is a step of a Cholesky factorisation of some K_TT + aI, so
the errors are those of refitting by Cholesky: about epsilon * largest eigenvalue / a.

Cost per penalty, m stimuli in each of 5 folds, in m^3 flops: 143 if symmetric halves and triangular zeros could be left
out, 200 as done below, nearly all in products; refitting each training set takes 197, in LAPACK factorisations that run
at a quarter of the speed of products. Targets: 158 m^2 flops each, 20 of them in triangular solves, or 110 with the
weights multiplied out first (another 142 m^3): measured even at 1.75 m targets, whatever m.
The number of nodes grows like k^3 / 6, so from 7 folds on the blocks of one inverse are cheaper (``inverse.py``).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.sharding import Mesh

from engine.solvers.cholesky import inverse_factor
from engine.solvers.scoring import PenaltyScores, Selection, penalty_scores
from engine.solvers.targets import Route, block_width, over_targets, replicated

MAX_FOLDS = 6
FACTORS = 12  # memory of the factors of six folds, in kernels

Blocks = dict[tuple[int, int], jax.Array]
Rows = dict[int, jax.Array]  # fold -> what belongs to its stimuli
Found = dict[tuple[int, ...], Rows]  # folds held out together -> their predictions
_product = partial(jnp.matmul, precision="highest")


class Step(NamedTuple):
    """One fold met in order, after some were eliminated and some held out.

    Attributes:
        root: Cholesky factor R of the fold's own block; its inverse where folds are left after it, or explicit.
        spread: other fold -> the matrix that carries this fold's responses over to it when it is eliminated:
            block R^-T; the bare block where no fold is left after it; block (R R')^-1 where explicit.
        ones: what is left of this fold's ones, solved as its responses are: their share of 1'(K_TT + aI)^-1.
        eliminated, held_out: the next step in either case.
    """

    root: jax.Array | None
    spread: Rows
    ones: jax.Array | None
    eliminated: "Step | Leaf | None"
    held_out: "Step | Leaf | None"


class Leaf(NamedTuple):
    """After the last fold: held out fold -> (1 - E_R(1)) / s."""

    intercept: Rows


@partial(jax.jit, static_argnames=("sizes", "explicit", "dtype"))
def factor(kernel: jax.Array, penalty: jax.Array, sizes: tuple[int, ...], explicit: bool, dtype: jnp.dtype) -> Step:
    """Everything that depends on the kernel and the penalty.

    Args:
        kernel: stimuli x stimuli, ordered by fold; its dtype is that of the work.
        penalty: scalar.
        sizes: stimuli in each fold.
        explicit: multiply the weights out, for many targets.
        dtype: of the result, as the responses have it.
    """
    folds = range(len(sizes))
    place = [slice(end - size, end) for size, end in zip(sizes, np.cumsum(sizes).tolist(), strict=True)]
    blocks = {(row, column): kernel[place[row], place[column]] for column in folds for row in folds[column:]}
    for fold in folds:
        blocks[fold, fold] += penalty * jnp.eye(sizes[fold], dtype=kernel.dtype)
    ones = {fold: jnp.ones(sizes[fold], kernel.dtype) for fold in folds}
    step = _factor(blocks, ones, jnp.zeros((), kernel.dtype), tuple(folds), (), explicit)
    return jax.tree.map(lambda array: array.astype(dtype), step)


def _factor(
    blocks: Blocks, ones: Rows, total: jax.Array, left: tuple[int, ...], held: tuple[int, ...], explicit: bool
) -> Step | Leaf:
    """``ones`` is 1 - E_R(1) of every fold R that is not eliminated, ``total`` is s over those that are."""
    if not left:
        return Leaf({fold: ones[fold] / total for fold in held})
    fold, rest = left[0], left[1:]
    root = solved = eliminated = held_out = None
    spread: Rows = {}
    if rest or held:
        spread = {other: blocks[other, fold] for other in rest + held}
        if rest or explicit:
            # Products with the inverse factor run several times faster than triangular solves of this size.
            root = inverse_factor(blocks[fold, fold])
            spread = {other: _product(block, root.T) for other, block in spread.items()}
            solved = _product(root, ones[fold])
            carried = solved
        else:
            root = jax.lax.linalg.cholesky(blocks[fold, fold], symmetrize_input=False)
            solved = solve_triangular(root, ones[fold], lower=True)
            carried = solve_triangular(root, solved, lower=True, trans=1)
        blocks_after = {
            (row, column): block - _product(spread[row], spread[column].T)
            for (row, column), block in blocks.items()
            if rest and fold not in (row, column)
        }
        ones_after = {other: ones[other] - _product(spread[other], carried) for other in rest + held}
        total_after = total + _product(solved, solved)
        eliminated = _factor(blocks_after, ones_after, total_after, rest, held, explicit)
        if explicit:
            spread = {other: _product(block, root) for other, block in spread.items()}
            solved = _product(solved, root)
    if len(held) < 2:
        without = {place: block for place, block in blocks.items() if fold not in place}
        without |= {(fold, column): blocks[column, fold].T for column in rest}
        held_out = _factor(without, ones, total, rest, (*held, fold), explicit)
    return Step(root, spread, solved, eliminated, held_out)


@partial(jax.jit, static_argnames=("sizes", "explicit", "selection", "predictions", "mesh"))
def scores(
    step: Step,
    responses: jax.Array,
    sizes: tuple[int, ...],
    explicit: bool,
    selection: Selection,
    predictions: bool,
    mesh: Mesh,
) -> PenaltyScores:
    """Scores of every fold at one penalty.

    Args:
        step: what ``factor`` returned, for the same sizes.
        responses: stimuli x targets, ordered by fold.
        explicit: as in ``factor``.
        selection: inner score.
        predictions: return those of the outer test parts.
        mesh: devices the targets are spread over.
    """
    work = partial(_scores, sizes=sizes, explicit=explicit, selection=selection, predictions=predictions)
    return over_targets(work, mesh)(step, responses)


def _scores(
    step: Step, responses: jax.Array, *, sizes: tuple[int, ...], explicit: bool, selection: Selection, predictions: bool
) -> PenaltyScores:
    folds = range(len(sizes))
    measured = dict(enumerate(jnp.split(responses, np.cumsum(sizes)[:-1].tolist())))
    nothing = {fold: jnp.zeros((), responses.dtype) for fold in folds}
    found: Found = {}
    _predict(step, measured, nothing, nothing[0], tuple(folds), (), explicit, found)
    inner = [
        [(measured[other], found[min(fold, other), max(fold, other)][other]) for other in folds if other != fold]
        for fold in folds
    ]
    outer = [(measured[fold], found[fold,][fold]) for fold in folds]
    return penalty_scores(inner, outer, selection, predictions)


def _predict(
    step: Step | Leaf | None,
    responses: Rows,
    explained: Rows,
    sums: jax.Array,
    left: tuple[int, ...],
    held: tuple[int, ...],
    explicit: bool,
    found: Found,
) -> None:
    """Fills ``found`` below this step.

    Over the folds T eliminated so far, ``explained`` is E_R(Y) of every other fold R, and ``sums`` the row
    1'(K_TT + aI)^-1 Y_T. The explained part is kept rather than what it leaves, which would lose the small predictions
    that large penalties make.
    """
    if step is None:
        return
    if isinstance(step, Leaf):
        found[held] = {fold: explained[fold] + step.intercept[fold][:, None] * sums for fold in held}
        return
    fold, rest = left[0], left[1:]
    if step.root is not None and step.ones is not None:
        given = responses[fold] - explained[fold]
        half = solved = given
        if not explicit:
            half = _product(step.root, given) if rest else solve_triangular(step.root, given, lower=True)
            solved = half if rest else solve_triangular(step.root, half, lower=True, trans=1)
        after = {other: explained[other] + _product(step.spread[other], solved) for other in rest + held}
        total = sums + _product(step.ones, half)
        _predict(step.eliminated, responses, after, total, rest, held, explicit, found)
    if len(held) < 2:
        _predict(step.held_out, responses, explained, sums, rest, (*held, fold), explicit, found)


@partial(jax.jit, static_argnames=("sizes", "selection", "predictions", "mesh"))
def factor_and_score(
    kernel: jax.Array,
    penalty: jax.Array,
    responses: jax.Array,
    sizes: tuple[int, ...],
    selection: Selection,
    predictions: bool,
    mesh: Mesh,
) -> PenaltyScores:
    """``factor`` and ``scores`` in one program that keeps no weights: for targets that fit one block.

    Kernels of several layers, layers x stimuli x stimuli with a penalty each, give scores with layers in front.
    """
    if kernel.ndim == 3:
        one = partial(
            factor_and_score, responses=responses, sizes=sizes, selection=selection, predictions=predictions, mesh=mesh
        )
        return jax.vmap(one)(kernel, penalty)
    step = factor(kernel, penalty, sizes, False, responses.dtype)
    return scores(step, responses, sizes, False, selection, predictions, mesh)


def multiplied_out(targets: int, fold: int) -> bool:
    """Whether weights are made explicit; ``fold`` is the number of stimuli in the largest."""
    return 4 * targets > 7 * fold


def route(
    kernel: jax.Array,
    parts: Sequence[np.ndarray],
    responses: np.dtype,
    targets: int,
    selection: Selection,
    predictions: bool,
    mesh: Mesh,
) -> Route:
    """The way to the scores of nested k-fold cross-validation over ``parts``, for that many targets of that dtype."""
    order = np.concatenate(parts)
    sizes = tuple(len(part) for part in parts)
    ordered = replicated(kernel[..., order[:, None], order], mesh)
    explicit = multiplied_out(targets, max(sizes))
    fused = kernel.ndim == 3 or not (explicit or targets > block_width(targets, mesh))

    def at(penalty: jax.Array) -> Callable[[jax.Array], PenaltyScores]:
        if fused:
            return lambda block: factor_and_score(ordered, penalty, block, sizes, selection, predictions, mesh)
        step = factor(ordered, penalty, sizes, explicit, responses)
        return lambda block: scores(step, block, sizes, explicit, selection, predictions, mesh)

    return Route(order, at)
