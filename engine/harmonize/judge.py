"""A model judged on pictures with human maps: its saliency, its alignment with people, its answers.

Alignment has a baseline of its own: people look at the middle of pictures, so that any saliency which is stronger there
agrees with them. ``others`` is the same score with each picture's human map exchanged for another picture's; what lies
above it is about the picture.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.harmonize.alignment import Alignment, alignment
from engine.harmonize.saliency import Normalise, normalised, saliency_maps
from engine.training.batches import evaluation_batches
from engine.training.examples import Examples
from models.preprocessing import Fit, Preprocessing

Logits = Callable[[Any, jax.Array], jax.Array]  # (parameters, normalised images) -> images x classes

BATCH = 16


class Pictures(NamedTuple):
    """Pictures as the model takes them, in memory.

    Attributes:
        images: n x size x size x 3, uint8.
        labels: n, int32; -1 where there is none.
        human: n x size x size, prepared for the score; None where they have no maps.
    """

    images: np.ndarray
    labels: np.ndarray
    human: np.ndarray | None


class Judged(NamedTuple):
    """Attributes:
    answers: n, the class with the largest logit.
    saliency: n x size x size; None without human maps.
    alignment: picture by picture.
    others: the same with the human map of another picture.
    """

    answers: np.ndarray
    saliency: np.ndarray
    alignment: Alignment
    others: Alignment


def pictures(
    source: Examples,
    preprocessing: Preprocessing,
    prepare_maps: Callable[[np.ndarray, int], np.ndarray] | None,
    advance: Callable[[int], None] = lambda pictures: None,
    fit: Fit = "squash",
) -> Pictures:
    """All examples of a source, prepared as for scoring: 3 size² bytes each, and 4 size² with maps."""
    images, labels, maps = [], [], []
    for batch in evaluation_batches(source, preprocessing, BATCH, prepare_maps, fit):
        images.append(np.asarray(batch["image"]))
        labels.append(np.asarray(batch["label"]))
        if prepare_maps is not None:
            maps.append(np.asarray(batch["map"]))
        advance(len(images[-1]))
    return Pictures(np.concatenate(images), np.concatenate(labels), np.concatenate(maps) if maps else None)


class Judge:
    """Compiles once, judges again and again.

    Args:
        logits: of a model in evaluation mode.
        normalise: for uint8 images.
        seed: of the exchange of human maps.
    """

    def __init__(self, logits: Logits, normalise: Normalise, seed: int = 0) -> None:
        self._logits, self._normalise, self._seed = logits, normalise, seed
        self._answers = jax.jit(lambda params, images: jnp.argmax(self.logits_of(params, images), axis=1))

    def __call__(self, params: Any, shown: Pictures) -> Judged:
        """Judges pictures that have labels and human maps."""
        assert shown.human is not None
        answers = self.answers(params, shown.images)
        saliency = saliency_maps(self._logits, params, shown.images, shown.labels, self._normalise, batch=BATCH)
        exchanged = shown.human[_exchange(len(saliency), self._seed)]
        return Judged(answers, saliency, alignment(saliency, shown.human), alignment(saliency, exchanged))

    def logits_of(self, params: Any, images: jax.Array) -> jax.Array:
        """Of uint8 images."""
        return self._logits(params, normalised(images, self._normalise))

    def answers(self, params: Any, images: np.ndarray) -> np.ndarray:
        """The class of each image."""
        found = []
        for start in range(0, len(images), BATCH):
            rows = np.minimum(np.arange(start, start + BATCH), len(images) - 1)  # the last batch repeats the last one
            found.append(np.asarray(self._answers(params, images[rows])))
        return np.concatenate(found)[: len(images)]


def _exchange(count: int, seed: int) -> np.ndarray:
    """For each of two or more another one: a random cycle through all."""
    order = np.random.default_rng(seed).permutation(count)
    exchanged = np.empty(count, int)
    exchanged[order] = np.roll(order, 1)
    return exchanged
