"""W2 and W3: ten thousand results in the store: what ``corticalign results`` takes, and a sweep that is all done."""

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from benchmarks.comparison import Contender, compare
from benchmarks.rows.row import Row

ROOT = Path(__file__).parents[2]
RESULTS, QUICK = 10_000, 60
MODELS = ("alexnet", "efficientnet-lite0", "resnet18", "vgg11")
METRICS = ("ridge", "cka")
LAYERS = 18
LISTING, RESUMING = 1.0, 10.0  # seconds


def listing(quick: bool) -> dict[str, Any]:
    """``corticalign results`` of one model and metric among all, from its start to its end."""
    with tempfile.TemporaryDirectory() as folder:
        count = QUICK if quick else RESULTS
        _fill_results(Path(folder) / "results" / "store", count)
        words = ["results", "model=alexnet", "region=V4", "layer=layer3"]
        found = _measured("corticalign results", Path(folder), words, quick, LISTING)
    return {"sizes": {"results": count, "rows": count * (LAYERS + 1)}, **found}


def resuming(quick: bool) -> dict[str, Any]:
    """``corticalign score -m`` of jobs that are all done, from its start to its end."""
    seeds = (QUICK if quick else RESULTS) // len(MODELS)
    words = ["-m", f"model={','.join(MODELS)}", f"cv.seed=range(0,{seeds})", f"metric=[{','.join(METRICS)}]"]
    with tempfile.TemporaryDirectory() as folder:
        count = _fill_answers(Path(folder), words)
        found = _measured("corticalign score -m", Path(folder), ["score", *words], quick, RESUMING)
    return {"sizes": {"jobs": count}, **found}


def _measured(name: str, folder: Path, words: Sequence[str], quick: bool, limit: float) -> dict[str, Any]:
    run = partial(_command, folder, words)
    found = compare([Contender(name, run)], [], dtype="float32", cost={}, quick=quick, goal=1.0)
    found["other_work_cores"] = None  # it would count the command, which is a process of its own
    found["ratio"] = limit / found["entries"][0]["median"]  # how many times faster than it has to be
    return found


def _command(folder: Path, words: Sequence[str]) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    done_before = "0 jobs" in done.stderr or words[0] != "score"
    if done.returncode or not done_before:
        raise RuntimeError(f"corticalign {' '.join(words)}: {(done.stderr or done.stdout)[-2000:]}")


def _fill_results(store: Path, count: int) -> None:
    """The small tables of so many results, as files and in the index, written without waiting for the disk."""
    from engine.store.index import index_of, write_index
    from engine.store.results import Result, layers_table

    (store / "layers").mkdir(parents=True)
    names = [f"layer{number}" for number in range(LAYERS)]
    layers = pd.DataFrame({"metric": "ridge", "region": "V4", "layer": names, "depth": range(LAYERS)}).assign(
        score=0.5, low=0.4, high=0.6, ceiling=0.9, ceiled=0.3, targets=30, targets_with_ceiling=30
    )
    best = layers.iloc[:1].drop(columns="depth").assign(chosen=[{"layer3": 5}])
    tables = []
    for number in range(count):
        result = Result({"number": number}, MODELS[number % len(MODELS)], f"data/{number // len(MODELS)}", "ridge")
        table = layers_table(result, layers, best, measure="r", convention="r")
        content = io.BytesIO()
        pq.write_table(table, content, compression="zstd")
        name = f"{result.key}-00000000.parquet"
        (store / "layers" / name).write_bytes(content.getbuffer())
        tables.append((name, table))
    write_index(store, index_of(tables))


def _fill_answers(folder: Path, words: Sequence[str]) -> int:
    """What finished jobs leave by which they are known again, for every job of the sweep; returns how many.

    Settings are composed once for each model; that the others are as they would be composed is checked on the last.
    """
    from engine.commands import asked, settings
    from engine.commands.schema import typed
    from engine.store import requests
    from engine.sweep import plan

    root = folder / "results"
    for kind in ("rows", "layers"):
        (root / "store" / kind).mkdir(parents=True)
    jobs = plan.jobs(plan.launcher_words(settings.overrides(words))[1])
    composed: dict[str, Any] = {}
    found = None
    for job in jobs:
        seed = next(word for word in job.words if word.startswith("cv.seed="))
        model = next(word for word in job.words if word.startswith("model.name="))
        if model not in composed:
            composed[model] = typed(settings.composed(job.words))
        wanted = composed[model]
        wanted.cv.seed = int(seed.partition("=")[2])
        found = asked.asked(wanted)
        assert found is not None
        place = root / "sim" / job.name
        place.mkdir(parents=True)
        (place / "summary.json").write_text("{}")
        asked.remember(job.words, wanted, root / "store")
        request = requests.request_key(found.settings, found.files)
        assert request is not None
        kept = [f"{kind}/{job.name}-{metric}.parquet" for kind in ("rows", "layers") for metric in METRICS]
        for name in kept:  # looked for, not read
            (root / "store" / name).touch()
        requests.remember(root, root / "store", request, place, kept)
    if asked.asked(typed(settings.composed(jobs[-1].words))) != found:
        raise RuntimeError("settings of the last job differ from those composed")
    return len(jobs)


ROWS = {
    "W2": Row(f"corticalign results, {RESULTS:,} results", "a limit", 1.0, f"under {LISTING:g} s", 2, listing),
    "W3": Row(f"a sweep of {RESULTS:,} jobs, all done before", "a limit", 1.0, f"under {RESUMING:g} s", 2, resuming),
}
