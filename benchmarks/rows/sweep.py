"""W1: a sweep of models x recordings x metrics against its forward passes and solves alone; again; one metric more."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

from benchmarks.comparison import Entry, say
from benchmarks.rows.recordings import Silent, first, session
from benchmarks.rows.row import Row

ROOT = Path(__file__).parents[2]
MODELS = (
    "alexnet",
    "squeezenet1-0",
    "squeezenet1-1",
    "mobilenet-v2",
    "mobilenet-v3-large",
    "mobilenet-v3-small",
    "efficientnet-lite0",
    "resnet18",
    "cornet-z",
    "vit-tiny-patch16",
    "deit-tiny-patch16",
    "levit-128",
)
QUICK_MODELS = ("alexnet", "squeezenet1-1")
SESSIONS = (190928, 190929, 210305)
STIMULI, QUICK_STIMULI = 400, 40  # of each session, so that the row takes minutes
METRICS, MORE = ("ridge", "cka", "rsa"), "procrustes"
WORKERS = 2  # beside each other, where there is no forward pass to keep all cores busy
BUDGET = 2 * 10**9
MOST, AGAIN, FASTER = 1.15, 10.0, 20.0


def run(quick: bool) -> dict[str, Any]:
    """Each command in a process of its own, from its start to its end, with a cache that is empty at first.

    Alone, nothing but forward passes with their Gram matrices and solves is timed, one after the other; programs are
    compiled once for each model. Weights are random, and in files.
    """
    models = QUICK_MODELS if quick else MODELS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = list(_recordings(folder, QUICK_STIMULI if quick else STIMULI))
        for model in models:
            _weights(folder, model)
        words = ["-m", f"model={','.join(models)}", "weights=${model.name}.safetensors", "dataset=file"]
        words.append(f"dataset.path={','.join(files)}")
        first_run = _entry("sweep", _score(folder, [*words, f"metric=[{','.join(METRICS)}]"]))
        jobs = len(models) * len(files)
        again = _entry("the same again", _score(folder, [*words, f"metric=[{','.join(METRICS)}]"]))
        before = _summaries(folder)
        more = _entry(f"{MORE} in addition", _score(folder, [*words, f"metric={MORE}"]))
        # Other folds, or there would be nothing to do.
        shared = [*words, "cv.seed=1", "launcher=local", f"launcher.workers={WORKERS}", f"metric={MORE}"]
        beside = _entry(f"{MORE} in addition, {WORKERS} workers", _score(folder, shared))
        if _summaries(folder) != before:
            raise RuntimeError("layers were summarised again for another metric")
        passes, solves = 0.0, 0.0
        for model in models:
            for file in files:
                spent = _alone([f"model={model}", f"weights={folder / model}.safetensors", f"dataset={folder / file}"])
                passes, solves = passes + spent[0], solves + spent[1]
    alone = _entry("forward passes and solves alone", passes + solves, ours=False)
    total = first_run["median"]
    factor, faster = total / more["median"], total / beside["median"]
    notes = [
        f"forward passes with Gram matrices {passes:.1f} s, solves {solves:.1f} s: the sweep takes "
        f"{total / alone['median']:.2f}x their sum (to reach {MOST:g}x; solves and passes overlap in it)",
        f"the same again {again['median']:.1f} s (to reach {AGAIN:g} s)",
        f"{MORE} in addition, no forward pass: {factor:.1f}x faster than the first sweep, with {WORKERS} workers "
        f"{faster:.1f}x (to reach {FASTER:g}x)",
    ]
    sizes = {"models": len(models), "recordings": len(files), "jobs": jobs, "metrics": len(METRICS)}
    return {
        "status": "measured",
        "sizes": sizes | {"stimuli of each recording": QUICK_STIMULI if quick else STIMULI},
        "notes": notes,
        "dtype": "float32",
        "entries": [first_run, again, more, beside, alone],
        "goal": None if quick else 1 / MOST,
        "limit": None,
        "ratio": alone["median"] / total,
    }


def _recordings(folder: Path, stimuli: int) -> Iterator[str]:
    """Files of the first stimuli of each session."""
    from engine.recording_file import write

    for number in SESSIONS:
        write(first(session(number), stimuli), folder / f"session{number}.h5")
        yield f"session{number}.h5"


def _weights(folder: Path, model: str) -> None:
    """A file of the model's weights, random ones."""
    from models import zoo
    from models.port import Choice
    from models.trainable import save_weights, trainable

    made = trainable(zoo.spec(model), Choice("random"))
    save_weights(folder / f"{model}.safetensors", made.params, made.statistics, made.spec)


def _score(folder: Path, words: Sequence[str]) -> float:
    """Seconds of ``corticalign score``."""
    environment = {name: value for name, value in os.environ.items() if name != "JAX_ENABLE_COMPILATION_CACHE"}
    environment |= {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "engine.cli", "score", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"corticalign score {' '.join(words)}: {done.stderr[-2000:]}")
    say(f"corticalign score, {words[-1]}: {seconds:.3g} s")
    return seconds


def _summaries(folder: Path) -> dict[str, int]:
    """Every layer summary and when it was written; use marks it with another time, but keeps its inode."""
    return {path.name: path.stat().st_ino for path in (folder / "cache").rglob("summaries/*/*.npz")}


def _alone(words: Sequence[str]) -> tuple[float, float]:
    """Seconds of the forward pass and of the solves of all metrics, pictures decoded and all else made before."""
    from engine.activations import layer_summaries
    from engine.commands import cross_validation, metrics, settings
    from engine.commands.schema import typed
    from engine.commands.sources import recordings
    from engine.stimuli import View, pixels
    from engine.target import target
    from models import zoo
    from models.port import Choice, known, layer_shapes

    wanted = typed(settings.composed(settings.overrides([*words, f"metric=[{','.join(METRICS)}]"])))
    (recording,) = recordings(wanted.dataset, None, None)
    aim = target(recording, cross_validation.split(recording, wanted.cv))
    bound = [metric.bind(aim) for metric in metrics.chosen(wanted.metric)]
    choice = Choice(wanted.weights.source)
    model = _last_model.get(wanted.model.name) or known(zoo.spec(wanted.model.name), choice)
    _last_model.clear()
    _last_model[wanted.model.name] = model
    params = model.params
    images = pixels(recording, model.spec, View(), Silent())
    units = {layer: prod(shape) for layer, shape in layer_shapes(model.spec).items()}
    start = time.perf_counter()
    made = dict(layer_summaries(model.apply, params, units, images, budget=BUDGET))
    middle = time.perf_counter()
    for summary in made.values():
        for measure in bound:
            measure(summary)  # type: ignore[operator]  # of single layers, all three
    return middle - start, time.perf_counter() - middle


_last_model: dict[str, Any] = {}


def _entry(name: str, seconds: float, ours: bool = True) -> dict[str, Any]:
    entry = Entry(name, ours, "", {}, 1.0, "", seconds)
    entry.runs.append(seconds)
    return entry.record()


ROWS = {
    "W1": Row(
        f"{len(MODELS)} models x {len(SESSIONS)} V4 sessions ({STIMULI} stimuli each) x {len(METRICS)} metrics, all "
        "layers",
        "the sum of its forward passes and solves alone",
        1 / MOST,
        f"at most {MOST:g}x the sum; again in {AGAIN:g} s; another metric {FASTER:g}x faster",
        20,
        run,
    )
}
