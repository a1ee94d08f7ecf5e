"""One job: what predicts against the recordings of a data set, every layer against every neuroid.

The numbers come from engine.metrics and below; this is where files, caches, threads and progress meet them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from engine import hosts, score
from engine.errors import InputError
from engine.hierarchy import hierarchy_table
from engine.layer_scores import Clock, computed, scored
from engine.metrics.metric import Joint, Measure, Metric, Reader
from engine.predictor import Predictor, Stages
from engine.recording import Recording
from engine.store import identity, results
from engine.store.results import Result
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
    store: Path | None = None,
    wanted: Sequence[Sequence[Result]] = (),
    cut: int = 1,
) -> Outcome:
    """Scores the predictor's layers against every recording.

    With a ``store``, results that are there are read, the others are computed and written as soon as a recording is
    complete; what is returned is what was read from the store in either case, so that it does not depend on it.

    Args:
        recordings: the stimuli of each, what is to be predicted, and each metric bound to it.
        metrics: all are computed from one pass of the model.
        correction: how ceilings enter the scores of neuroids.
        cache: folder where layer summaries are kept and looked for.
        budget: bytes that activations may take at once.
        store: folder of results.
        wanted: for each recording, the result of each metric; only with a store.
        cut: how many times smaller than usual passes and blocks are made; changes no number.

    Raises:
        InputError: memory will not do, or ran out twice.
    """
    layers = predictor.layers
    frames: dict[str, list[pd.DataFrame]] = {metric.name: [] for metric in metrics}
    digests: dict[str, dict[str, str]] = {}
    seconds: dict[str, float] = {}
    built: dict[str, tuple[pd.DataFrame, pd.DataFrame] | None] = {}
    for at, (recording, target, measures) in enumerate(recordings):
        name = recording.name
        clock = Clock(seconds)
        digests[name] = {"stimuli": predictor.stimuli(recording, stages), "responses": recording.digest()}
        clock("decoding")
        tables: list[pd.DataFrame | None] = [None] * len(metrics)
        if store is not None:
            tables = [results.load_rows(store, result, stages.say) for result in wanted[at]]
            clock("results")
        missing = hosts.from_first([number for number, table in enumerate(tables) if table is None])
        if missing:
            own = [measures[number] for number in missing]
            of = [metrics[number] for number in missing]
            found = computed(
                predictor,
                recording,
                target,
                of,
                own,
                cache=cache,
                budget=budget,
                cut=cut,
                seconds=seconds,
                stages=stages,
            )
            clock = Clock(seconds)
            for column, number in enumerate(missing):
                metric = metrics[number]
                scores = {layer: each[column] for layer, each in found.items()}
                for layer in layers:
                    for note in scores[layer].notes:
                        stages.say(f"{name}, {layer}, {metric.name}: {note}")
                made_now = score.score_table(metric, scores, layers, target)
                if store is not None:
                    results.save_rows(store, wanted[at][number], made_now)
                tables[number] = made_now if store is None else results.load_rows(store, wanted[at][number])
        for number, (metric, table) in enumerate(zip(metrics, tables, strict=True)):
            if table is None:
                raise OSError(f"what was just written to '{store}' cannot be read: is the disk damaged?")
            frames[metric.name].append(table)
            if store is not None:
                built[metric.name] = _keep_layers(store, wanted[at][number], metric, table, correction)
        clock("tables")
    clock = Clock(seconds)
    rows = {name: pd.concat(each, ignore_index=True) for name, each in frames.items()}
    if len(recordings) > 1:
        built.clear()  # they are of one recording each
    parts = [built.get(each.name) or _tables(each, rows[each.name], correction) for each in metrics]
    layer_table, best = (pd.concat(each, ignore_index=True) for each in zip(*parts, strict=True))
    hierarchies = pd.concat([hierarchy_table(each, rows[each.name], layers) for each in metrics], ignore_index=True)
    clock("tables")
    return Outcome(rows, layer_table, best, hierarchies, digests, seconds)


def assist(
    predictor: Predictor,
    recordings: Sequence[tuple[Recording, Sequence[Measure]]],
    *,
    cache: Path,
    budget: int,
    stages: Stages,
) -> None:
    """The part of any process but the first in :func:`run`: what that one cannot do alone, in the same order."""
    for recording, measures in recordings:
        predictor.stimuli(recording, stages)
        own = [measures[number] for number in hosts.from_first(None)]
        if own:
            readers = [measure for measure in own if isinstance(measure, Reader)]
            made = predictor.summaries(recording, cache=cache, budget=budget, stages=stages, readers=readers)
            scored(made, len(predictor.layers), own, recording.name, {}, stages)


def _keep_layers(
    store: Path, result: Result, metric: Metric, rows: pd.DataFrame, correction: score.Correction
) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Writes the small table of one result, where it is not there; returns what was built for that."""
    ceiled = convention(metric, correction)
    if results.has_layers(store, result, ceiled):
        return None
    layers, best = _tables(metric, rows, correction)
    results.save_layers(store, result, layers, best, measure=metric.symbol, convention=ceiled)
    return layers, best


def results_of(
    predictor: Predictor,
    recording: Recording,
    target: Target,
    metrics: Sequence[Metric],
    ceiling: Mapping[str, object],
    stages: Stages,
) -> list[Result]:
    """What one recording's results are kept under, one for each metric.

    Args:
        target: what is scored of the recording.
        ceiling: settings; the estimator and the threshold count.
    """
    known = sha256()
    if recording.truth is not None:  # a simulation's ceiling comes from it
        known.update(np.ascontiguousarray(recording.truth, np.float64).data)
    regions = list(target.rdms) if target.rdms is not None else list(dict.fromkeys(target.neuroids["region"]))
    return [
        Result(
            identity.result_parts(
                predictor=predictor.key,
                names={"model": predictor.name, "recording": recording.name},
                layers=predictor.layers,
                stimuli=predictor.stimuli(recording, stages),
                responses=[recording.digest(), known.hexdigest(), target.stratum],
                regions=regions,
                folds=identity.folds(target.splits),
                ceiling=[ceiling["estimator"], ceiling["threshold"]],
                metric=[metric.name, metric.version, dict(metric.settings)],
            ),
            predictor.name,
            recording.name,
            metric.name,
        )
        for metric in metrics
    ]


def kept(wanted: Sequence[Sequence[Result]], metrics: Sequence[Metric], correction: score.Correction) -> list[str]:
    """The files below the store that a finished job has, for the results it wanted."""
    return [
        name
        for row in wanted
        for result, metric in zip(row, metrics, strict=True)
        for name in results.files(result, convention(metric, correction))
    ]


def convention(metric: Metric, correction: score.Correction) -> str:
    """What a ceiled score of this metric is, in short: its symbol, and ``of medians`` where it is corrected as one."""
    of_medians = correction.aggregate and correction.symbol(metric) == correction.convention
    return correction.symbol(metric) + (" of medians" if of_medians else "")


def _tables(metric: Metric, rows: pd.DataFrame, correction: score.Correction) -> tuple[pd.DataFrame, pd.DataFrame]:
    return score.layer_table(metric, rows, correction), score.best_layers(metric, rows, correction)


def check_layers(metrics: Sequence[Metric], bound: Sequence[Sequence[Measure]], layers: Sequence[str]) -> None:
    """Raises InputError where a metric of several layers has too few."""
    for metric, measure in zip(metrics, bound[0] if bound else (), strict=False):
        if isinstance(measure, Joint) and len(layers) < measure.least:
            raise InputError(
                f"metric={metric.name} divides among {measure.least} layers or more; layers= chooses {len(layers)}"
            )
