"""``corticalign pretrain``: pictures in, a folder with weights that were trained on them without labels out."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from engine.commands import settings, training
from engine.errors import InputError

if TYPE_CHECKING:
    from engine.commands.picture_source import Source
    from engine.commands.pretrain_schema import Pretrain
    from engine.pretrain.recipes import Recipe, Representation
    from engine.pretrain.run import Outcome
    from engine.training.account import Report
    from models.trainable import Trainable

VERSION = "1"  # of what is done; part of every run's key
SCORES = {
    "information": "nats that a view tells about which picture it is of, at least; at most log({others})",
    "accuracy": "share of views nearest to the other view of their picture, among {others}",
    "bound": "evidence lower bound, nats per picture",
    "reconstruction": "- log p(picture | latents), nats per picture",
    "divergence": "of the latents from the prior, nats per picture",
}


def run(given: list[str]) -> int:
    """Runs one training. Returns the exit status."""
    return settings.start("pretrain", settings.overrides(given, "pretrain"), job)


def job(config: DictConfig) -> Path:
    """One training; returns the folder with the results. A run that was killed goes on from its last checkpoint."""
    from engine.commands.pretrain_schema import typed

    return training.start(typed(config), _made)


def _made(wanted: "Pretrain") -> Path:
    """The run in one process, of one or several, of which the first alone prints and writes."""
    from engine import hosts, store
    from engine.commands import device
    from engine.commands.pretrain_schema import Vae
    from engine.commands.progress import Progress
    from engine.commands.sources import mirror_folder
    from engine.pretrain.recipes import check_autoencoder, representation
    from engine.pretrain.run import Plan, divide, pretrain
    from models import zoo
    from models.sized import sized

    spec = sized(zoo.spec(wanted.model.name), wanted.model.size)
    if isinstance(wanted.objective, Vae):
        check_autoencoder(spec, wanted.train.dtype)
    mirror = mirror_folder(wanted.mirror)
    pictures = _pictures(wanted)
    train = wanted.train
    plan = Plan(training.course(wanted), wanted.held_out, wanted.patience)
    divide(len(pictures.pictures), plan)  # refuses before weights are read
    store.check_writable(Path(wanted.output))
    device.keep_compiled_programs()
    identity = training.identity(VERSION, wanted, {}) | {"images": pictures.identity}
    key = store.key(identity)
    folder = Path(wanted.output) / "pretrained" / f"{spec.name}-{key[:10]}"
    with Progress(wanted.quiet) as progress:
        summary = training.done_before(folder, progress, "pictures", quiet=wanted.quiet)
        if summary is None:
            found = None if isinstance(wanted.objective, Vae) else representation(spec)
            with hosts.first_before_others():
                model = training.model(wanted, spec, mirror, progress)
            outcome = pretrain(
                model,
                pictures.pictures,
                _recipe(wanted, model, found),
                plan,
                training.optimiser(train),
                folder=folder,
                identity=identity,
                stages=progress,
                report=training.told(progress, train.steps, _shown),
            )
            summary = _summary(key, wanted, pictures, outcome)
            if hosts.is_first():
                _write(folder, summary, outcome, spec)
    if not wanted.quiet and hosts.is_first():
        _show(summary, folder)
    return folder


def _pictures(wanted: "Pretrain") -> "Source":
    """What ``images.source`` names."""
    from engine.commands.picture_source import opened

    if wanted.images.source is None:  # here and not among the settings, which are shown without it
        raise InputError("images.source=null: wanted a folder of pictures, or tfds:NAME")
    return opened(wanted.images.source, wanted.images.split, labelled=False)


def _recipe(wanted: "Pretrain", model: "Trainable", found: "Representation | None") -> "Recipe":
    from engine.pretrain.recipes import contrastive, variational

    own, area = wanted.objective, (wanted.train.smallest_view, wanted.train.largest_view)
    if found is None:
        return variational(model, beta=own.beta, likelihood=own.likelihood, sigma=own.sigma, area=area)
    return contrastive(
        model,
        found,
        temperature=own.temperature,
        jitter=own.jitter,
        area=area,
        frozen_statistics=wanted.train.statistics == "frozen",
        seed=wanted.train.seed,
    )


def _shown(report: "Report") -> Mapping[str, float]:
    return {**report.scores, **({"loss": report.terms["loss"]} if report.terms else {})}


def _summary(key: str, wanted: "Pretrain", pictures: "Source", outcome: "Outcome") -> dict[str, Any]:
    from engine import __version__
    from engine.commands import device

    return {
        "key": key,
        "corticalign": __version__,
        "model": wanted.model.name,
        "objective": wanted.objective.kind,
        "settings": asdict(wanted),
        "pictures": pictures.description,
        "identity of the pictures": dict(pictures.identity),
        "trained": outcome.trained,
        "held_out": outcome.held_out,
        "together": outcome.together,
        "best_step": outcome.best,
        "scores": {name: {"before": outcome.before[name], "after": outcome.after[name]} for name in outcome.after},
        "machine": device.describe(),
    }


def _write(folder: Path, summary: Mapping[str, Any], outcome: "Outcome", spec: Any) -> None:
    from engine.report.figure import save
    from engine.report.loss_figure import loss_figure
    from engine.training import log

    training.save(folder, outcome.params, outcome.statistics, spec)
    terms, scores = (log.read(folder / "log" / f"{name}.csv") for name in ("terms", "scores"))
    best, *_ = summary["scores"]  # the others are on other scales
    shown = [name for name in ("step", "loss", "reconstruction", "divergence") if name in terms]
    title = f"{summary['model']}, trained without labels ({summary['objective']})"
    note = "Held out: on pictures that are not trained on, and choose the step (ringed)."
    save(loss_figure(terms[shown], scores[["step", best]], title, note, outcome.best), folder, "loss")
    training.complete(folder, summary)


def _show(summary: Mapping[str, Any], folder: Path) -> None:
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False)
    console.print(
        f"{summary['model']}, trained without labels ({summary['objective']}) on {summary['trained']} pictures of "
        f"{summary['pictures']}",
        style="bold",
    )
    for name, row in summary["scores"].items():
        console.print(f"{name}: {row['before']:.4g} before, {row['after']:.4g} after")
        console.print(f"    {SCORES[name].format(others=2 * summary['together'] - 1)}", style="dim")
    console.print(
        f"on {summary['held_out']} pictures held out, {summary['together']} at a time; weights of step "
        f"{summary['best_step']}, the best on them",
        style="dim",
    )
    console.print(f"written to {folder}/", style="dim")
    console.print(f"score it:  corticalign score model={summary['model']} weights={folder / training.WEIGHTS}")
