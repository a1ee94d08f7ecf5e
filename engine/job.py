"""One job: a model against the recordings of a data set. Fetches, runs, keeps layer summaries, scores.

The numbers come from engine.score and below; this is where files, caches and progress meet them.
"""

import fnmatch
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from engine import score, store
from engine.activations import image_passes, layer_summaries
from engine.errors import InputError, unknown
from engine.field_of_view import check_known, place
from engine.gram import Summary
from engine.metrics.ridge import LayerScores, Ridge, score_layer
from engine.recording import Recording
from engine.score import Target
from engine.stimuli import digest, prepare_all
from models.port import Model, layer_shapes
from models.preprocessing import Fit, prepare
from models.spec import ModelSpec

EXTRACTION = "1"  # version of everything between pixels and Gram matrix; part of every summary's key


class Stages(Protocol):
    """What a long job reports while it runs."""

    def stage(self, name: str, total: int, unit: str) -> Callable[[int], None]:
        """Starts a stage of ``total`` steps; the function it returns is called with the number of steps done."""
        ...

    def say(self, sentence: str) -> None:
        """A warning that the user can act on."""
        ...


@dataclass(frozen=True)
class View:
    """How stimuli are brought to a model's input.

    Attributes:
        fit: ``squash`` or ``crop``, as :func:`models.preprocessing.prepare` says.
        degrees: width of the model's field of view, on which stimuli are placed by their own width first
            (:func:`engine.field_of_view.place`); None: every stimulus fills the input, however wide it was.
            What ``crop`` cuts away afterwards was part of that field.
    """

    fit: Fit = "squash"
    degrees: float | None = None


@dataclass(frozen=True)
class Shown:
    """A recording's stimuli as a model takes them.

    Attributes:
        recording: it.
        view: how they were brought to the model's input.
        pixels: digest of the prepared images.
        responses: digest of the recording without its images.
        images: stimuli x size x size x 3, uint8; None where they were not kept and are made again when needed.
    """

    recording: Recording
    view: View
    pixels: str
    responses: str
    images: np.ndarray | None


@dataclass(frozen=True)
class Outcome:
    """What a job leaves.

    Attributes:
        rows: every recording x neuroid x layer x split.
        layers: layer x region.
        best: region.
        digests: recording -> of the stimuli as shown to the model, and of the responses.
        seconds: stage -> time it took.
    """

    rows: pd.DataFrame
    layers: pd.DataFrame
    best: pd.DataFrame
    digests: Mapping[str, Mapping[str, str]]
    seconds: Mapping[str, float]


def choose_layers(spec: ModelSpec, wanted: object) -> list[str]:
    """The model's layers named by ``all``, a name, a pattern such as ``block*``, or a list of these.

    Names that torchvision, timm or the original give a layer are understood as well.

    Raises:
        InputError: a name or pattern that fits no layer; names the nearest.
    """
    port = spec.port()
    given = [wanted] if isinstance(wanted, str) else list(wanted) if isinstance(wanted, Sequence) else None
    if not given:
        raise InputError(f"layers={wanted}: wanted 'all' or a list such as [{port.layers[0]}]")
    names = {layer: layer for layer in port.layers} | {
        alias: layer for alias, layer in port.aliases.items() if layer in port.layers
    }
    chosen: set[str] = set()
    for name in map(str, given):
        fitting = port.layers if name == "all" else [names[each] for each in fnmatch.filter(names, name)]
        if not fitting:
            raise unknown(f"layer of {spec.name}", name, list(names))
        chosen.update(fitting)
    return [layer for layer in port.layers if layer in chosen]


def show(recording: Recording, spec: ModelSpec, stages: Stages, *, view: View = View(), keep: bool) -> Shown:
    """Decodes and prepares the stimuli; ``keep`` holds on to the pixels (size² x 3 bytes each).

    Raises:
        InputError: the recording has no images, or one cannot be decoded; or the view asks for degrees of visual
            angle that the recording does not state or that fit no picture.
    """
    if recording.images is None:
        raise InputError(f"recording '{recording.name}' holds no images: a model cannot be shown its stimuli")
    check_known([recording], view.degrees)
    advance = stages.stage(f"{recording.name}: decoding", len(recording.images), "images")

    def seen(image: np.ndarray) -> np.ndarray:
        if view.degrees is not None and recording.degrees is not None:
            image = place(image, recording.degrees, view.degrees)
        return prepare(image, spec.preprocessing, view.fit)

    images = prepare_all(recording.images, seen, advance=advance)
    return Shown(recording, view, digest(images), recording.digest(), images if keep else None)


def normalisation(spec: ModelSpec) -> list[tuple[float, float, float]]:
    """What is done to the pixels after their digest was taken; part of every key."""
    return [spec.preprocessing.mean, spec.preprocessing.std]


def run(
    model: Model,
    layers: Sequence[str],
    recordings: Sequence[tuple[Shown, Target]],
    settings: Ridge,
    *,
    cache: Path,
    budget: int,
    stages: Stages,
) -> Outcome:
    """Scores the layers against every recording.

    Args:
        recordings: the stimuli of each, and what is to be predicted.
        cache: folder where layer summaries are kept and looked for.
        budget: bytes that activations may take at once.
    """
    frames: list[pd.DataFrame] = []
    digests: dict[str, dict[str, str]] = {}
    seconds: dict[str, float] = {}
    for shown, target in recordings:
        name = shown.recording.name
        clock = _Clock(seconds)
        if shown.images is None:
            shown = show(shown.recording, model.spec, stages, view=shown.view, keep=True)
        digests[name] = {"stimuli": shown.pixels, "responses": shown.responses}
        clock("decoding")
        made = summaries(model, layers, shown, cache, budget, stages)
        scores = _scores(made, len(layers), target, settings, name, seconds, stages)
        unresolved = {layer: s.unresolved for layer, s in scores.items() if s.unresolved}
        if unresolved:
            stages.say(
                f"{name}: {sum(unresolved.values())} chosen penalties in {', '.join(unresolved)} lie below the "
                "resolution of float32 activations; raise the smallest of metric.penalties"
            )
        frames.append(score.neuroid_table(scores, layers, target))
    clock = _Clock(seconds)
    rows = pd.concat(frames, ignore_index=True)
    layer_table, best = score.layer_table(rows), score.best_layers(rows)
    clock("tables")
    return Outcome(rows, layer_table, best, digests, seconds)


def _scores(
    summaries: Iterable[tuple[str, Summary]],
    count: int,
    target: Target,
    settings: Ridge,
    name: str,
    seconds: dict[str, float],
    stages: Stages,
) -> dict[str, LayerScores]:
    """Scores each layer in a second thread while the next are made: neither alone keeps every core busy."""
    clock, solving = _Clock(seconds), 0.0
    regions = list(target.neuroids["region"])
    advance = stages.stage(f"{name}: scoring", count, "layers")

    def solve(summary: Summary) -> LayerScores:
        nonlocal solving
        started = time.perf_counter()
        scores = score_layer(summary, target.responses, regions, target.splits, settings)
        solving += time.perf_counter() - started
        advance(1)
        return scores

    with ThreadPoolExecutor(max_workers=1) as solver:
        try:
            pending = {layer: solver.submit(solve, summary) for layer, summary in summaries}
            clock("activations and Gram matrices")
            scores = {layer: future.result() for layer, future in pending.items()}
        except BaseException:
            solver.shutdown(wait=False, cancel_futures=True)
            raise
    clock("waiting for ridge")
    stage = "ridge (beside the rest)"
    seconds[stage] = seconds.get(stage, 0.0) + solving
    return scores


def summaries(
    model: Model,
    layers: Sequence[str],
    shown: Shown,
    cache: Path,
    budget: int,
    stages: Stages,
) -> Iterator[tuple[str, Summary]]:
    """The layers' summaries: those at hand first, then the others as the model makes them, kept at once."""
    keys = {
        layer: store.key(
            {
                "extraction": EXTRACTION,
                "model": model.spec.name,
                "weights": model.weights_digest,
                "layer": layer,
                "stimuli": shown.pixels,
                "normalisation": normalisation(model.spec),
            }
        )
        for layer in layers
    }
    missing = []
    for layer in layers:
        summary = store.load_summary(cache, keys[layer])
        if summary is None:
            missing.append(layer)
        else:
            yield layer, summary
    if not missing:
        return
    images = shown.images
    assert images is not None
    units = {layer: prod(shape) for layer, shape in layer_shapes(model.spec).items() if layer in missing}
    advance = stages.stage(
        f"{shown.recording.name}: {model.spec.name}", image_passes(units, len(images), budget), "images"
    )
    keep = True
    for layer, summary in layer_summaries(model.apply, model.params, units, images, budget=budget, advance=advance):
        try:
            if keep:
                store.save_summary(cache, keys[layer], summary)
        except OSError as error:
            keep = False
            stages.say(f"layer summaries are not kept for another run: {error.strerror} in '{cache}'")
        yield layer, summary


class _Clock:
    """Adds the time since its last call to a stage."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.perf_counter()

    def __call__(self, stage: str) -> None:
        now = time.perf_counter()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._last
        self._last = now
