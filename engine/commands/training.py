"""What the commands that train have in common: what a run is known by, its optimiser, how it is shown and ended."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from engine.commands.hosts import Hosts, together

if TYPE_CHECKING:
    from engine.commands.progress import Progress
    from engine.commands.training_schema import Train
    from engine.training.account import Report
    from engine.training.course import Course
    from engine.training.optimiser import Settings
    from models.spec import ModelSpec
    from models.trainable import Trainable

SUMMARY, WEIGHTS = "summary.json", "weights.safetensors"
NUMBERS_DO_NOT_DEPEND_ON = ("mirror", "output", "quiet", "keep", "hosts")


class Wanted(Protocol):
    """Settings of any command that trains."""

    hosts: Hosts


W = TypeVar("W", bound=Wanted)


def start(wanted: W, made: Callable[[W], Path]) -> Path:
    """Does the run that the settings ask for, alone or in all processes that ``hosts`` names."""
    return made(wanted) if wanted.hosts.coordinator is None else together(wanted.hosts, partial(made, wanted))


def identity(version: str, wanted: Any, more: Mapping[str, object]) -> dict[str, Any]:
    """All that the numbers of a run depend on: its settings, a weight file by its content, and ``more``."""
    from models.weights.sources import sha256_of

    own = asdict(wanted)
    file = Path(wanted.weights.source).expanduser()
    return (
        {"version": version, **more}
        | {name: own[name] for name in own if name not in NUMBERS_DO_NOT_DEPEND_ON}
        | ({"weight file": sha256_of(file)} if file.is_file() else {})
    )


def done_before(folder: Path, progress: "Progress", data: str, *, quiet: bool) -> dict[str, Any] | None:
    """The summary of the same run, where there is one; says so. ``data`` is what it was trained on, in a word."""
    from engine import hosts

    if not hosts.from_first((folder / SUMMARY).is_file()):
        return None
    if not quiet:
        progress.say(f"done before with the same model, {data} and settings; nothing was done again")
    found: dict[str, Any] = json.loads((folder / SUMMARY).read_text())
    return found


def model(wanted: Any, spec: "ModelSpec", mirror: Path | None, progress: "Progress") -> "Trainable":
    """The model with the weights asked for, in the precision asked for."""
    import jax.numpy as jnp

    from engine.fetch import default_cache
    from models.port import Choice
    from models.trainable import trainable
    from models.weights.sources import Places

    choice = Choice(wanted.weights.source, wanted.weights.names, wanted.weights.seed)
    dtype = None if wanted.train.dtype == "float32" else jnp.bfloat16
    return trainable(spec, choice, Places(default_cache(), mirror, progress.download), dtype=dtype)


def optimiser(train: "Train") -> "Settings":
    """The optimiser's part of the settings."""
    from engine.commands.training_schema import multipliers
    from engine.training.optimiser import Settings

    return Settings(
        train.method,
        train.learning_rate,
        train.schedule,
        train.warmup,
        train.momentum,
        train.weight_decay,
        train.clip,
        train.accumulate,
        multipliers(train.multipliers),
    )


def course(wanted: Any) -> "Course":
    """What all trainings are told alike."""
    from engine.training.course import Course

    train = wanted.train
    return Course(
        steps=train.steps,
        batch=train.batch,
        every=wanted.every,
        keep=wanted.keep,
        frozen_statistics=train.statistics == "frozen",
        ema=train.ema,
        remat=train.remat,
        seed=train.seed,
    )


def told(
    progress: "Progress", steps: int, shown: Callable[["Report"], Mapping[str, float]]
) -> Callable[["Report"], None]:
    """For every step: moves a bar, and prints a line of what is ``shown`` of a judgement."""
    advance = progress.stage("training", steps, "steps")
    done = 0

    def tell(report: "Report") -> None:
        nonlocal done
        advance(report.step - done)
        done = report.step
        if report.scores:
            numbers = ", ".join(f"{name} {value:.3f}" for name, value in shown(report).items())
            progress.tell(f"step {report.step}: {numbers}")
        if report.stopped:
            progress.say(report.stopped)

    return tell


def save(folder: Path, params: Any, statistics: Any, spec: "ModelSpec") -> None:
    """Writes the weights, in place of those of a run that was killed while it wrote."""
    from models.trainable import save_weights

    weights = folder / WEIGHTS
    weights.unlink(missing_ok=True)
    save_weights(weights, params, statistics, spec)


def complete(folder: Path, summary: Mapping[str, Any]) -> None:
    """Writes the summary, last of all, so that a folder with one is complete; the checkpoints go."""
    text = json.dumps(summary, indent=1, allow_nan=False, default=str)
    temporary = folder / f".{SUMMARY}"
    temporary.write_text(text + "\n")
    temporary.replace(folder / SUMMARY)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # the weights are what is left of them
