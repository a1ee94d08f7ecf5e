"""How well a model predicts what was kept apart: a metric of single neuroids, on held-out stimuli alone.

The map from a layer to a neuroid is fitted and tested by cross-validation among the held-out stimuli, so that neither
side of it has seen one that the model was trained on.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import NamedTuple

import numpy as np
import pandas as pd

from engine.activations import layer_summaries
from engine.errors import InputError
from engine.metrics.metric import Joint, Metric, Reader, Score
from engine.predictor import Stages
from engine.recording import Recording
from engine.solvers.folds import Split
from engine.target import Target, target
from engine.training.partition import Part, Partition, restricted
from models.port import Model, layer_shapes
from models.spec import ModelSpec

BUDGET = 2_000_000_000  # bytes of activations at a time


class Cut(NamedTuple):
    """The held-out stimuli of one recording.

    Attributes:
        recording: these stimuli, and the neuroids to be predicted.
        images: stimuli x size x size x 3, uint8, as the model takes them.
        trained: ids of the neuroids whose responses to other stimuli were trained on.
    """

    recording: Recording
    images: np.ndarray
    trained: frozenset[str]


def cuts(recordings: Sequence[Recording], pictures: Sequence[np.ndarray], parts: Partition) -> list[Cut]:
    """What is held out, recording by recording; none where nothing is.

    Where the recording names no groups of near-duplicates, stimuli of the same picture form one, so that
    cross-validation does not have a picture on both sides.
    """
    found = []
    for number, recording in enumerate(recordings):
        kept = [part for part in parts.held_out if part.recording == number]
        trained = [part for part in parts.new_stimuli if part.recording == number]
        if not (both := [*kept, *trained]):
            continue
        part = Part(number, both[0].stimuli, np.sort(np.concatenate([each.neuroids for each in both])))
        own, images = restricted(recording, part), pictures[number][part.stimuli]
        if own.group is None:
            names = [hashlib.sha256(np.ascontiguousarray(image).data).hexdigest() for image in images]
            if len(set(names)) < len(names):
                own = replace(own, stimuli=own.stimuli.assign(picture=names), group="picture")
        ids = frozenset(str(recording.neuroids.index[row]) for each in trained for row in each.neuroids)
        found.append(Cut(own, images, ids))
    return found


class Judge:
    """Scores the layers of a model again and again.

    Args:
        spec: of the model.
        layers: to be scored, in forward order.
        parts: of which stimuli, see :func:`cuts`.
        regions: whose neuroids are scored.
        metric: of single neuroids, from a layer's summary, such as ridge.
        split: recording -> folds.

    Raises:
        InputError: another kind of metric, too few stimuli for the folds, or no neuroid that can be scored.
    """

    def __init__(
        self,
        spec: ModelSpec,
        layers: Sequence[str],
        parts: Sequence[Cut],
        regions: Sequence[str],
        metric: Metric,
        split: Callable[[Recording], Sequence[Split]],
    ) -> None:
        self._parts = [part for part in parts if set(part.recording.regions) & set(regions)]
        if not self._parts:
            raise InputError(
                f"nothing held out has neuroids of {' or '.join(regions)}; hold out stimuli, or others' neuroids"
            )
        self._measures: list[tuple[Target, Score]] = []
        for part in self._parts:
            own = [region for region in part.recording.regions if region in regions]
            wanted = target(part.recording, split(part.recording), own)
            measure = metric.bind(wanted)
            if metric.per != "neuroid" or isinstance(measure, Reader | Joint):
                raise InputError(f"metric={metric.name}: wanted a metric that predicts single neuroids, such as ridge")
            self._measures.append((wanted, measure))
        shapes = layer_shapes(spec)
        self._units = {layer: prod(shapes[layer]) for layer in layers}

    def __call__(self, model: Model, stages: Stages | None = None) -> pd.DataFrame:
        """One row for each neuroid and layer: ``recording``, ``neuroid``, ``region``, ``subject``, ``trained``,
        ``layer`` and ``score``, the mean over splits.

        Args:
            model: with the parameters to be judged.
            stages: shows the images; None shows nothing.
        """
        rows = []
        for part, (wanted, measure) in zip(self._parts, self._measures, strict=True):
            name = f"{part.recording.name}: held-out stimuli"
            advance = stages.stage(name, len(part.images), "images") if stages else _silent
            table = wanted.neuroids.reset_index(names="neuroid")[["neuroid", "region", "subject"]]
            table.insert(0, "recording", part.recording.name)
            table["trained"] = [str(neuroid) in part.trained for neuroid in table["neuroid"]]
            made = layer_summaries(model.apply, model.params, self._units, part.images, budget=BUDGET, advance=advance)
            scores = {layer: measure(summary).value.mean(axis=0) for layer, summary in made}
            rows += [table.assign(layer=layer, score=scores[layer]) for layer in self._units]
        return pd.concat(rows, ignore_index=True)


def _silent(images: int) -> None:
    del images
