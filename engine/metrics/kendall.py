"""Kendall's tau-a of many pairs of long vectors.

tau-a = (concordant - discordant) / (m (m - 1) / 2), where tied pairs are neither: it does not reward a model for
predicting ties (Nili et al., PLoS Comput. Biol. 2014). The discordant pairs are the inversions of one vector's ranks
in the order of the other, counted bit by bit from the highest: within a group that shares the higher bits, every 1
before a 0 is an inversion, and then the 0s and the 1s are groups of their own. That is log2 m passes over m numbers,
which is O(m log m) as by merging, in whole-array steps.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

BLOCK = 2**19  # numbers counted at once: several short vectors together, so that no step is all overhead
SMALL = 64  # a group is this long when comparing all its places is cheaper than splitting it further


class _Ranked(NamedTuple):
    """One vector: its order, its dense ranks from 0, and how many pairs are tied."""

    order: np.ndarray
    dense: np.ndarray
    ties: int


def tau_a(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Kendall's tau-a of every row of ``first`` (k1 x m) with every row of ``second`` (k2 x m), k1 x k2.

    Equals rsatoolbox's ``compare(method="tau-a")``. Each vector is sorted once. A pair costs one gather and log2 m
    passes where neither vector has ties, and two sorts of m integers more where one has. Pairs run on all cores.
    Memory: 12 bytes per number of both sets, and about 40 per number of a block on each core.
    """
    a, b = [_ranked(row) for row in first], [_ranked(row) for row in second]
    size = first.shape[1]
    bits = max(1, int(size - 1).bit_length())
    total = size * (size - 1) // 2
    pairs = [(i, j) for i in range(len(a)) for j in range(len(b))]
    batch = max(1, BLOCK >> bits)
    batches = [pairs[start : start + batch] for start in range(0, len(pairs), batch)]

    def count(batch: Sequence[tuple[int, int]]) -> list[float]:
        sequences = np.empty((len(batch), 1 << bits), np.int32)
        sequences[:, size:] = np.arange(size, 1 << bits, dtype=np.int32)  # padding in order adds no inversion
        joint = []
        for row, (i, j) in zip(sequences, batch, strict=True):
            row[:size], ties = _sequence(a[i], b[j], bits)
            joint.append(ties)
        found = inversions(sequences)
        return [
            (total - a[i].ties - b[j].ties + ties - 2 * int(discordant)) / total
            for (i, j), ties, discordant in zip(batch, joint, found, strict=True)
        ]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        values = [value for part in pool.map(count, batches) for value in part]
    return np.array(values).reshape(len(a), len(b))


def inversions(permutations: np.ndarray) -> np.ndarray:
    """How many pairs of each row (a permutation of 0 ... 2^bits - 1) are in descending order, int64."""
    rows, width = permutations.shape
    values = permutations.reshape(-1)
    found = np.zeros(rows, np.int64)
    half = width // 2
    while half >= SMALL:
        # Indices, since selecting by a mask without any order in it costs ten times as much.
        bit = (values & half).astype(bool)
        ones, zeros = np.flatnonzero(bit), np.flatnonzero(~bit)
        split = np.empty((len(values) // (2 * half), 2, half), values.dtype)
        split[:, 0] = values[zeros].reshape(-1, half)
        split[:, 1] = values[ones].reshape(-1, half)
        values = split.reshape(-1)
        # A group has as many 0s as 1s: the place of a 0 less its rank among the 0s is the number of 1s before it.
        zeros &= 2 * half - 1
        found += zeros.reshape(rows, -1).sum(axis=1)
        found -= (width // (2 * half)) * (half * (half - 1) // 2)
        half //= 2
    # Groups of SMALL or fewer: every pair of places, all groups at once.
    group = 2 * half
    places = np.ascontiguousarray((values & (group - 1)).astype(np.uint8).reshape(-1, group).T)
    within = np.zeros(places.shape[1], np.uint16)
    for i in range(group - 1):
        within += np.add.reduce((places[i] > places[i + 1 :]).view(np.uint8), axis=0, dtype=np.uint8)
    return found + within.reshape(rows, -1).sum(axis=1, dtype=np.int64)


def _ranked(values: np.ndarray) -> _Ranked:
    order = np.argsort(values).astype(np.int32)
    ordered = values[order]
    new = np.concatenate([[False], ordered[1:] != ordered[:-1]])
    dense = np.empty(len(values), np.int32)
    dense[order] = np.cumsum(new)
    counts = np.diff(np.flatnonzero(new), prepend=0, append=len(values))
    return _Ranked(order, dense, _tied(counts))


def _tied(counts: np.ndarray) -> int:
    return int(np.sum(counts.astype(np.int64) * (counts - 1) // 2))


def _sequence(a: _Ranked, b: _Ranked, bits: int) -> tuple[np.ndarray, int]:
    """A permutation with as many inversions as ``a`` and ``b`` have discordant pairs, and their joint ties."""
    if not a.ties and not b.ties:
        return b.dense[a.order], 0
    mask = (1 << bits) - 1
    # Ascending in b among equal a, and in position among equal b: tied pairs are no inversions. The places of the
    # elements sorted by b are the inverse permutation, which has as many inversions.
    keys = np.sort(a.dense.astype(np.int64) << bits | b.dense)
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    joint = _tied(np.diff(starts, append=len(keys)))
    return np.sort((keys & mask) << bits | np.arange(len(keys))) & mask, joint
