"""The task beside the responses: pictures, with the model's own answers before training for labels."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError
from engine.harmonize.division import Chosen, divide
from engine.training.examples import Example, Examples, without_map
from engine.training.step import Batch, Objective, Terms


class Pictures(NamedTuple):
    """Attributes:
    train: what batches are made of, labelled.
    test: n x size x size x 3, uint8, not trained on: the answers before and after are compared on them.
    """

    train: Examples
    test: np.ndarray


class ArrayExamples:
    """Pictures in memory, with labels."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self._images, self._labels = images, labels

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, number: int, /) -> Example:
        return without_map(self._images[number], int(self._labels[number]))


def stimuli_as_task(trained: np.ndarray, held_out: np.ndarray, answers: Callable[[np.ndarray], np.ndarray]) -> Pictures:
    """The stimuli that are trained on, labelled; the others are judged on."""
    return Pictures(ArrayExamples(trained, answers(trained)), held_out)


def folder_as_task(
    source: Examples,
    images: np.ndarray,
    held_out: np.ndarray,
    answers: Callable[[np.ndarray], np.ndarray],
    share: float,
    seed: int,
) -> Pictures:
    """Pictures of one's own, labelled, without those that are held-out stimuli; a share of them is judged on.

    Args:
        source: the pictures, whole.
        images: the same as the model takes them.
        held_out: stimuli that the model must not see in training.
        answers: images -> classes.
        share: that is judged on; 0 judges on ``held_out``.
        seed: of what is drawn.

    Raises:
        InputError: nothing is left to train on.
    """
    division = divide(len(images), 0.0, share, seed)
    forbidden = {image.tobytes() for image in held_out}
    rows = np.array([row for row in division.train if images[row].tobytes() not in forbidden], int)
    if not len(rows):
        raise InputError("all task pictures are held-out stimuli, so none is left to train on; give others")
    return Pictures(Chosen(source, rows, answers(images)), images[division.test] if share else held_out)


def weighted(task: Objective | None, weight: float) -> Objective:
    """The task's objective with its loss multiplied; None is no task, of loss 0."""

    def objective(
        params: object, statistics: object, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, tuple[Terms, object]]:
        if task is None:
            return jnp.zeros((), jnp.float32), ({}, statistics)
        loss, rest = task(params, statistics, batch, key)
        return weight * loss, rest

    return objective
