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
from engine.metrics.ridge import LayerScores, Ridge, score_layer
from engine.predictor import Predictor, Stages
from engine.recording import Recording
from engine.score import Target


@dataclass(frozen=True)
class Outcome:
    """What a job leaves.

    Attributes:
        rows: every recording x neuroid x layer x split.
        layers: layer x region.
        best: region.
        digests: recording -> of the stimuli as the predictor takes them, and of the responses.
        seconds: stage -> time it took.
    """

    rows: pd.DataFrame
    layers: pd.DataFrame
    best: pd.DataFrame
    digests: Mapping[str, Mapping[str, str]]
    seconds: Mapping[str, float]


def run(
    predictor: Predictor,
    recordings: Sequence[tuple[Recording, Target]],
    settings: Ridge,
    *,
    cache: Path,
    budget: int,
    stages: Stages,
) -> Outcome:
    """Scores the predictor's layers against every recording.

    Args:
        recordings: the stimuli of each, and what is to be predicted.
        cache: folder where layer summaries are kept and looked for.
        budget: bytes that activations may take at once.
    """
    layers = predictor.layers
    frames: list[pd.DataFrame] = []
    digests: dict[str, dict[str, str]] = {}
    seconds: dict[str, float] = {}
    for recording, target in recordings:
        name = recording.name
        clock = _Clock(seconds)
        digests[name] = {"stimuli": predictor.stimuli(recording, stages), "responses": recording.digest()}
        clock("decoding")
        made = predictor.summaries(recording, cache=cache, budget=budget, stages=stages)
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


class _Clock:
    """Adds the time since its last call to a stage."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.perf_counter()

    def __call__(self, stage: str) -> None:
        now = time.perf_counter()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._last
        self._last = now
