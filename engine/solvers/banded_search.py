"""The search behind banded ridge: scores of every candidate on every fold, and the fits that are chosen.

Candidates are weightings x penalties. Targets wait on the device in blocks, once outside and once inside of every fold,
as many at a time as fit; for these all candidates are gone through, so that each inverse serves all of them.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError
from engine.solvers.blocks import limited
from engine.solvers.fold_weights import fold_weights, leave_one_out_weights, outside, residual_inverse
from engine.solvers.nested import breakdown
from engine.solvers.scoring import Selection, negative_mse, pearson, r2

CPU_WIDTH = 512  # targets in a block: a few MB, which stay in cache through all products
ACCELERATOR_WIDTH = 8192
STEP = 64  # what the width of large blocks is a multiple of; products of other widths are up to a tenth slower
HELD = 2**30  # bytes of responses and scores held at a time, and of matrices of penalties worked on side by side
FITTED = 64  # targets of one candidate that are fitted together after the choice

_product = partial(jnp.matmul, precision="highest")


class Candidates(NamedTuple):
    """What is tried.

    Attributes:
        kernels: spaces x stimuli x stimuli.
        weightings: count x spaces.
        grid: penalties.
        intercept: whether the fits have one.
    """

    kernels: jax.Array
    weightings: np.ndarray
    grid: np.ndarray
    intercept: bool

    def kernel(self, row: int) -> jax.Array:
        """The summed kernel of one weighting."""
        return summed(self.kernels, jnp.asarray(self.weightings[row], self.kernels.dtype))

    def penalty(self, where: int | slice) -> jax.Array:
        return jnp.asarray(self.grid[where], self.kernels.dtype)

    def broken(self, row: int, penalty: float) -> InputError:
        """What a candidate that cannot be factorised is refused with."""
        weighting = np.array2string(self.weightings[row], precision=3)
        return InputError(
            f"banded ridge with weighting {weighting} at penalty {penalty:.3g} broke down: the summed kernel is not "
            f"positive definite in {self.kernels.dtype}; {breakdown(self.kernels.dtype)}"
        )


class Layout(NamedTuple):
    """Folds that share no stimulus.

    Attributes:
        order: the stimuli fold by fold, larger folds first, then those of no fold.
        sizes: stimuli in each fold; None for leave-one-out.
    """

    order: np.ndarray
    sizes: tuple[int, ...] | None


Block = list[tuple[tuple[jax.Array, jax.Array], ...]]  # layout, fold: the targets outside the fold and in it


def layouts_of(parts: tuple[np.ndarray, ...] | None, stimuli: int) -> list[Layout]:
    """The folds in as few layouts as their order allows: one for k-fold, one for each repeat of repeated k-fold."""
    everything = np.arange(stimuli)
    if parts is None:
        return [Layout(everything, None)]
    together: list[list[np.ndarray]] = []
    for part in parts:
        if not together or len(np.intersect1d(part, np.concatenate(together[-1]))):
            together.append([])
        together[-1].append(part)
    for own in together:
        own.sort(key=len, reverse=True)
    return [
        Layout(np.concatenate([*own, np.setdiff1d(everything, np.concatenate(own))]), tuple(len(p) for p in own))
        for own in together
    ]


def held_most() -> int:
    """Bytes of what is worked on side by side."""
    return limited(HELD)


def _blocks(centred: np.ndarray, layouts: Sequence[Layout], candidates: int) -> Iterator[tuple[slice, list[Block]]]:
    """Ranges of targets in equally wide blocks, as many at a time as may be held with the scores of all candidates.

    What lies outside each fold is copied: XLA would copy a slice for each product with it.
    """
    stimuli, targets = centred.shape
    widest = CPU_WIDTH if jax.default_backend() == "cpu" else limited(ACCELERATOR_WIDTH)
    width = -(-targets // -(-targets // widest))
    if width > STEP:
        width = -(-width // STEP) * STEP
    copies = sum(len(layout.sizes or (1,)) for layout in layouts)
    step = width * max(1, held_most() // (width * (copies * stimuli * centred.itemsize + 8 * candidates)))
    for start in range(0, targets, step):
        part = slice(start, min(start + step, targets))
        blocks = []
        for left in range(start, part.stop, width):
            own = centred[:, left : min(left + width, part.stop)]
            own = np.pad(own, ((0, 0), (0, width - own.shape[1])))
            blocks.append([_arranged(own[layout.order], layout.sizes) for layout in layouts])
        yield part, blocks


def _arranged(values: np.ndarray, sizes: tuple[int, ...] | None) -> tuple[tuple[jax.Array, jax.Array], ...]:
    if sizes is None:
        whole = jnp.asarray(values)
        return ((whole, whole),)
    starts = np.cumsum((0, *sizes[:-1])).tolist()
    return tuple(
        (jnp.asarray(outside(values, start, size)), jnp.asarray(values[start : start + size]))
        for start, size in zip(starts, sizes, strict=True)
    )


def _weights(inverse: jax.Array, sizes: tuple[int, ...] | None) -> tuple[jax.Array, ...]:
    """W of every fold."""
    if sizes is None:
        return (leave_one_out_weights(inverse),)
    starts = np.cumsum((0, *sizes[:-1])).tolist()
    return tuple(fold_weights(inverse, start, size) for start, size in zip(starts, sizes, strict=True))


@jax.jit
def summed(kernels: jax.Array, weighting: jax.Array) -> jax.Array:
    """sum_s w_s K_s."""
    return sum((w * k for w, k in zip(weighting[1:], kernels[1:], strict=True)), weighting[0] * kernels[0])


@jax.jit
def rearranged(kernel: jax.Array, order: jax.Array) -> jax.Array:
    """The kernel with its stimuli in another order."""
    return kernel[order[:, None], order]


@partial(jax.jit, static_argnames="selection")
def fold_scores(
    weights: tuple[jax.Array, ...], block: tuple[tuple[jax.Array, jax.Array], ...], selection: Selection
) -> jax.Array:
    """Scores of a block of targets, added over the folds; penalties x targets where the weights have penalties.

    A target that is constant in a fold scores 0 there, as in himalaya.
    """
    score = {"r2": r2, "pearson": pearson, "mse": negative_mse}[selection]

    def of_fold(weight: jax.Array, rest: jax.Array, measured: jax.Array) -> jax.Array:
        predicted = _product(weight, rest)
        one = partial(score, measured, undefined=0.0)
        return jax.vmap(one)(predicted) if weight.ndim > 2 else one(predicted)

    return jnp.stack([of_fold(w, *fold) for w, fold in zip(weights, block, strict=True)]).sum(axis=0)


def _search(
    candidates: Candidates, layouts: Sequence[Layout], selection: Selection, blocks: Sequence[Block]
) -> np.ndarray:
    """Mean score over the folds, weightings x penalties x targets."""
    kernels, weightings, grid, intercept = candidates
    width = blocks[0][0][0][1].shape[1]
    scores = np.zeros((len(weightings), len(grid), len(blocks) * width))
    folds = sum(len(fold) for fold in blocks[0])
    # On a CPU every product is large enough by itself; an accelerator is busier with several penalties side by side.
    together = 1
    if jax.default_backend() != "cpu":
        together = min(len(grid), max(1, held_most() // (8 * kernels[0].nbytes)))
    waiting: deque[tuple[int, slice, list[jax.Array]]] = deque()

    def settle(left: int) -> None:
        while len(waiting) > left:
            row, columns, found = waiting.popleft()
            values = np.concatenate([np.asarray(f) for f in found], axis=-1) / folds
            if np.isnan(values).any():
                raise candidates.broken(row, grid[columns].min())
            scores[row, columns] += values

    for row in range(len(weightings)):
        kernel = candidates.kernel(row)
        for number, layout in enumerate(layouts):
            own = kernel if number == 0 else rearranged(kernel, layout.order)
            for start in range(0, len(grid), together):
                columns = slice(start, start + together)
                penalty = candidates.penalty(columns if together > 1 else start)
                weights = _weights(residual_inverse(own, penalty, intercept), layout.sizes)
                waiting.append((row, columns, [fold_scores(weights, block[number], selection) for block in blocks]))
                settle(2)  # more under way at a time would pile up in memory
    settle(0)
    return scores


def choose(
    candidates: Candidates,
    centred: np.ndarray,
    layouts: Sequence[Layout],
    selection: Selection,
    groups: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The best candidate of each target, counted along penalties first, and the best score of each weighting.

    Targets with the same label in ``groups`` are judged by the mean of their scores.
    """
    shape = len(candidates.weightings), len(candidates.grid)
    targets = centred.shape[1]
    best, scores = np.empty(targets, np.int64), np.empty((shape[0], targets))
    labels = None if groups is None else np.unique(groups, return_inverse=True)[1]
    total = np.zeros((*shape, 0 if labels is None else labels.max() + 1))
    for part, blocks in _blocks(centred, layouts, shape[0] * shape[1]):
        found = _search(candidates, layouts, selection, blocks)[..., : part.stop - part.start]
        if labels is None:
            best[part], scores[:, part] = _best(found)
            continue
        for label in np.unique(labels[part]):
            total[..., label] += found[..., labels[part] == label].sum(axis=-1)
    if labels is None:
        return best, scores
    best, scores = _best(total / np.bincount(labels))
    return best[labels], scores[:, labels]


def _best(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return scores.reshape(-1, scores.shape[-1]).argmax(axis=0), scores.max(axis=1)


def coefficients(candidates: Candidates, centred: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Dual coefficients G Y of the fit on all stimuli, each target at its own candidate."""
    found = np.empty_like(centred)
    by_pair = np.argsort(best, kind="stable")
    starts = np.flatnonzero(np.diff(best[by_pair], prepend=-1))
    kernel, at = None, -1
    for targets in np.split(by_pair, starts[1:]):
        row, column = divmod(int(best[targets[0]]), len(candidates.grid))
        if kernel is None or row != at:
            kernel, at = candidates.kernel(row), row
        inverse = residual_inverse(kernel, candidates.penalty(column), candidates.intercept)
        for start in range(0, len(targets), FITTED):
            own = targets[start : start + FITTED]
            filled = np.pad(centred[:, own], ((0, 0), (0, FITTED - len(own))))
            found[:, own] = np.asarray(multiplied(inverse, filled))[:, : len(own)]
        if np.isnan(found[:, targets]).any():
            raise candidates.broken(row, candidates.grid[column])
    return found


multiplied = jax.jit(_product)
