"""What the commands that train have in common: how they are started, what a run is known by, its optimiser."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from engine.commands import settings
from engine.errors import InputError

if TYPE_CHECKING:
    from engine.commands.training_schema import Train
    from engine.training.optimiser import Settings
    from models.spec import ModelSpec

NUMBERS_DO_NOT_DEPEND_ON = ("mirror", "output", "quiet", "keep")


def start(command: str, words: list[str], job: Callable[[DictConfig], Path]) -> int:
    """Runs one job of the command with these overrides. Returns the exit status."""
    settings.check(words, command)
    settings.set_arguments(words, command)
    failed: list[str] = []

    def task(config: DictConfig) -> None:
        # An InputError must not reach Hydra, which would print a traceback.
        try:
            job(config)
        except InputError as error:
            print(f"corticalign: error: {error}", file=sys.stderr)
            failed.append(str(error))

    import hydra

    hydra.main(config_path=str(settings.config_folder()), config_name=command, **settings.VERSION_BASE)(task)()
    return 2 if failed else 0


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


def sized(name: str, size: int) -> "ModelSpec":
    """A model of the zoo that takes images of so many pixels a side."""
    from models import zoo

    spec = zoo.spec(name)
    return replace(spec, preprocessing=replace(spec.preprocessing, size=size, resize=None))


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
