"""Scores of one recording by every layer: layers are scored while the next are made, within the memory there is."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from engine import hosts
from engine.errors import InputError
from engine.gram import Summary
from engine.memory import check, shortage
from engine.metrics.metric import Joint, Measure, Metric, Reader
from engine.metrics.scores import Scores
from engine.predictor import Layer, Predictor, Stages
from engine.recording import Recording
from engine.target import Target


def check_memory(
    predictor: Predictor,
    recording: Recording,
    target: Target,
    metrics: Sequence[Metric],
    measures: Sequence[Measure],
    *,
    cache: Path,
    budget: int,
) -> None:
    """Raises InputError where scoring these metrics takes more memory than there is; no picture is decoded."""
    readers = any(isinstance(measure, Reader) for measure in measures)
    demand = partial(predictor.demand, recording, cache=cache, readers=readers)
    check.check(lambda budget: demand(budget=budget), target, metrics, budget)


def computed(
    predictor: Predictor,
    recording: Recording,
    target: Target,
    metrics: Sequence[Metric],
    measures: Sequence[Measure],
    *,
    cache: Path,
    budget: int,
    cut: int,
    seconds: dict[str, float],
    stages: Stages,
) -> dict[str, list[Scores]]:
    """Layer -> scores, one for each measure; with smaller passes where memory runs out."""
    readers = [measure for measure in measures if isinstance(measure, Reader)]

    def smaller(cut: int) -> int:
        if cut == 1:
            return budget
        demand = predictor.demand(recording, cache=cache, budget=budget, readers=bool(readers))
        return shortage.less(budget, demand.captured, demand.rows, cut)

    def of_passes(budget: int) -> dict[str, list[Scores]]:
        made = predictor.summaries(recording, cache=cache, budget=budget, stages=stages, readers=readers)
        return scored(made, len(predictor.layers), measures, recording.name, seconds, stages)

    check_memory(predictor, recording, target, metrics, measures, cache=cache, budget=smaller(cut))
    return shortage.with_less(of_passes, smaller, cut, stages.say)


def scored(
    layers: Iterable[Layer],
    count: int,
    measures: Sequence[Measure],
    name: str,
    seconds: dict[str, float],
    stages: Stages,
) -> dict[str, list[Scores]]:
    """Scores each layer in a second thread while the next are made: neither alone keeps every core busy.

    Of several processes each does one after the other, because all must do the same in the same order.

    Returns:
        layer -> scores, one for each measure.
    """
    clock, solving = Clock(seconds), 0.0
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
                if hosts.several():
                    pending[layer.name].result()
            clock("activations and Gram matrices")
            single = {done: future.result() for done, future in pending.items()}
        except BaseException:  # Ctrl-C as well: what waits for its turn is not begun
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


class Clock:
    """Adds the time since its last call to a stage."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.perf_counter()

    def __call__(self, stage: str) -> None:
        now = time.perf_counter()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._last
        self._last = now
