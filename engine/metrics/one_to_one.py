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
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from engine.errors import InputError
from engine.metrics.one_to_one_pieces import (
    choose,
    cross,
    held_out_r,
    less,
    on_device,
    products,
    set_products,
    take_piece,
)
from engine.metrics.one_to_one_plan import Prepared as Prepared
from engine.metrics.one_to_one_plan import prepare as prepare
from engine.metrics.scores import Scores

VERSION = "1"  # of the numbers below; part of every result's key
WIDTH = 8192  # units whose sums are taken at once


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
    training = [on_device(sums, dtype) for sums in prepared.trainings]
    testing = [on_device(sums, dtype) for sums in prepared.held]
    wanted: list[list[int]] = [[] for _ in prepared.trainings]
    for place, (t, _) in enumerate(prepared.tests):
        wanted[t].append(place)
    pattern = jnp.asarray(prepared.pattern)
    pending = []
    for start in range(0, units, width):
        x, mean = take_piece(tuple(blocks), jnp.asarray(start), n, width)
        whole = products(x, weights, q)
        parts = [set_products(x, *each, q) for each in sets]
        chosen = []
        for t, left in enumerate(prepared.left_out):
            rest = whole
            for v in left:
                rest = less(rest, parts[v])
            crossed = rest[0] if own is None else cross(x, own[t])
            r, sign, place, at = choose(
                crossed, rest, whole[1], training[t], mean, pattern, prepared.candidates, prepared.absolute
            )
            held = [prepared.tests[i][1] for i in wanted[t]]
            chosen.append((r, place, [held_out_r(parts[v], testing[v], mean, pattern, at, sign) for v in held]))
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
