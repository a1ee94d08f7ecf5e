"""``corticalign score``: settings in, a folder of results out."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig

from engine.commands import settings
from engine.commands.schema import Score
from engine.errors import InputError
from engine.store.layout import STORE
from engine.sweep import plan

BEFORE = "computed before with the same model, data and settings; nothing was done again"
FAILED: list[str] = []  # filled by a job that ended in an InputError


def run(given: list[str]) -> int:
    """Runs the job, or one for every combination with ``-m``. Returns the exit status."""
    words = settings.overrides(given)
    if plan.is_sweep(words):
        from engine.commands import sweep

        return sweep.start(words)
    settings.check(words)
    settings.set_arguments(words)
    FAILED.clear()
    import hydra

    hydra.main(config_path=str(settings.config_folder()), config_name="score", **settings.VERSION_BASE)(_task)()
    return 2 if FAILED else 0


def _task(config: DictConfig) -> None:
    try:  # an InputError must not reach Hydra, which would print a traceback
        job(config)
    except InputError as error:
        print(f"corticalign: error: {error}", file=sys.stderr)
        FAILED.append("the job")


def job(config: DictConfig) -> Path:
    """One model against one data set; returns the folder with the results.

    Everything the user gave is checked before the first image is shown to the model. Layer summaries are kept as
    they are made and finished results are never made twice, so a job that was killed continues.
    """
    from engine.commands.schema import typed

    wanted = typed(config)
    if (folder := _answered(wanted)) is not None:
        return folder

    from engine import job as engine_job
    from engine import store
    from engine.commands import cross_validation, device, metrics, output
    from engine.commands.asked import request
    from engine.commands.predictor import prepared
    from engine.commands.progress import Progress
    from engine.commands.sources import mirror_folder, recordings
    from engine.fetch import default_cache
    from engine.field_of_view import check_known
    from engine.score import Correction
    from engine.store import requests
    from engine.target import target
    from models.weights.sources import Places

    load = prepared(wanted)
    measures = metrics.chosen(wanted.metric)
    mirror = mirror_folder(wanted.mirror)
    root = Path(wanted.output)
    store.check_writable(root)
    store.size_limit()
    device.keep_compiled_programs()
    with Progress(wanted.quiet) as progress:
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
        predictor = load(Places(default_cache(), mirror, progress.download))
        engine_job.check_layers(measures, bound, predictor.layers)
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
        if (folder / output.SUMMARY).is_file():
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
                budget=int(wanted.memory.budget * 1e9),
                stages=progress,
                store=root / STORE,
                wanted=results,
            )
            summary = output.summarise(key, wanted, predictor, found, targets, measures, correction, outcome)
            output.write(folder, summary, outcome)
        if (asked := request(wanted)) is not None:
            requests.remember(root, root / STORE, asked, folder)
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
