"""Which pictures are trained on, which choose the best step, and which are only judged by."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.errors import InputError
from engine.training.examples import Example, Examples


class Division(NamedTuple):
    """Rows of one source, ascending; no two share one.

    Attributes:
        train: are trained on.
        selection: choose the best step; neither trained on nor reported.
        test: are reported.
    """

    train: np.ndarray
    selection: np.ndarray
    test: np.ndarray


def divide(count: int, selection: float, test: float, seed: int) -> Division:
    """Random parts of ``count`` pictures; of both held-out parts at least two, which an interval needs.

    Raises:
        InputError: shares that leave nothing to train on.
    """
    sizes = [max(2, round(share * count)) if share else 0 for share in (test, selection)]
    if not 0 <= selection < 1 or not 0 <= test < 1 or sum(sizes) >= count:
        raise InputError(
            f"held_out={test:g} and selection={selection:g} of {count} pictures leave none to train on; wanted shares "
            "that add up to less than 1, and enough pictures"
        )
    order = np.random.default_rng(seed).permutation(count)
    ends = np.cumsum(sizes)
    return Division(np.sort(order[ends[1] :]), np.sort(order[ends[0] : ends[1]]), np.sort(order[: ends[0]]))


class Chosen:
    """Some examples of a source.

    Args:
        source: all of them.
        rows: those chosen.
        labels: of every example of the source, in place of its own; None keeps its own.
    """

    def __init__(self, source: Examples, rows: np.ndarray, labels: np.ndarray | None = None) -> None:
        self._source, self._rows, self._labels = source, rows, labels

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int, /) -> Example:
        row = int(self._rows[number])
        example = self._source[row]
        return example if self._labels is None else Example(**{**example, "label": int(self._labels[row])})


def check_labels(labels: Sequence[int] | np.ndarray, classes: int, source: str) -> None:
    """Raises InputError where a label is no class of the model."""
    wrong = np.flatnonzero((np.asarray(labels) < 0) | (np.asarray(labels) >= classes))
    if len(wrong):
        raise InputError(
            f"{source}: picture number {wrong[0]} has label {labels[wrong[0]]} (and {len(wrong) - 1} more like it); "
            f"the model has classes 0 to {classes - 1}"
        )
