"""The choice of penalties, made while their scores come in one by one."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from engine.solvers.scoring import PenaltyScores


class Choice:
    """The best penalty so far of every fold and target, with what belongs to it; ties go to the earlier one.

    Nothing of the penalties that lost is kept, so memory does not grow with their number.

    Attributes:
        kept: for each fold what was offered with the chosen penalties.
        index: fold x target, position of the chosen penalty.
    """

    kept: list[Any]
    index: np.ndarray

    def __init__(self, groups: np.ndarray | None) -> None:
        """Targets with the same label share a penalty, by the mean of their scores; None: no sharing."""
        self._labels = None if groups is None else np.unique(groups, return_inverse=True)[1]
        self._best: np.ndarray | None = None

    def offer(self, position: int, selection: np.ndarray, offered: Sequence[Any]) -> None:
        """Takes one more penalty.

        Args:
            position: of the penalty in the list.
            selection: fold x target, scores; the highest wins.
            offered: for each fold arrays, or containers of arrays, whose last axis is targets.
        """
        shared = self._shared(selection)
        if self._best is None:
            self._best, self.kept, self.index = shared, list(offered), np.full(shared.shape, position)
            return
        better = shared > self._best
        self._best = np.where(better, shared, self._best)
        self.index = np.where(better, position, self.index)
        for fold, (wins, new) in enumerate(zip(better, offered, strict=True)):
            self.kept[fold] = jax.tree.map(lambda n, o, w=wins: np.where(w, n, o), new, self.kept[fold])

    def _shared(self, selection: np.ndarray) -> np.ndarray:
        if self._labels is None:
            return selection
        count = np.bincount(self._labels)
        return np.stack([(np.bincount(self._labels, row) / count)[self._labels] for row in selection])


def in_pairs(results: Any) -> list[Any]:
    """The results of an iteration in numpy arrays; two are under way at a time, more would pile up in memory."""
    found: list[Any] = []
    for result in results:
        found.append(result)
        if len(found) > 2:
            found[-3] = jax.device_get(found[-3])
    return jax.device_get(found)


def joined_targets(blocks: Sequence[Any], targets: int) -> Any:
    """Results of consecutive blocks of targets, their last axis, side by side, without the filling of the last."""
    return jax.tree.map(lambda *arrays: np.concatenate(arrays, axis=-1)[..., :targets], *blocks)


class Part(NamedTuple):
    """The scores of some of the targets, with the places of their test stimuli among all of each fold."""

    targets: np.ndarray
    rows: Sequence[np.ndarray]
    scores: PenaltyScores


def scattered(parts: Sequence[Part], targets: int, tests: Sequence[int]) -> PenaltyScores:
    """The scores of groups of targets in the order of all; predictions are NaN where a response is missing."""
    if len(parts) == 1:
        return parts[0].scores

    def place(*arrays: np.ndarray) -> np.ndarray:
        whole = np.empty((*arrays[0].shape[:-1], targets), arrays[0].dtype)
        for part, array in zip(parts, arrays, strict=True):
            whole[..., part.targets] = array
        return whole

    bare = jax.tree.map(place, *(part.scores._replace(predictions=()) for part in parts))
    predictions = []
    for fold, guesses in enumerate(zip(*(part.scores.predictions for part in parts), strict=True)):
        whole = np.full((tests[fold], targets), np.nan, guesses[0].dtype)
        for part, guess in zip(parts, guesses, strict=True):
            whole[np.ix_(part.rows[fold], part.targets)] = guess
        predictions.append(whole)
    return bare._replace(predictions=tuple(predictions))
