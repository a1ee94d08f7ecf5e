"""One job: what predicts against the recordings of a data set, every layer against every neuroid.

The numbers come from engine.metrics and below; this is where files, caches, threads and progress meet them.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from engine import score
from engine.errors import InputError
from engine.gram import Summary
from engine.hierarchy import hierarchy_table
from engine.metrics.metric import Joint, Measure, Metric, Reader
from engine.metrics.scores import Scores
from engine.predictor import Layer, Predictor, Stages
from engine.recording import Recording
from engine.target import Target


@dataclass(frozen=True)
class Outcome:
    """What a job leaves.

    Attributes:
        rows: metric -> every recording x target x layer x split.
        layers: metric x layer x region.
        best: metric x region.
        hierarchy: metrics for which later regions can be compared with deeper layers.
        digests: recording -> of the stimuli as the predictor takes them, and of the responses.
        seconds: stage -> time it took.
    """

    rows: Mapping[str, pd.DataFrame]
    layers: pd.DataFrame
    best: pd.DataFrame
    hierarchy: pd.DataFrame
    digests: Mapping[str, Mapping[str, str]]
    seconds: Mapping[str, float]


def run(
    predictor: Predictor,
    recordings: Sequence[tuple[Recording, Target, Sequence[Measure]]],
    metrics: Sequence[Metric],
    *,
    correction: score.Correction = score.SIGNED_SHARE,
    cache: Path,
    budget: int,
    stages: Stages,
) -> Outcome:
    """Scores the predictor's layers against every recording.

    Args:
        recordings: the stimuli of each, what is to be predicted, and each metric bound to it.
        metrics: all are computed from one pass of the model.
        correction: how ceilings enter the scores of neuroids.
        cache: folder where layer summaries are kept and looked for.
        budget: bytes that activations may take at once.
    """
    layers = predictor.layers
    frames: dict[str, list[pd.DataFrame]] = {metric.name: [] for metric in metrics}
    digests: dict[str, dict[str, str]] = {}
    seconds: dict[str, float] = {}
    for recording, target, measures in recordings:
        name = recording.name
        clock = _Clock(seconds)
        digests[name] = {"stimuli": predictor.stimuli(recording, stages), "responses": recording.digest()}
        clock("decoding")
        readers = [measure for measure in measures if isinstance(measure, Reader)]
        made = predictor.summaries(recording, cache=cache, budget=budget, stages=stages, readers=readers)
        found = _scores(made, len(layers), measures, name, seconds, stages)
        clock = _Clock(seconds)
        for number, metric in enumerate(metrics):
            scores = {layer: each[number] for layer, each in found.items()}
            for layer in layers:
                for note in scores[layer].notes:
                    stages.say(f"{name}, {layer}, {metric.name}: {note}")
            frames[metric.name].append(score.score_table(metric, scores, layers, target))
        clock("tables")
    clock = _Clock(seconds)
    rows = {name: pd.concat(each, ignore_index=True) for name, each in frames.items()}
    tables = [
        (score.layer_table(each, rows[each.name], correction), score.best_layers(each, rows[each.name], correction))
        for each in metrics
    ]
    layer_table, best = (pd.concat(parts, ignore_index=True) for parts in zip(*tables, strict=True))
    hierarchies = pd.concat([hierarchy_table(each, rows[each.name], layers) for each in metrics], ignore_index=True)
    clock("tables")
    return Outcome(rows, layer_table, best, hierarchies, digests, seconds)


def check_layers(metrics: Sequence[Metric], bound: Sequence[Sequence[Measure]], layers: Sequence[str]) -> None:
    """Raises InputError where a metric of several layers has too few."""
    for metric, measure in zip(metrics, bound[0] if bound else (), strict=False):
        if isinstance(measure, Joint) and len(layers) < measure.least:
            raise InputError(
                f"metric={metric.name} divides among {measure.least} layers or more; layers= chooses {len(layers)}"
            )


def _scores(
    layers: Iterable[Layer],
    count: int,
    measures: Sequence[Measure],
    name: str,
    seconds: dict[str, float],
    stages: Stages,
) -> dict[str, list[Scores]]:
    """Scores each layer in a second thread while the next are made: neither alone keeps every core busy.

    Returns:
        layer -> scores, one for each measure.
    """
    clock, solving = _Clock(seconds), 0.0
    advance = stages.stage(f"{name}: scoring", count, "layers")
    summaries: dict[str, Summary] = {}  # kept only where layers are scored together
    joint = [measure for measure in measures if isinstance(measure, Joint)]

    def solve(layer: Layer) -> list[Scores | None]:
        nonlocal solving
        started = time.perf_counter()
        states = iter(layer.states)
        try:
            scores = [_score(measure, layer.summary, states) for measure in measures]
        except InputError as error:
            raise InputError(f"layer '{layer.name}': {error}") from error
        solving += time.perf_counter() - started
        advance(1)
        return scores

    with ThreadPoolExecutor(max_workers=1) as solver:
        try:
            pending = {}
            for layer in layers:
                if joint:
                    summaries[layer.name] = layer.summary
                pending[layer.name] = solver.submit(solve, layer)
            clock("activations and Gram matrices")
            single = {done: future.result() for done, future in pending.items()}
        except BaseException:
            solver.shutdown(wait=False, cancel_futures=True)
            raise
    clock("waiting for scores")
    together = [measure.score(summaries) for measure in joint]
    clock("scores of layers together")
    stage = "scores (beside the rest)"
    seconds[stage] = seconds.get(stage, 0.0) + solving
    result = {}
    for made, scores in single.items():
        rest = iter(together)
        result[made] = [next(rest)[made] if each is None else each for each in scores]
    return result


def _score(measure: Measure, summary: Summary, states: Iterator[object]) -> Scores | None:
    """Of one layer; None for a measure that waits for all."""
    if isinstance(measure, Joint):
        return None
    if isinstance(measure, Reader):
        return measure.score(next(states), summary)
    return measure(summary)


class _Clock:
    """Adds the time since its last call to a stage."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.perf_counter()

    def __call__(self, stage: str) -> None:
        now = time.perf_counter()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._last
        self._last = now
