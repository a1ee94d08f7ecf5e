"""One-to-one mapping: every neuroid is predicted by the single unit of a layer that follows it best in training.

For every split the unit with the largest Pearson r over the training stimuli is chosen from all units of the layer
(signed: a unit that follows the neuroid upside down is never chosen) and its activation is correlated with the neuroid
over the test stimuli. No slope is fitted, Pearson r needs none. Equals Brain-Score's ``neuron_to_neuron`` (Arend, Han,
Schrimpf, Bashivan, Kar, Poggio, DiCarlo and Boix, CBMM Memo 93, 2018); the largest of many correlations flatters, so
the score is of held-out stimuli, and :mod:`engine.metrics.one_to_one_controls` says what chance alone would give.

A layer arrives in blocks of units and none is kept. With x a unit and y a neuroid, both less their means over all
stimuli, every correlation over a training set follows from the sums of x, x² and x y over it, and these are the sums
over all stimuli less those over the few that it leaves out. So n stimuli, p units, q neuroids and held-out sets of h
stimuli in total (inner folds included; n for k-fold cross-validation) cost 2 p (q + 1) (n + h) flops in plain matrix
products and some 10 p q of elementwise work for every training set. A layer is read about 3 + h / n times, in
pieces of ``WIDTH`` units of 4 n bytes; sums take 4 (q + 2) bytes per unit and held-out set.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from engine.errors import InputError
from engine.metrics.scores import Scores
from engine.solvers.folds import Split, check_splits

VERSION = "1"  # of the numbers below; part of every result's key
WIDTH = 8192  # units whose sums are taken at once
# A unit with less than this many roundings of its sum of squares inside the training set is constant there: all but a
# few thousandths of a percent of it lie in held-out stimuli, and what is left is mostly the error of a difference.
ROUNDINGS = 1000


Products = tuple[jax.Array, jax.Array]  # sums of a unit with each neuroid and over each pattern; of its squares


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


class Matching(NamedTuple):
    """The best units so far, from all blocks seen.

    Attributes:
        train: training sets x q x candidates, r over the training set, best first; NaN where there is no unit.
        unit: the same shape, int64, number of the unit in its layer; -1 where there is none.
        test: tests x q x candidates, r over the held-out set.
        activity: splits x n x q, activation of the best unit, where ``keep`` was asked for.
    """

    train: np.ndarray
    unit: np.ndarray
    test: np.ndarray
    activity: np.ndarray | None


def prepare(
    responses: np.ndarray,
    splits: Sequence[Split],
    *,
    absolute: bool = False,
    reuse: bool = True,
    keep: bool = False,
    fitted: Sequence[np.ndarray] | None = None,
) -> Prepared:
    """What :func:`match_block` needs, made once for all layers.

    Args:
        responses: stimuli x neuroids, NaN where missing: a neuroid is matched and scored on what it has.
        splits: over the stimuli. Inner folds, where there are some, give ``Scores.selection``.
        absolute: choose by the size of r instead of by r.
        reuse: a unit may serve several neuroids. If not, as many candidates are kept per neuroid as there are
            neuroids, and :func:`assign` must follow: memory is 12 q² bytes for every training set.
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


def match_block(blocks: Sequence[jax.Array], first_unit: int, prepared: Prepared) -> Matching:
    """The best units of one block of a layer, for every split, inner fold and neuroid.

    In float32, with r below .999, a correlation is within about 1e-6 of the one in float64; of units nearer to each
    other than that either may be chosen. Blocks in float64 are computed in float64.

    Args:
        blocks: all stimuli x some units, as row blocks that follow each other; rows beyond the stimuli are ignored.
            They are read, not consumed.
        first_unit: number of the first of these units in the layer.
    """
    units = blocks[0].shape[1]
    width = max(WIDTH, prepared.candidates)
    dtype = blocks[0].dtype
    n = len(prepared.weights)
    weights = jnp.asarray(prepared.weights, dtype)
    padded = jnp.concatenate([weights, jnp.zeros((1, weights.shape[1]), dtype)])
    sets = [(jnp.asarray(np.minimum(rows, n - 1)), padded[rows]) for rows in prepared.sets]
    q = len(prepared.pattern)
    own = None if prepared.fitted is None else [jnp.asarray(each, dtype) for each in prepared.fitted]
    training = [_on_device(sums, dtype) for sums in prepared.trainings]
    testing = [_on_device(sums, dtype) for sums in prepared.held]
    wanted: list[list[int]] = [[] for _ in prepared.trainings]
    for place, (t, _) in enumerate(prepared.tests):
        wanted[t].append(place)
    pattern = jnp.asarray(prepared.pattern)
    pending = []
    for start in range(0, units, width):
        x, mean = _piece(tuple(blocks), jnp.asarray(start), n, width)
        whole = _products(x, weights, q)
        parts = [_set_products(x, *each, q) for each in sets]
        chosen = []
        for t, left in enumerate(prepared.left_out):
            rest = whole
            for v in left:
                rest = _less(rest, parts[v])
            crossed = rest[0] if own is None else _cross(x, own[t])
            r, sign, place, at = _choose(
                crossed, rest, whole[1], training[t], mean, pattern, prepared.candidates, prepared.absolute
            )
            held = [prepared.tests[i][1] for i in wanted[t]]
            chosen.append((r, place, [_test(parts[v], testing[v], mean, pattern, at, sign) for v in held]))
        pending.append((max(0, min(start, units - width)), chosen))
        if len(pending) > 1:
            jax.block_until_ready(pending[-2][1])  # otherwise all pieces may be under way at once
    found = None
    for start, chosen in pending:
        piece = _collect(chosen, wanted, first_unit + start, prepared)
        found = piece if found is None else merge(found, piece, prepared)
    assert found is not None
    if prepared.keep:
        chosen_units = np.stack([found.unit[prepared.tests[place][0], :, 0] for place in prepared.outer])
        local = np.maximum(chosen_units - first_unit, 0).reshape(-1)
        columns = np.concatenate([np.asarray(jnp.take(block, local, axis=1)) for block in blocks])[:n]
        activity = np.moveaxis(columns.reshape(n, *chosen_units.shape), 1, 0)
        found = found._replace(activity=np.where(chosen_units[:, None, :] < 0, np.nan, activity))
    return found


def merge(a: Matching, b: Matching, prepared: Prepared) -> Matching:
    """The best units of two blocks together; of equal ones those of ``a``."""
    train = np.concatenate([a.train, b.train], axis=2)
    size = np.abs(train) if prepared.absolute else train
    order = np.argsort(np.where(np.isnan(train), np.inf, -size), axis=2, kind="stable")[:, :, : prepared.candidates]
    of_test = order[[training for training, _ in prepared.tests]]
    activity = a.activity
    if a.activity is not None and b.activity is not None:
        later = np.stack([order[prepared.tests[place][0], :, 0] >= prepared.candidates for place in prepared.outer])
        activity = np.where(later[:, None, :], b.activity, a.activity)
    return Matching(
        np.take_along_axis(train, order, 2),
        np.take_along_axis(np.concatenate([a.unit, b.unit], axis=2), order, 2),
        np.take_along_axis(np.concatenate([a.test, b.test], axis=2), of_test, 2),
        activity,
    )


def assign(matching: Matching, prepared: Prepared) -> Matching:
    """No unit for two neuroids: the assignment with the largest sum of training correlations, for each training set.

    Equals ``scipy.optimize.linear_sum_assignment`` on the whole units x neuroids matrix. It is exact although only the
    q best units of each of the q neuroids are known: where an assignment gives a neuroid a unit that is not among its
    q best, at least one of these is free, since the other q - 1 neuroids take at most q - 1 of them; to take that
    one instead costs nothing. Repeated for every neuroid, this leads from a best assignment to one as good within the
    candidates. Solved as a sparse assignment problem of q² entries.

    Args:
        matching: of all blocks of a layer, prepared with ``reuse=False``.

    Raises:
        InputError: the layer has fewer units that vary than there are neuroids to match.
    """
    sets, q, _ = matching.train.shape
    place = np.full((sets, q), -1)
    for t in range(sets):
        known = np.flatnonzero(matching.unit[t, :, 0] >= 0)
        if not len(known):
            continue
        entries = np.where(matching.unit[t, known] >= 0)
        size = matching.train[t, known]
        size = np.abs(size) if prepared.absolute else size
        columns, where = np.unique(matching.unit[t, known][entries], return_inverse=True)
        if len(columns) < len(known):
            raise InputError(
                f"the layer has {len(columns)} units that vary over the training stimuli, and {len(known)} neuroids "
                "are to be matched without reuse; allow reuse, or leave the layer out"
            )
        # Costs between 1 and 3: the solver takes a stored 0 for no entry.
        graph = csr_array((2 - size[entries], (entries[0], where)), shape=(len(known), len(columns)))
        rows, taken = min_weight_full_bipartite_matching(graph)
        for row, unit in zip(rows, columns[taken], strict=True):
            place[t, known[row]] = np.flatnonzero(matching.unit[t, known[row]] == unit)[0]
    at = np.maximum(place, 0)[:, :, None]
    none = (place < 0)[:, :, None]
    of_test = [training for training, _ in prepared.tests]
    return Matching(
        np.where(none, np.nan, np.take_along_axis(matching.train, at, 2)),
        np.where(none, -1, np.take_along_axis(matching.unit, at, 2)),
        np.where(none[of_test], np.nan, np.take_along_axis(matching.test, at[of_test], 2)),
        None,
    )


def scores(matching: Matching, prepared: Prepared) -> Scores:
    """Scores of a layer from the matching of all its blocks (after :func:`assign`, where units are not reused).

    ``value`` is r over the test stimuli; NaN for a neuroid or a chosen unit that is constant there, or for fewer than 3
    responses. ``selection`` is the mean over the inner folds of the held-out r of the unit chosen on the rest of the
    training stimuli (0 in a fold where it is not defined); without inner folds it is the training r of the chosen
    unit, and a note says so. Details: ``unit`` (number in the layer, -1 for none) and ``train_r``.
    """
    training = [prepared.tests[place][0] for place in prepared.outer]
    train = matching.train[training, :, 0]
    notes: tuple[str, ...] = ()
    if all(prepared.inner):
        inner = [np.nan_to_num(matching.test[list(places), :, 0]).mean(axis=0) for places in prepared.inner]
        selection = np.where(np.isnan(train), np.nan, np.stack(inner))
    else:
        selection = train
        notes = (
            "one-to-one: layers are chosen by the training correlation of the chosen unit, for want of inner folds; "
            "it favours layers with many units",
        )
    details = {"unit": matching.unit[training, :, 0], "train_r": train}
    return Scores(matching.test[list(prepared.outer), :, 0], selection, details, notes)


def take_units(blocks: Sequence[jax.Array], first_unit: int, wanted: np.ndarray, into: np.ndarray) -> None:
    """Writes the activations of the wanted units that lie in this block into their columns of ``into``.

    Args:
        blocks, first_unit: as for :func:`match_block`.
        wanted: numbers of units in the layer, in any order, repeated or not.
        into: stimuli x wanted.
    """
    here = np.flatnonzero((wanted >= first_unit) & (wanted < first_unit + blocks[0].shape[1]))
    row = 0
    for block in blocks:
        rows = min(len(block), len(into) - row)
        into[row : row + rows, here] = np.asarray(jnp.take(block, wanted[here] - first_unit, axis=1))[:rows]
        row += rows


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


def _on_device(sums: Sums, dtype: np.dtype) -> tuple[jax.Array, ...]:
    return tuple(jnp.asarray(each, dtype) for each in (sums.mean, sums.scale, np.maximum(sums.counts, 1)))


@partial(jax.jit, static_argnames=("n", "width"))
def _piece(blocks: tuple[jax.Array, ...], start: jax.Array, n: int, width: int) -> tuple[jax.Array, jax.Array]:
    """Units ``start`` to ``start + width`` less their means, stimuli x width, and the means.

    Every piece has the same width, so that the rest is compiled once for all layers: the last one starts earlier, and
    units that it shares with the one before, or that do not exist, are 0 and never chosen.
    """
    units = blocks[0].shape[1]
    taken = min(units, width)
    from_ = jnp.minimum(start, units - taken)
    x = jnp.concatenate([jax.lax.dynamic_slice_in_dim(block, from_, taken, axis=1) for block in blocks])[:n]
    x = jnp.pad(x, ((0, 0), (0, width - taken)))
    mean = jnp.where(from_ + jnp.arange(width) >= start, jnp.sum(x, axis=0) / n, 0)
    return jnp.where(from_ + jnp.arange(width) >= start, x - mean, 0), mean


@partial(jax.jit, static_argnames="q")
def _products(x: jax.Array, weights: jax.Array, q: int) -> Products:
    present = weights[:, q:]
    # One row of a product runs slower than a sum.
    squares = jnp.sum(present * x * x, axis=0)[None] if present.shape[1] == 1 else _cross(x * x, present)
    return _cross(x, weights), squares


@partial(jax.jit, static_argnames="q")
def _set_products(x: jax.Array, rows: jax.Array, weights: jax.Array, q: int) -> Products:
    return _products(x[rows], weights, q)


@jax.jit
def _cross(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.matmul(y.T, x, precision="highest")


@jax.jit
def _less(a: Products, b: Products) -> Products:
    return a[0] - b[0], a[1] - b[1]


@partial(jax.jit, static_argnames=("k", "absolute"))
def _choose(
    crossed: jax.Array,
    rest: Products,
    all_squares: jax.Array,
    training: tuple[jax.Array, ...],
    mean: jax.Array,
    pattern: jax.Array,
    k: int,
    absolute: bool,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Training r of the best k units, its sign as it counts in tests, and their places (-1 for none, and safe)."""
    q = len(pattern)
    sums, squares = rest[0][q:], rest[1]
    y_mean, y_scale, counts = training
    spread = squares - sums * sums / counts[:, None]
    eps = jnp.finfo(spread.dtype).eps
    constant = spread <= jnp.maximum(ROUNDINGS * eps * all_squares, counts[:, None] * (16 * eps * mean) ** 2)
    scale = jnp.where(constant, 0, jax.lax.rsqrt(jnp.where(constant, 1, spread)))
    r = (crossed[:q] - sums[pattern] * y_mean[:, None]) * scale[pattern] * y_scale[:, None]
    size = jnp.where(constant[pattern] | jnp.isnan(r), -jnp.inf, jnp.abs(r) if absolute else r)
    if k == 1:
        # Several times faster than argmax on CPUs, with the same answer: the first of the largest.
        best = jnp.max(size, axis=1, keepdims=True)
        at = jnp.min(jnp.where(size == best, jnp.arange(size.shape[1]), size.shape[1] - 1), axis=1, keepdims=True)
    else:
        best, at = jax.lax.top_k(size, k)
    none = jnp.isneginf(best)
    r = jnp.where(none, jnp.nan, jnp.take_along_axis(r, at, 1))
    return r, jnp.sign(r) if absolute else jnp.where(none, jnp.nan, 1), jnp.where(none, -1, at), at


@jax.jit
def _test(
    part: Products,
    testing: tuple[jax.Array, ...],
    mean: jax.Array,
    pattern: jax.Array,
    at: jax.Array,
    sign: jax.Array,
) -> jax.Array:
    """r of the chosen units over one held-out set, q x k."""
    q, of = len(pattern), pattern[:, None]
    y_mean, y_scale, counts = testing
    sums, squares, count = part[0][q + of, at], part[1][of, at], counts[of]
    spread = squares - sums * sums / count
    eps = jnp.finfo(spread.dtype).eps
    flat = spread <= jnp.maximum(100 * eps * squares, count * (16 * eps * mean[at]) ** 2)
    value = (jnp.take_along_axis(part[0][:q], at, 1) - sums * y_mean[:, None]) * y_scale[:, None]
    return jnp.where(flat, jnp.nan, sign * value / jnp.sqrt(jnp.where(flat, 1, spread)))


def _collect(
    chosen: list[tuple[jax.Array, jax.Array, list[jax.Array]]], wanted: list[list[int]], first: int, prepared: Prepared
) -> Matching:
    tests: list[np.ndarray] = [np.empty(0)] * len(prepared.tests)
    for places, (_, _, values) in zip(wanted, chosen, strict=True):
        for place, value in zip(places, values, strict=True):
            tests[place] = np.asarray(value, np.float64)
    places_in_piece = np.stack([np.asarray(place, np.int64) for _, place, _ in chosen])
    return Matching(
        np.stack([np.asarray(r, np.float64) for r, _, _ in chosen]),
        np.where(places_in_piece < 0, -1, places_in_piece + first),
        np.stack(tests),
        None,
    )
