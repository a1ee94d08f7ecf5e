"""What the one-to-one mapping knows of responses and splits before it sees a layer.

Neuroids are standardised once, every set of held-out stimuli and every training set is listed once, whatever number of
splits and inner folds share it, and the means and scales of the neuroids over each are taken in float64.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.errors import InputError
from engine.solvers.folds import Split, check_splits


class Sums(NamedTuple):
    """What is known of the neuroids over one set of stimuli; P patterns of missing responses.

    Attributes:
        mean: q, of the responses in the set.
        scale: q, 1 / square root of the centred sum of squares; NaN where it is 0 or rests on fewer than 3 responses.
        counts: P, stimuli of each pattern in the set.
    """

    mean: np.ndarray
    scale: np.ndarray
    counts: np.ndarray


class Prepared(NamedTuple):
    """Responses and splits, ready for any number of layers. Made by :func:`prepare`.

    Attributes:
        weights: n x (q + P): standardised responses, 0 where missing, and the patterns of those present.
        pattern: q, of each neuroid.
        sets: padded indices of each held-out set of stimuli, sets x most; index n is padding.
        left_out: for each training set the held-out sets that it lacks: one, or two in an inner fold.
        trainings: neuroids over each training set.
        tests: (training set, held-out set) of every score that is wanted.
        held: neuroids over each held-out set.
        outer: for each split its place in ``tests``.
        inner: for each split the places of its inner folds in ``tests``; empty if it has none.
        fitted: for each training set responses of its own (n x q, 0 outside the set), where they are not the true
            ones; None otherwise.
        candidates: units kept for every training set and neuroid.
        absolute: units are chosen by the size of r, and count with the sign it has in training.
        keep: whether the activations of the chosen units are kept.
    """

    weights: np.ndarray
    pattern: np.ndarray
    sets: np.ndarray
    left_out: tuple[tuple[int, ...], ...]
    trainings: tuple[Sums, ...]
    tests: tuple[tuple[int, int], ...]
    held: tuple[Sums, ...]
    outer: tuple[int, ...]
    inner: tuple[tuple[int, ...], ...]
    fitted: tuple[np.ndarray, ...] | None
    candidates: int
    absolute: bool
    keep: bool


def prepare(
    responses: np.ndarray,
    splits: Sequence[Split],
    *,
    absolute: bool = False,
    reuse: bool = True,
    keep: bool = False,
    fitted: Sequence[np.ndarray] | None = None,
) -> Prepared:
    """What ``one_to_one.match_block`` needs, made once for all layers.

    Args:
        responses: stimuli x neuroids, NaN where missing: a neuroid is matched and scored on what it has.
        splits: over the stimuli. Inner folds, where there are some, give ``Scores.selection``.
        absolute: choose by the size of r instead of by r.
        reuse: a unit may serve several neuroids. If not, as many candidates are kept per neuroid as there are
            neuroids, and ``one_to_one.assign`` must follow: memory is 12 q² bytes for every training set.
        keep: keep the activations of the chosen units, 4 n q bytes for every split.
        fitted: for each split responses (stimuli x neuroids, NaN where missing) to choose the units by, instead of the
            true ones, by which they are scored. Costs 2 n p q flops for each split, and leaves no inner folds.

    Raises:
        InputError: infinite responses, splits that cannot be used, ``keep`` without ``reuse``.
    """
    given = np.asarray(responses, np.float64)
    if given.ndim != 2:
        raise InputError(f"responses have the shape {given.shape}; wanted stimuli x neuroids")
    if np.isinf(given).any():
        raise InputError("responses hold infinity; write NaN where a response is missing")
    if keep and not reuse:
        raise InputError("activations are kept only of units that may be reused; collect them with take_units")
    n, q = given.shape
    checked = check_splits(splits, n)
    present = np.isfinite(given)
    patterns, pattern = np.unique(present, axis=1, return_inverse=True)
    y = _standardised(given)
    plan = _Plan(n)
    everything = np.arange(n)
    outer, inner = [], []
    for split in checked:
        held = plan.held_out(np.setdiff1d(everything, split.train))
        outer.append(plan.test((held,), plan.held_out(split.test), fitted is not None))
        parts = () if fitted is not None else split.validation or ()
        inner.append(tuple(plan.test((held, v), v, False) for v in map(plan.held_out, parts)))
    most = max(len(rows) for rows in plan.sets)
    trainings = [np.setdiff1d(everything, np.concatenate([plan.sets[v] for v in out])) for out in plan.left_out]
    own = None if fitted is None else [_standardised(np.asarray(each, np.float64)) for each in fitted]
    if own is not None:
        own = [np.where(np.isin(everything, t)[:, None], each, 0) for each, t in zip(own, trainings, strict=True)]
    return Prepared(
        np.concatenate([y, patterns.astype(np.float64)], axis=1),
        pattern.reshape(-1),
        np.stack([np.pad(rows, (0, most - len(rows)), constant_values=n) for rows in plan.sets]),
        tuple(plan.left_out),
        tuple(_sums(y if own is None else own[t], present, patterns, rows) for t, rows in enumerate(trainings)),
        tuple(plan.tests),
        tuple(_sums(y, present, patterns, rows) for rows in plan.sets),
        tuple(outer),
        tuple(inner),
        None if own is None else tuple(own),
        1 if reuse else q,
        absolute,
        keep,
    )


class _Plan:
    """Held-out sets, training sets and tests, each once."""

    def __init__(self, stimuli: int) -> None:
        self.stimuli = stimuli
        self.sets: list[np.ndarray] = []
        self.left_out: list[tuple[int, ...]] = []
        self.tests: list[tuple[int, int]] = []
        self._known: dict[object, int] = {}

    def held_out(self, rows: np.ndarray) -> int:
        return self._once(rows.tobytes(), self.sets, rows)

    def test(self, left: tuple[int, ...], held: int, separate: bool) -> int:
        left = tuple(sorted(left))
        key = (*left, "own", len(self.left_out)) if separate else left
        pair = (self._once(key, self.left_out, left), held)
        return self._once(("test", *pair), self.tests, pair)

    def _once(self, key: object, known: list, item: object) -> int:
        if key not in self._known:
            self._known[key] = len(known)
            known.append(item)
        return self._known[key]


def _standardised(y: np.ndarray) -> np.ndarray:
    """Each neuroid less its mean, over its standard deviation; 0 where missing or constant."""
    present = np.isfinite(y)
    count = np.maximum(present.sum(axis=0), 1)
    first = np.where(present, y, 0)[present.argmax(axis=0), np.arange(y.shape[1])]
    shifted = np.where(present, y - first, 0)
    centred = np.where(present, shifted - shifted.sum(axis=0) / count, 0)
    spread = np.sqrt((centred**2).sum(axis=0) / count)
    return centred / np.where(spread > 0, spread, 1)


def _sums(y: np.ndarray, present: np.ndarray, patterns: np.ndarray, rows: np.ndarray) -> Sums:
    inside = present[rows]
    count = inside.sum(axis=0)
    part = y[rows]
    mean = part.sum(axis=0) / np.maximum(count, 1)
    squares = (np.where(inside, part - mean, 0) ** 2).sum(axis=0)
    flat = (squares <= count * (16 * np.finfo(np.float64).eps * np.abs(part).max(axis=0)) ** 2) | (count < 3)
    return Sums(mean, np.where(flat, np.nan, 1 / np.sqrt(np.where(flat, 1, squares))), patterns[rows].sum(axis=0))
