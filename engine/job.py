"""One job: what predicts against the recordings of a data set, every layer against every neuroid.

The numbers come from engine.metrics and below; this is where files, caches, threads and progress meet them.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from engine import score
from engine.gram import Summary
from engine.metrics.metric import Metric, Score
from engine.metrics.scores import Scores
from engine.predictor import Predictor, Stages
from engine.recording import Recording
from engine.target import Target


@dataclass(frozen=True)
class Outcome:
    """What a job leaves.

    Attributes:
        rows: metric -> every recording x target x layer x split.
        layers: metric x layer x region.
        best: metric x region.
        digests: recording -> of the stimuli as the predictor takes them, and of the responses.
        seconds: stage -> time it took.
    """

    rows: Mapping[str, pd.DataFrame]
    layers: pd.DataFrame
    best: pd.DataFrame
    digests: Mapping[str, Mapping[str, str]]
    seconds: Mapping[str, float]


def run(
    predictor: Predictor,
    recordings: Sequence[tuple[Recording, Target]],
    metrics: Sequence[Metric],
    *,
    cache: Path,
    budget: int,
    stages: Stages,
) -> Outcome:
    """Scores the predictor's layers against every recording.

    Args:
        recordings: the stimuli of each, and what is to be predicted.
        metrics: all are computed from one pass of the model.
        cache: folder where layer summaries are kept and looked for.
        budget: bytes that activations may take at once.
    """
    layers = predictor.layers
    frames: dict[str, list[pd.DataFrame]] = {metric.name: [] for metric in metrics}
    bound = [[metric.bind(target) for metric in metrics] for _, target in recordings]
    digests: dict[str, dict[str, str]] = {}
    seconds: dict[str, float] = {}
    for (recording, target), measures in zip(recordings, bound, strict=True):
        name = recording.name
        clock = _Clock(seconds)
        digests[name] = {"stimuli": predictor.stimuli(recording, stages), "responses": recording.digest()}
        clock("decoding")
        made = predictor.summaries(recording, cache=cache, budget=budget, stages=stages)
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
    tables = [(score.layer_table(each, rows[each.name]), score.best_layers(each, rows[each.name])) for each in metrics]
    layer_table, best = (pd.concat(parts, ignore_index=True) for parts in zip(*tables, strict=True))
    clock("tables")
    return Outcome(rows, layer_table, best, digests, seconds)


def _scores(
    summaries: Iterable[tuple[str, Summary]],
    count: int,
    measures: Sequence[Score],
    name: str,
    seconds: dict[str, float],
    stages: Stages,
) -> dict[str, list[Scores]]:
    """Scores each layer in a second thread while the next are made: neither alone keeps every core busy."""
    clock, solving = _Clock(seconds), 0.0
    advance = stages.stage(f"{name}: scoring", count, "layers")

    def solve(summary: Summary) -> list[Scores]:
        nonlocal solving
        started = time.perf_counter()
        scores = [measure(summary) for measure in measures]
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
    clock("waiting for scores")
    stage = "scores (beside the rest)"
    seconds[stage] = seconds.get(stage, 0.0) + solving
    return scores


class _Clock:
    """Adds the time since its last call to a stage."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.perf_counter()

    def __call__(self, stage: str) -> None:
        now = time.perf_counter()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._last
        self._last = now
