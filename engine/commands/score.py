"""``corticalign score``: settings in, a folder of results out."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from engine.commands import settings
from engine.commands.schema import Score
from engine.errors import InputError
from engine.store.layout import STORE
from engine.sweep import plan

BEFORE = "computed before with the same model, data and settings; nothing was done again"


def run(given: list[str]) -> int:
    """Runs the job, or one for every combination with ``-m``. Returns the exit status."""
    words = settings.overrides(given)
    if plan.is_sweep(words):
        if any(word.startswith("hosts.") for word in words):
            raise InputError("hosts= is of one job in several processes, and -m of many; give one or the other")
        from engine.commands import sweep

        return sweep.start(words)
    return settings.start("score", words, job)


def job(config: DictConfig) -> Path:
    """One model against one data set; returns the folder with the results."""
    from engine.commands.schema import typed

    return scored(typed(config))


def scored(wanted: Score, cut: int = 1) -> Path:
    """One model against one data set; returns the folder with the results.

    Everything the user gave is checked before the first image is shown to the model. Layer summaries are kept as
    they are made and finished results are never made twice, so a job that was killed continues.

    Args:
        cut: how many times smaller than usual passes and blocks are made, after a job was killed; changes no number.
    """
    if wanted.hosts.coordinator is None:
        if (folder := _answered(wanted)) is not None:
            return folder
        try:
            return _made(wanted, cut)
        except (MemoryError, RuntimeError, ValueError) as error:
            from engine.memory import shortage

            if not shortage.ran_out(error):
                raise
            raise InputError(
                f"memory ran out ({shortage.reason(error)}); choose a smaller model, run fewer jobs side by side, or "
                "use a machine with more memory"
            ) from error
    from engine.commands.hosts import together

    return together(wanted.hosts, partial(_in_several_processes, wanted))


def _in_several_processes(wanted: Score) -> Path:
    """The part of one of them."""
    from engine import hosts

    answered = _answered(wanted) if hosts.is_first() else None
    folder = hosts.from_first(None if answered is None else str(answered))
    return _made(wanted) if folder is None else Path(folder)


def _made(wanted: Score, cut: int = 1) -> Path:
    from engine import hosts, layer_scores, store
    from engine import job as engine_job
    from engine.commands import cross_validation, device, metrics, output
    from engine.commands.asked import request
    from engine.commands.predictor import prepared
    from engine.commands.progress import Progress
    from engine.commands.sources import mirror_folder, recordings
    from engine.fetch import default_cache
    from engine.field_of_view import check_known
    from engine.score import Correction
    from engine.store import requests
    from engine.store.atomic import tidy
    from engine.target import target
    from models.weights.sources import Places

    load = prepared(wanted)
    measures = metrics.chosen(wanted.metric)
    mirror = mirror_folder(wanted.mirror)
    root = Path(wanted.output)
    if hosts.is_first():
        store.check_writable(root)
    store.size_limit()
    device.keep_compiled_programs()
    with Progress(wanted.quiet) as progress:
        with hosts.first_before_others():
            found = recordings(wanted.dataset, mirror, progress.download)
        check_known(found, wanted.model.visual_degrees if wanted.features is None else None)
        regions = None if wanted.regions == "all" else [str(region) for region in wanted.regions]
        targets = [
            target(
                each,
                cross_validation.split(each, wanted.cv),
                regions,
                estimator=wanted.ceiling.estimator,
                threshold=wanted.ceiling.threshold,
            )
            for each in found
        ]
        bound = [[measure.bind(each) for measure in measures] for each in targets]  # refuses what it cannot score
        for each in targets:
            if each.excluded:
                progress.say(output.exclusions(each))
        with hosts.first_before_others():
            predictor = load(Places(default_cache(), mirror, progress.download))
        engine_job.check_layers(measures, bound, predictor.layers)
        budget = int(wanted.memory.budget * 1e9)
        for recording, aim, own in zip(found, targets, bound, strict=True):
            if not predictor.known(recording):  # before a picture is decoded; what is known may be stored as well
                layer_scores.check_memory(
                    predictor, recording, aim, measures, own, cache=default_cache(), budget=budget // cut
                )
        correction = Correction(wanted.ceiling.convention, wanted.ceiling.aggregate)
        results = [
            engine_job.results_of(predictor, *pair, measures, asdict(wanted.ceiling), progress)
            for pair in zip(found, targets, strict=True)
        ]
        key = store.key(
            {
                "results": [[each.key for each in row] for row in results],
                "ceiling": asdict(wanted.ceiling),
                "version": output.VERSION,
            }
        )
        name = wanted.dataset["name"] if wanted.dataset["name"] != "file" else found[0].name
        folder = root / str(name) / f"{predictor.name}-{key[:10]}"
        kept = engine_job.kept(results, measures, correction)
        complete = [folder / output.SUMMARY, *(root / STORE / name for name in kept)]
        known = hosts.from_first(all(path.is_file() for path in complete))
        if not hosts.is_first():
            if not known:
                pairs = list(zip(found, bound, strict=True))
                engine_job.assist(predictor, pairs, cache=default_cache(), budget=budget, stages=progress)
            return folder
        if known:
            summary = json.loads((folder / output.SUMMARY).read_text())
            if not wanted.quiet:
                progress.say(BEFORE)
        else:
            outcome = engine_job.run(
                predictor,
                list(zip(found, targets, bound, strict=True)),
                measures,
                correction=correction,
                cache=default_cache(),
                budget=budget,
                stages=progress,
                store=root / STORE,
                wanted=results,
                cut=cut,
            )
            summary = output.summarise(key, wanted, predictor, found, targets, measures, correction, outcome)
            output.write(folder, summary, outcome)
            for place in (folder.parent, *(root / STORE / kind for kind in ("rows", "layers", "jobs"))):
                tidy(place, "")  # what killed jobs were writing
        if (asked := request(wanted)) is not None:
            requests.remember(root, root / STORE, asked, folder, kept)
    if not wanted.quiet:
        output.show(summary, folder)
    return folder


def _answered(wanted: Score) -> Path | None:
    """The folder of a job that was asked and finished before, after its tables are printed; JAX is not imported."""
    from engine.commands import output
    from engine.commands.asked import request
    from engine.commands.progress import Progress
    from engine.store import requests

    root = Path(wanted.output)
    asked = request(wanted)
    folder = None if asked is None else requests.find(root, root / STORE, asked, output.SUMMARY)
    if folder is not None and not wanted.quiet:
        with Progress(wanted.quiet) as progress:
            progress.say(BEFORE)
        output.show(json.loads((folder / output.SUMMARY).read_text()), folder)
    return folder
