"""Pictures of one alignment: those trained on, those that choose its step, those that are reported."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from engine.harmonize.division import Chosen, Division, check_labels, divide
from engine.harmonize.judge import Judge, Pictures, pictures
from engine.predictor import Stages
from engine.training.examples import Examples
from models.preprocessing import Fit, Preprocessing

PrepareMaps = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Data:
    """Pictures to align with.

    Attributes:
        maps: pictures with human maps.
        test: further ones, judged by alone; None holds a share of ``maps`` out.
        others: pictures without maps, mixed in; None trains on maps alone.
        own_labels: whether the model's own answers before training are the labels of all of them.
        description: of both, for outputs.
    """

    maps: Examples
    test: Examples | None
    others: Examples | None
    own_labels: bool
    description: str


@dataclass(frozen=True)
class Parts:
    """Examples to train on, and pictures in memory that choose the step and that are reported."""

    train: Examples
    selection: Pictures
    test: Pictures


def divided(data: Data, selection: float, held_out: float, seed: int) -> tuple[Division, Examples | None]:
    """How the pictures with maps are divided, by shares; and those that are held out by themselves."""
    if data.test is None:
        return divide(len(data.maps), selection, held_out, seed), None
    return divide(len(data.maps), selection, 0.0, seed), data.test


def parts_of(
    judge: Judge,
    start: tuple[Any, Any],
    source: Examples,
    division: Division,
    test: Examples | None,
    prepare_maps: PrepareMaps | None,
    *,
    preprocessing: Preprocessing,
    own_labels: bool,
    fit: Fit,
    stages: Stages,
) -> Parts:
    """The parts of one source.

    Args:
        judge, start: the model before training, whose answers are the labels where ``own_labels``.
        test: pictures that are reported in place of the division's; None for those.
        prepare_maps: None where pictures have no maps.
        fit: how whole pictures are brought to the model's square.

    Raises:
        InputError: labels that the model has no classes for.
    """

    def shown(part: Examples) -> Pictures:
        advance = stages.stage("decoding pictures", len(part), "pictures")
        found = pictures(part, preprocessing, prepare_maps, advance, fit)
        return found._replace(labels=judge.answers(start, found.images)) if own_labels else found

    labels = None
    if own_labels:
        advance = stages.stage("the model's own labels", len(source), "pictures")
        everything = pictures(source, preprocessing, None, advance, fit)
        labels = judge.answers(start, everything.images)
    rows = Chosen(source, division.test) if test is None else test
    found = Parts(Chosen(source, division.train, labels), shown(Chosen(source, division.selection)), shown(rows))
    if not own_labels:
        classes = int(jax.eval_shape(judge.logits_of, start, found.test.images[:1]).shape[1])
        for part in (found.selection, found.test):
            check_labels(part.labels, classes, "labels of held-out pictures")
    return found


def some(sources: Sequence[Examples], most: int, preprocessing: Preprocessing, fit: Fit, seed: int) -> np.ndarray:
    """Pictures to train on, as they are judged, in memory; of each source at most ``most``, drawn at random."""
    found = []
    for source in sources:
        rows = np.random.default_rng(seed).permutation(len(source))[:most]
        found.append(pictures(Chosen(source, np.sort(rows)), preprocessing, None, fit=fit).images)
    return np.concatenate(found)
