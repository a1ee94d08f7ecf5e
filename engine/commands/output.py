"""What a job leaves and prints: Parquet, JSON, figure, table."""

import json
import math
import resource
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console

from engine import __version__
from engine.commands.schema import Score
from engine.report.table import best_lines, bounds_line, enumeration, hierarchy_line, layer_by_region, print_whole
from engine.store import write_folder

if TYPE_CHECKING:  # a job that was done before is shown without JAX, SciPy and Matplotlib
    from engine.job import Outcome
    from engine.metrics.metric import Metric
    from engine.predictor import Predictor
    from engine.recording import Recording
    from engine.score import Correction
    from engine.target import Target

SUMMARY = "summary.json"
VERSION = "2"  # of what the tables and the summary hold; part of every result's key
AGGREGATE = {
    "neuroid": "mean over splits, median over neuroids",
    "population": "all stimuli, mean over subjects",
}
NUMBERS = "activations and Gram matrices float32, scores float64, every matrix product at precision 'highest'"


def summarise(
    key: str,
    settings: Score,
    predictor: "Predictor",
    recordings: "Sequence[Recording]",
    targets: "Sequence[Target]",
    metrics: "Sequence[Metric]",
    correction: "Correction",
    outcome: "Outcome",
) -> dict[str, Any]:
    """Everything needed to repeat the run and to read its numbers, as plain values."""
    from engine.commands import device

    return {
        "key": key,
        "corticalign": __version__,
        "settings": asdict(settings),
        "model": dict(predictor.about),
        "recordings": [
            _recording(recording, target, settings, outcome)
            for recording, target in zip(recordings, targets, strict=True)
        ],
        "simulated": any(recording.simulated for recording in recordings),
        "metrics": [_metric(metric, correction) for metric in metrics],
        "numbers": NUMBERS,
        "layers": _records(outcome.layers),
        "best": _records(outcome.best),
        "hierarchy": _records(outcome.hierarchy),
        "machine": device.describe()
        | {name: version(name) for name in ("numpy", "scipy", "scikit-learn", "flax", "hydra-core", "pillow")},
        "seconds": {stage: round(seconds, 2) for stage, seconds in outcome.seconds.items()},
        "peak_memory_gb": round(_peak_memory() / 1e9, 2),
    }


def _metric(metric: "Metric", correction: "Correction") -> dict[str, Any]:
    return {
        "name": metric.name,
        "version": metric.version,
        "symbol": metric.symbol,
        "owner": "neuroid" if metric.per == "neuroid" else "subject",
        "measure": metric.measure,
        "aggregate": AGGREGATE[metric.per].replace(
            "all stimuli", "all stimuli" if metric.whole else "mean over splits"
        ),
        "ceiled": correction.sentence(metric),
        "ceiled_symbol": correction.symbol(metric),
        "squared": metric.squared,
        "own_ceiling": metric.own_ceiling,
        "beside": dict(metric.beside or {}),
    }


def _recording(recording: "Recording", target: "Target", settings: Score, outcome: "Outcome") -> dict[str, Any]:
    from engine.commands.cross_validation import sentence

    ids = recording.stimuli.index.astype(str)
    return {
        "name": recording.name,
        "simulated": recording.simulated,
        "stimuli": len(ids),
        "neuroids": target.neuroids["region"].value_counts(sort=False).to_dict(),
        "populations": Counter(population.region for population in target.populations),
        "excluded": dict(target.excluded),
        "degrees": recording.degrees,
        "ceiling": target.ceiling,
        "splits": sentence(recording, settings.cv),
        "held_out": [ids[split.test].tolist() for split in target.splits],
        "digests": dict(outcome.digests[recording.name]),
        "source": dict(recording.source),
        "licence": recording.licence,
        "citation": recording.citation,
    }


def write(folder: Path, summary: Mapping[str, Any], outcome: "Outcome") -> None:
    """The results as a folder that appears whole or not at all.

    For each metric ``scores-METRIC.parquet`` and ``layers-METRIC.png`` and ``.svg``; ``layers.csv``, ``summary.json``.
    """
    from engine.report.figure import layers_figure, save

    def fill(temporary: Path) -> None:
        outcome.layers.to_csv(temporary / "layers.csv", index=False)
        for metric in summary["metrics"]:
            name = metric["name"]
            outcome.rows[name].to_parquet(temporary / f"scores-{name}.parquet", index=False)
            layers, best = (_of(name, table) for table in (outcome.layers, outcome.best))
            measure = f"{metric['measure']}\n({metric['aggregate']})"
            heading = f"{title(summary)}: {name}"
            beside = [each for each in metric["beside"] if each != "distance"]  # an angle is on no scale of scores
            figure = layers_figure(layers, best, measure, heading, figure_note(summary, metric), beside)
            save(figure, temporary, f"layers-{name}")
        text = json.dumps(summary, indent=1, allow_nan=False, default=str)
        (temporary / SUMMARY).write_text(text + "\n")

    write_folder(folder, fill)


def show(summary: Mapping[str, Any], folder: Path) -> None:
    """Prints the table, the best layers and what the numbers are."""
    console = Console(soft_wrap=True, highlight=False)
    layers, best = (pd.DataFrame(summary[name]).replace({None: math.nan}) for name in ("layers", "best"))
    for metric in summary["metrics"]:
        name, symbols = metric["name"], (metric["symbol"], metric["ceiled_symbol"])
        console.print(f"{title(summary)}: {name}", style="bold")
        print_whole(layer_by_region(_of(name, layers).infer_objects(), *symbols, list(metric["beside"])))
        console.print()
        for line in best_lines(_of(name, best), *symbols, metric["owner"]):
            console.print(line)
        console.print(f"{metric['symbol']}: {metric['measure']}, {metric['aggregate']} [95 % bootstrap]", style="dim")
        if bounds := bounds_line(_of(name, layers)):
            console.print(bounds)
        for column, words in metric["beside"].items():
            console.print(f"{column}: {words}", style="dim")
        for row in summary["hierarchy"]:
            if row["metric"] == name:
                console.print(hierarchy_line(row, metric["owner"]))
        if _of(name, layers)["ceiled"].notna().any():
            console.print(f"{metric['ceiled_symbol']}: {metric['ceiled']}", style="dim")
    for line in notes(summary):
        console.print(line, style="dim")
    console.print(f"written to {folder}{'/' if folder.name else ''}", style="dim")


def title(summary: Mapping[str, Any]) -> str:
    """Model and recordings."""
    names = [recording["name"] for recording in summary["recordings"]]
    mark = ", SIMULATED" if summary["simulated"] and not any("SIMULATED" in name for name in names) else ""
    return f"{summary['model']['name']} on {enumeration(names, 3)}{mark}"


def notes(summary: Mapping[str, Any]) -> list[str]:
    """What was held out, which ceiling, what was left out: once for each way it was done."""
    recordings = summary["recordings"]
    lines = [f"{sum(recording['stimuli'] for recording in recordings)} stimuli", *_view(summary)]
    lines += [f"splits: {text}" for text in dict.fromkeys(recording["splits"] for recording in recordings)]
    lines += [f"ceiling: {text}" for text in dict.fromkeys(recording["ceiling"] for recording in recordings)]
    excluded = sum(len(recording["excluded"]) for recording in recordings)
    if excluded:
        lines.append(f"left out: {excluded} neuroids without responses or with constant ones")
    if summary["simulated"]:
        lines.append("SIMULATED: no animal or person was recorded; the neurons are a model")
    return lines


def _view(summary: Mapping[str, Any]) -> list[str]:
    """How the stimuli came onto the model's input, where not simply resized to fill it."""
    wanted, how = summary["settings"]["model"], []
    if wanted["visual_degrees"] is not None:
        widths = dict.fromkeys(recording["degrees"] for recording in summary["recordings"])
        how.append(
            f"{enumeration([f'{width:g}' for width in widths], 3)} degrees wide on a field of view of "
            f"{wanted['visual_degrees']:g} degrees (grey around them, or their centre)"
        )
    if wanted["fit"] == "crop":
        size, resize = (summary["model"]["preprocessing"][key] for key in ("size", "resize"))
        how.append(f"shorter side to {resize} pixels, then the middle {size} x {size}")
    return [f"stimuli: {'; '.join(how)}"] if how else []


def figure_note(summary: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    """The line under the figure of a metric."""
    recordings = summary["recordings"]
    chosen = any(row["metric"] == metric["name"] for row in summary["best"])
    ring = " Ring: layer chosen on training stimuli." if chosen else ""
    text = f"Band: 95 % bootstrap.{ring} Splits: {recordings[0]['splits']}."
    if metric["owner"] == "subject":
        return f"{text}\nDashed: upper noise ceiling, where a region has two subjects or more."
    if any(row["ceiling"] is not None for row in summary["layers"]):
        plain = metric["squared"] or metric["own_ceiling"]
        text += f"\nDashed: {'c, ' if plain else 'r of a perfect model, sqrt(c); c '}{recordings[0]['ceiling']}."
    else:
        text += f"\nCeiling: {recordings[0]['ceiling'].removesuffix(': no ceiling')}, so none is drawn."
    return text


def exclusions(target: "Target") -> str:
    """Which neuroids of a recording are left out, and why."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in target.excluded.items():
        by_reason.setdefault(reason, []).append(name)
    parts = [f"{len(names)} with {reason}: {enumeration(names, 5)}" for reason, names in by_reason.items()]
    return f"{target.recording}: left out {'; '.join(parts)}"


def _of(metric: str, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of one metric."""
    return table if table.empty else table[table["metric"] == metric]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(key): None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        for row in table.to_dict("records")
    ]


def _peak_memory() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
