"""``corticalign harmonize``: settings in, a folder with aligned weights and what they changed out."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from engine.commands import settings, training

if TYPE_CHECKING:
    from engine.commands.harmonize_schema import Harmonize
    from engine.harmonize.run import Outcome
    from engine.training.account import Report

VERSION = "1"  # of what is done; part of every run's key
SHOWN = 6  # pictures in the figure
SCORES = {
    "alignment": "Spearman r of saliency and human map over that of people with people (0.65753), mean over pictures",
    "alignment_with_others_maps": "the same with another picture's human map: what looking at the middle alone gives",
    "dice": "overlap of the top tenth of both maps, Dice",
    "iou": "the same, intersection over union",
    "agreement": "share of held-out pictures with the answer that the model gave before",
    "agreement_with_maps": "the same of those with human maps",
}


def run(given: list[str]) -> int:
    """Runs one alignment. Returns the exit status."""
    return settings.start("harmonize", settings.overrides(given, "harmonize"), job)


def job(config: DictConfig) -> Path:
    """One alignment; returns the folder with the results. A run that was killed goes on from its last checkpoint."""
    from engine.commands.harmonize_schema import typed

    return training.start(typed(config), _made)


def _made(wanted: "Harmonize") -> Path:
    """The run in one process, of one or several, of which the first alone prints and writes."""
    from engine import hosts, store
    from engine.commands import device, map_sources
    from engine.commands.progress import Progress
    from engine.commands.sources import mirror_folder
    from engine.harmonize.loss import Harmonizer
    from engine.harmonize.run import Plan, align
    from models import zoo
    from models.sized import sized

    spec = sized(zoo.spec(wanted.model.name), wanted.model.size, wanted.model.resize)
    mirror = mirror_folder(wanted.mirror)
    store.check_writable(Path(wanted.output))
    device.keep_compiled_programs()
    others = map_sources.without_maps(wanted)
    identity = training.identity(VERSION, wanted, {}) | map_sources.identity(wanted, others)
    key = store.key(identity)
    folder = Path(wanted.output) / "harmonized" / f"{spec.name}-{key[:10]}"
    with Progress(wanted.quiet) as progress:
        summary = training.done_before(folder, progress, "pictures", quiet=wanted.quiet)
        if summary is None:
            train = wanted.train
            with hosts.first_before_others():
                found = map_sources.data(wanted, others, mirror, progress.download)
                model = training.model(wanted, spec, mirror, progress)
            outcome = align(
                model,
                found,
                Plan(
                    training.course(wanted),
                    wanted.model.fit,
                    train.smallest_view,
                    train.largest_view,
                    wanted.images.share,
                    wanted.held_out,
                    wanted.selection,
                    wanted.keep_agreement,
                    wanted.patience,
                ),
                Harmonizer(**asdict(wanted.loss)),
                training.optimiser(train),
                folder=folder,
                identity=identity,
                stages=progress,
                report=training.told(progress, train.steps, _shown),
            )
            summary = _summary(key, wanted, found.description, outcome)
            if hosts.is_first():
                _write(folder, summary, outcome, spec)
    if not wanted.quiet and hosts.is_first():
        _show(summary, folder)
    return folder


def _shown(report: "Report") -> Mapping[str, float]:
    terms = {name: report.terms[name] for name in ("loss", "cross_entropy", "map") if name in report.terms}
    return {**report.scores, **terms}


def _summary(key: str, wanted: "Harmonize", pictures: str, outcome: "Outcome") -> dict[str, Any]:
    from engine import __version__
    from engine.commands import device

    return {
        "key": key,
        "corticalign": __version__,
        "model": wanted.model.name,
        "settings": asdict(wanted),
        "pictures": pictures,
        "labels": "the model's own answers before training" if wanted.labels == "model" else "as given",
        "held_out": len(outcome.shown.images),
        "best_step": outcome.best,
        "scores": {
            state: {
                name: dict(zip(("value", "low", "high", "pictures"), row, strict=True)) for name, row in rows.items()
            }
            for state, rows in outcome.scores.items()
        },
        "machine": device.describe(),
    }


def _write(folder: Path, summary: Mapping[str, Any], outcome: "Outcome", spec: Any) -> None:
    """Weights, tables and figures."""
    import pandas as pd

    from engine.harmonize.run import ADMISSIBLE
    from engine.report.figure import save
    from engine.report.loss_figure import loss_figure
    from engine.report.saliency_figure import chosen_rows, saliency_figure
    from engine.training import log

    training.save(folder, outcome.params, outcome.statistics, spec)
    states = {"before": outcome.before, "after": outcome.after}
    columns = {
        f"{name}_{state}": values
        for state, judged in states.items()
        for name, values in judged.alignment._asdict().items()
    }
    pictures = pd.DataFrame(columns).rename_axis(index="picture")
    pictures.to_parquet(folder / "pictures.parquet")
    rows = chosen_rows(len(outcome.shown.images), SHOWN)
    title = f"{summary['model']}, aligned with {summary['pictures']}"
    note = f"{len(rows)} of {summary['held_out']} held-out pictures, drawn at random. {line(summary, 'alignment')}"
    human = outcome.shown.human
    assert human is not None
    figure = saliency_figure(
        outcome.shown.images[rows],
        human[rows],
        {state: judged.saliency[rows] for state, judged in states.items()},
        {state: judged.alignment.spearman[rows] for state, judged in states.items()},
        title,
        note,
    )
    save(figure, folder, "saliency")
    terms, scores = (log.read(folder / "log" / f"{name}.csv") for name in ("terms", "scores"))
    shown = [name for name in ("step", "loss", "cross_entropy", "map") if name in terms]
    scores = scores.drop(columns=ADMISSIBLE)  # the alignment again, where it counts
    note = "Scores: on the pictures that choose the step (ringed), which are not the ones reported."
    save(loss_figure(terms[shown], scores, title, note, outcome.best), folder, "loss")
    training.complete(folder, summary)


def line(summary: Mapping[str, Any], name: str) -> str:
    """One score before and after, and the difference."""
    before, after, difference = (summary["scores"][state].get(name) for state in ("before", "after", "difference"))
    if before is None:
        return f"{name}: {_number(after)}"
    return f"{name}: {_number(before)} before, {_number(after)} after, difference {_number(difference)}"


def _number(row: Mapping[str, float]) -> str:
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _show(summary: Mapping[str, Any], folder: Path) -> None:
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{summary['model']}, aligned with {summary['pictures']}", style="bold")
    for name, words in SCORES.items():
        if name not in summary["scores"]["after"]:
            continue
        console.print(line(summary, name))
        console.print(f"    {words}", style="dim")
    console.print(
        f"{summary['held_out']} held-out pictures with maps, 95 % bootstrap intervals; labels: {summary['labels']}; "
        f"weights of step {summary['best_step']}, chosen on other pictures",
        style="dim",
    )
    console.print(f"written to {folder}/", style="dim")
    console.print(f"score it:  corticalign score model={summary['model']} weights={folder / training.WEIGHTS}")
