"""Noise-corrected predictivity: what a layer's map predicts of the responses' signal, corrected on both sides.

For each split of the stimuli and each random halving of the repetitions, neuroid by neuroid, over the test stimuli,

    r(M(X), Y) / sqrt(SB[r(M1(X), M2(X))] SB[r(Y1, Y2)]),    SB(r) = 2 r / (1 + r),

Y the average over all repetitions, Y1 and Y2 over the halves; M, M1 and M2 ridge maps from the layer X, fitted to the
train part of Y, Y1 and Y2 at one penalty. The second factor corrects for noise in the responses that are predicted, the
first for noise in those that the map was fitted to. What is left is the score that the same maps would have, fitted to
and tested on noise-free responses: 1 for the true model, less what few train stimuli and a large penalty cost.
Dividing by an estimate makes it a little too high: over 160 test stimuli, in simulations of the true model, by 4 %
where averages have a reliability of .4 and by .2 % at .8.
Spearman, American Journal of Psychology 1904; Nayebi et al., PLoS Computational Biology 2023, whose brainmodel_utils
names it ``get_linregress_consistency``.

At a fixed penalty the map is linear in the responses, and so halves of complete data need no fits of their own: with P
the matrix of the map and Y_1 ... Y_R the repetitions, M1(X) is a mean of some P Y_r, and r(M1, M2) follows from the
R x R covariance of these (``halves``). Per neuroid and split 2 R |test| |train| flops for the predictions and
4 R² |test| for the covariances, whatever the number H of halvings; one P for each split and penalty (``maps``).
Neuroids with missing responses are predicted from the halves' averages: 4 H |test| |train|.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.ceilings.corrected import on_both_sides
from engine.ceilings.correlation import pearson, spearman_brown
from engine.ceilings.halves import (
    MEMORY,
    Halves,
    by_neuroid,
    check_repeats,
    covariance,
    from_covariance,
    random_halves,
)
from engine.ceilings.maps import prediction_matrices
from engine.ceilings.moments import divided
from engine.errors import InputError
from engine.solvers.folds import Split, check_splits, restrict
from engine.solvers.missing import patterns
from engine.solvers.ridge import nested_ridge
from engine.solvers.scoring import Selection


class NoiseCorrected(NamedTuple):
    """splits x neuroids each.

    Attributes:
        corrected: mean over the halvings in which both reliabilities are positive; NaN where there are none. Above 1
            by chance where reliabilities are low: leave such neuroids out by a threshold on ``responses``.
        raw: r(M(X), Y).
        predictions: mean over halvings of SB[r(M1(X), M2(X))].
        responses: mean over halvings of SB[r(Y1, Y2)].
        halvings: how many ``corrected`` is the mean of.
    """

    corrected: np.ndarray
    raw: np.ndarray
    predictions: np.ndarray
    responses: np.ndarray
    halvings: np.ndarray


def noise_corrected(
    kernel: np.ndarray,
    repeats: np.ndarray,
    splits: Sequence[Split],
    penalties: Sequence[float] | np.ndarray,
    *,
    halvings: int = 100,
    seed: int = 0,
    selection: Selection = "r2",
    groups: np.ndarray | None = None,
) -> NoiseCorrected:
    """Noise-corrected predictivity of one layer.

    Equals fitting scikit-learn's ``Ridge`` to the averages and to every half. A halving is skipped for a neuroid that
    has no response to some stimulus in one of the halves; stimuli to which it has no response at all are left out.
    Of an uneven number of repetitions the second half has one more.

    Args:
        kernel: stimuli x stimuli, X X' of the layer, centred or not.
        repeats: repetitions x stimuli x neuroids, NaN where missing; worked on in blocks of neuroids (64 MiB).
        splits: over the stimuli, with inner folds if there are several penalties.
        penalties: one for all, or a grid, in units of the kernel, from which each neuroid's is chosen on the averages'
            train part (``nested_ridge``); the halves share it.
        halvings: random halvings of the repetitions.
        seed: of the halvings.
        selection, groups: how penalties are chosen, as in ``nested_ridge``.

    Raises:
        InputError: fewer than two repetitions; what ``nested_ridge`` refuses.
    """
    check_repeats(repeats, "noise-corrected predictivity")
    count, stimuli, neuroids = repeats.shape
    if np.shape(kernel) != (stimuli, stimuli):
        raise InputError(f"wanted a kernel of {stimuli} x {stimuli} stimuli, got shape {np.shape(kernel)}")
    checked = check_splits(splits, stimuli)
    averages = means(repeats)
    grid = np.asarray(penalties, np.float64)
    index = np.zeros((len(checked), neuroids), int)
    seen = np.isfinite(averages).any(axis=0)
    if grid.shape != (1,) or not grid[0] > 0:
        labels = None if groups is None else groups[seen]
        with jax.enable_x64(True):
            wide = jnp.asarray(kernel, jnp.float64)
            chosen = nested_ridge(wide, averages[:, seen], checked, grid, selection=selection, groups=labels)
        index[:, seen] = chosen.penalty_index
    halves = random_halves(count, halvings, seed, leave_one_out=False)
    found = NoiseCorrected(*np.full((5, len(checked), neuroids), np.nan))
    found.halvings[:] = 0
    for pattern in patterns(averages, np.arange(stimuli)):
        targets = pattern.targets[seen[pattern.targets]]
        if not len(targets):
            continue
        own = np.asarray(kernel)[np.ix_(pattern.stimuli, pattern.stimuli)]
        own_splits = restrict(checked, pattern.stimuli)
        for position in np.unique(index[:, targets]):
            matrices = prediction_matrices(own, own_splits, grid[position])
            for number, (split, matrix) in enumerate(zip(own_splits, matrices, strict=True)):
                same = targets[index[number, targets] == position]
                _split(repeats, pattern.stimuli, same, split, matrix, halves, [each[number] for each in found])
    if not found.halvings.any():
        raise InputError(
            f"noise-corrected predictivity: none of {halvings} halvings can be used for any "
            "neuroid: each leaves some stimulus without a response in one half, or the halves do not agree at all"
        )
    return found


def means(repeats: np.ndarray) -> np.ndarray:
    """Average over the repetitions that exist, stimuli x neuroids, NaN where there are none; one read at a time."""
    total, count = np.zeros((2, *repeats.shape[1:]))
    for repetition in repeats:
        present = np.isfinite(repetition)
        total += np.where(present, repetition, 0.0)
        count += present
    return divided(total, count)


def _split(
    repeats: np.ndarray,
    stimuli: np.ndarray,
    chosen: np.ndarray,
    split: Split,
    matrix: np.ndarray,
    halves: Halves,
    out: Sequence[np.ndarray],
) -> None:
    """Writes what one split says of the chosen neuroids into ``out``, arrays over all neuroids."""
    count, halvings = len(repeats), len(halves[0])
    width = max(1, MEMORY // (8 * count * len(stimuli)))
    narrow = max(1, MEMORY // (16 * halvings * len(stimuli)))
    everything = len(stimuli) == repeats.shape[1]
    for start in range(0, len(chosen), width):
        names = chosen[start : start + width]
        adjacent = names[-1] - names[0] == len(names) - 1
        part = repeats[:, :, names[0] : names[-1] + 1] if adjacent else repeats[:, :, names]
        block = by_neuroid(part if everything else part[:, stimuli])
        holes = ~np.isfinite(block).all(axis=(1, 2))
        whole = names[~holes]
        if len(whole):
            _place(out, whole, _complete(block[~holes] if holes.any() else block, split, matrix, halves))
        for begin in range(0, int(holes.sum()), narrow):
            some = np.flatnonzero(holes)[begin : begin + narrow]
            _place(out, names[some], _with_holes(block[some], split, matrix, halves))


def _complete(
    block: np.ndarray, split: Split, matrix: np.ndarray, halves: Halves
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """r of averages, and r of the halves' predictions and responses (halvings x neuroids)."""
    count, stimuli = block.shape[1:]
    wide = np.zeros((stimuli, len(split.test)))
    wide[split.train] = matrix.T  # one large product costs less than choosing the train part of every response
    predicted = (block.reshape(-1, stimuli) @ wide).reshape(-1, count, len(split.test))
    tested = np.take(block, split.test, axis=-1)
    return (
        pearson(predicted.mean(axis=1), tested.mean(axis=1)),
        from_covariance(covariance(predicted), halves),
        from_covariance(covariance(tested), halves),
    )


def _with_holes(
    block: np.ndarray, split: Split, matrix: np.ndarray, halves: Halves
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As ``_complete``, NaN for halvings in which a stimulus has no response in one of the halves."""
    present = np.isfinite(block)
    filled = np.where(present, block, 0.0)

    def average(half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = divided(half @ filled, half @ present.astype(np.float64))
        return mean[..., split.train] @ matrix.T, mean[..., split.test]

    whole, first, second = average(np.ones((1, block.shape[1]))), average(halves[0]), average(halves[1])
    skipped = [np.isnan(half[0]).any(axis=-1) | np.isnan(half[1]).any(axis=-1) for half in (first, second)]
    kept = np.where(skipped[0] | skipped[1], np.nan, 1.0)
    of_predictions, of_responses = (pearson(a, b) * kept for a, b in zip(first, second, strict=True))
    return pearson(*whole)[:, 0], of_predictions.T, of_responses.T


def _place(out: Sequence[np.ndarray], names: np.ndarray, found: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    for array, values in zip(out, summary(*found), strict=True):
        array[names] = values


def summary(raw: np.ndarray, of_predictions: np.ndarray, of_responses: np.ndarray) -> NoiseCorrected:
    """Means over halvings, from r of averages (neuroids) and r of halves (halvings x neuroids)."""
    predictions, responses = spearman_brown(of_predictions), spearman_brown(of_responses)
    corrected = on_both_sides(raw, predictions, responses)
    return NoiseCorrected(
        _mean(corrected),
        raw,
        _mean(predictions),
        _mean(responses),
        np.isfinite(corrected).sum(axis=0),
    )


def _mean(values: np.ndarray) -> np.ndarray:
    finite = np.isfinite(values)
    return divided(np.where(finite, values, 0.0).sum(axis=0), finite.sum(axis=0))
