"""The choice of penalties, made while their scores come in one by one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.solvers.scoring import PenaltyScores


class Scored(NamedTuple):
    """``PenaltyScores`` on the host: fold x target, and predictions as test stimuli x targets for each fold."""

    selection: np.ndarray
    pearson: np.ndarray
    r2: np.ndarray
    predictions: list[np.ndarray]


class Choice:
    """The best penalty so far of every outer fold and target, with its scores; ties go to the earlier one.

    Nothing of the penalties that lost is kept, so memory does not grow with their number.

    Attributes:
        kept: scores at the chosen penalties.
        index: fold x target, position of the chosen penalty.
    """

    kept: Scored
    index: np.ndarray

    def __init__(self, labels: np.ndarray | None) -> None:
        """Targets with the same label (0, 1, ...) share a penalty, by the mean of their scores; None: no sharing."""
        self._labels = labels
        self._best: np.ndarray | None = None

    def offer(self, position: int, scores: Scored) -> None:
        """Takes the scores at one more penalty."""
        shared = self._shared(scores.selection)
        if self._best is None:
            self._best, self.kept, self.index = shared, scores, np.full(shared.shape, position)
            return
        better = shared > self._best
        self._best = np.where(better, shared, self._best)
        self.index = np.where(better, position, self.index)
        self.kept = Scored(
            np.where(better, scores.selection, self.kept.selection),
            np.where(better, scores.pearson, self.kept.pearson),
            np.where(better, scores.r2, self.kept.r2),
            [
                np.where(better[fold], new, old)
                for fold, (new, old) in enumerate(zip(scores.predictions, self.kept.predictions, strict=True))
            ],
        )

    def _shared(self, selection: np.ndarray) -> np.ndarray:
        if self._labels is None:
            return selection
        count = np.bincount(self._labels)
        return np.stack([(np.bincount(self._labels, row) / count)[self._labels] for row in selection])


def joined_targets(blocks: Sequence[PenaltyScores], targets: int) -> Scored:
    """The scores of consecutive blocks of targets side by side, without the filling of the last block."""
    selection, pearson, r2 = (
        np.concatenate([np.asarray(block[i]) for block in blocks], axis=1)[:, :targets] for i in range(3)
    )
    guesses = zip(*(block.predictions for block in blocks), strict=True)
    return Scored(
        selection, pearson, r2, [np.concatenate([np.asarray(g) for g in fold], 1)[:, :targets] for fold in guesses]
    )
