"""``corticalign cotrain``: settings in, a folder with weights trained on responses and what they changed out."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import DictConfig

from engine.commands import settings, training
from engine.errors import InputError

if TYPE_CHECKING:
    from engine.commands.cotrain_schema import Cotrain
    from engine.commands.picture_source import Source
    from engine.cotrain.plan import Plan
    from engine.predictor import Stages
    from engine.recording import Recording
    from engine.training.account import Report
    from models.spec import ModelSpec

VERSION = "1"  # of what is done; part of every run's key
OPEN = "held_out.where"  # of which the user makes the keys


def run(given: list[str]) -> int:
    """Runs one co-training. Returns the exit status."""
    return settings.start("cotrain", [_opened(word) for word in settings.overrides(given, "cotrain")], job)


def _opened(word: str) -> str:
    """Hydra adds new keys only where asked to with a plus."""
    return f"+{word}" if word.startswith((f"{OPEN}=", f"{OPEN}.")) else word


def job(config: DictConfig) -> Path:
    """One co-training; returns the folder with the results. A run that was killed goes on from its last checkpoint."""
    from engine.commands.cotrain_schema import typed

    return training.start(typed(config), _made)


def _made(wanted: "Cotrain") -> Path:
    """The run in one process, of one or several, of which the first alone prints and writes."""
    from engine import hosts, store
    from engine.commands import cotrain_output as output
    from engine.commands import cross_validation, device, metrics
    from engine.commands.progress import Progress
    from engine.commands.sources import mirror_folder, recordings
    from engine.cotrain.division import divide
    from engine.cotrain.run import co_train
    from engine.harmonize.loss import Harmonizer
    from engine.training.co_training import check
    from engine.training.partition import partition
    from models import zoo
    from models.sized import sized

    spec = sized(zoo.spec(wanted.model.name), wanted.model.size)
    plan = _plan(wanted, spec)
    (metric,) = metrics.chosen(wanted.metric)
    mirror = mirror_folder(wanted.mirror)
    store.check_writable(Path(wanted.output))
    device.keep_compiled_programs()
    with Progress(wanted.quiet) as progress:
        with hosts.first_before_others():
            found = recordings(wanted.dataset, mirror, progress.download)
        regions = dict.fromkeys(region for each in found for region in each.regions)
        check(plan.terms, spec.port().layers, regions)
        partition(found, plan.held_out)  # refuses before a picture is decoded
        own = _folder(wanted)
        identity = training.identity(VERSION, wanted, {"responses": [each.digest() for each in found]})
        identity |= {"images": None if own is None else own.identity}
        folder = output.place(wanted, store.key(identity))
        summary = training.done_before(folder, progress, "data", quiet=wanted.quiet)
        if summary is None:
            train = wanted.train
            shown = [_pixels(each, spec, progress) for each in found]
            divided = divide(found, shown, plan, spec, metric, lambda each: cross_validation.split(each, wanted.cv))
            task_pictures = None if own is None else (own.pictures, _decoded(own, spec, progress))
            with hosts.first_before_others():
                model = training.model(wanted, spec, mirror, progress)
            outcome = co_train(
                model,
                divided,
                task_pictures,
                plan,
                Harmonizer(0.0, weight_decay=wanted.task.weight_decay, label_smoothing=wanted.task.label_smoothing),
                training.optimiser(train),
                folder=folder,
                identity=identity,
                stages=progress,
                report=training.told(progress, train.steps, _shown),
            )
            summary = output.summarise(store.key(identity), wanted, plan, found, divided.counts, metric, outcome)
            if hosts.is_first():
                output.write(folder, summary, outcome, spec, [term.name for term in plan.terms])
        others = {
            control: output.place(wanted, store.key(identity | {"control": control}))
            for control in (None, "shuffled", "surrogate")
            if control != wanted.control
        }
    if not wanted.quiet and hosts.is_first():
        output.show(summary, folder, others)
    return folder


def _plan(wanted: "Cotrain", spec: "ModelSpec") -> "Plan":
    """Terms by the layers' own names. InputError where the model has no such layer."""
    from engine.cotrain.plan import Plan
    from engine.predictor import choose_layers
    from engine.training.co_training import Term
    from engine.training.partition import HeldOut

    port, train = spec.port(), wanted.train
    layers = [choose_layers(spec.name, port.layers, port.aliases, term.layer) for term in wanted.terms]
    for term, fitting in zip(wanted.terms, layers, strict=True):
        if len(fitting) > 1:
            raise InputError(f"layer={term.layer} of terms= fits {len(fitting)} layers; give one term for each")
    terms = [Term(**{**asdict(term), "layer": own}) for term, (own,) in zip(wanted.terms, layers, strict=True)]
    scored = wanted.score.layers
    if scored is None:
        scored = [term.layer for term in terms] or "all"
    return Plan(
        course=training.course(wanted),
        terms=terms,
        held_out=HeldOut(
            wanted.held_out.stimuli,
            wanted.held_out.neuroids,
            {column: [str(each) for each in values] for column, values in wanted.held_out.where.items()},
            wanted.held_out.seed,
        ),
        selection=wanted.selection,
        best=wanted.choose == "best",
        control=wanted.control,
        standardise=wanted.standardise,
        layers=choose_layers(spec.name, port.layers, port.aliases, scored),
        task_weight=wanted.task.weight,
        smallest_view=train.smallest_view,
        largest_view=train.largest_view,
        neural_batch=train.neural_batch,
    )


def _pixels(recording: "Recording", spec: "ModelSpec", stages: "Stages") -> np.ndarray:
    from engine.stimuli import WHOLE, pixels

    return pixels(recording, spec, WHOLE, stages)


def _folder(wanted: "Cotrain") -> "Source | None":
    """Task pictures of the user's own."""
    from engine.commands.picture_source import opened

    if wanted.images.source is None or not wanted.task.weight:
        return None
    return opened(wanted.images.source, wanted.images.split, labelled=False)


def _decoded(source: "Source", spec: "ModelSpec", stages: "Stages") -> np.ndarray:
    """As the model takes them."""
    from engine.harmonize.judge import pictures

    advance = stages.stage("decoding task pictures", len(source.pictures), "pictures")
    return pictures(source.pictures, spec.preprocessing, None, advance).images


def _shown(report: "Report") -> Mapping[str, float]:
    terms = {name: value for name, value in report.terms.items() if ":" in name or name == "cross_entropy"}
    return {"score of the selection": report.scores["score"], **terms}
