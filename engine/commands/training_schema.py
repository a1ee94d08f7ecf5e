"""The settings of ``train`` and how settings are checked, for the commands that train."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from engine.commands.hosts import check_hosts
from engine.errors import InputError


@dataclass
class Model:
    name: str = MISSING
    size: int = MISSING


@dataclass
class Train:
    steps: int = MISSING
    batch: int = MISSING
    method: Any = MISSING  # this and those below of any kind are checked against ALLOWED
    learning_rate: float = MISSING
    schedule: Any = MISSING
    warmup: int = MISSING
    momentum: float = MISSING
    weight_decay: float = MISSING
    clip: float | None = MISSING
    accumulate: int = MISSING
    multipliers: list[str] = MISSING  # PATTERN:FACTOR
    smallest_view: float = MISSING
    largest_view: float = MISSING
    statistics: Any = MISSING
    dtype: Any = MISSING
    ema: float | None = MISSING
    remat: bool = MISSING
    seed: int = MISSING


ALLOWED: Mapping[str, tuple[str | None, ...]] = {
    "train.method": ("adamw", "sgd", "natural"),
    "train.schedule": ("constant", "cosine", "published"),
    "train.statistics": ("frozen", "updated"),
    "train.dtype": ("float32", "bfloat16"),
}
LEAST = {"model.size": 16, "train.steps": 1, "train.batch": 2, "train.seed": 0, "every": 1, "keep": 1}


def check_training(settings: Any, allowed: Mapping[str, tuple[str | None, ...]], least: Mapping[str, int]) -> None:
    """Raises InputError where a value is none of those allowed, or too small; names the key.

    ``allowed`` and ``least`` are the command's own, beside ALLOWED and LEAST.
    """
    for key, choices in {**allowed, **ALLOWED}.items():
        if (value := at(settings, key)) not in choices:
            names = ", ".join("null" if each is None else each for each in choices)
            raise InputError(f"{key}={value}: wanted one of {names}")
    for key, smallest in {**LEAST, **least}.items():
        if (value := at(settings, key)) < smallest:
            raise InputError(f"{key}={value}: wanted at least {smallest}")
    check_hosts(settings.hosts)
    multipliers(settings.train.multipliers)
    if (ema := settings.train.ema) is not None and not 0 < ema < 1:
        raise InputError(f"train.ema={ema:g}: wanted a decay above 0 and below 1, such as 0.999, or null")
    smallest, largest = settings.train.smallest_view, settings.train.largest_view
    if not 0 < smallest <= largest <= 1:
        raise InputError(
            f"train.smallest_view={smallest:g}, train.largest_view={largest:g}: wanted shares above 0 and at most 1, "
            "the smallest first"
        )


def check_patience(patience: int | None) -> None:
    """Raises InputError where judgements without a new best are none."""
    if patience is not None and patience < 1:
        raise InputError(f"patience={patience}: wanted null or at least 1")


def multipliers(given: Sequence[str]) -> dict[str, float]:
    """Pattern -> factor. Raises InputError where one is not PATTERN:FACTOR."""
    found = {}
    for word in given:
        pattern, _, factor = word.rpartition(":")
        try:
            found[pattern] = float(factor)
        except ValueError:
            pattern = ""
        if not pattern:
            raise InputError(f"train.multipliers: '{word}' is not PATTERN:FACTOR, such as 'features.0*:0.1'")
    return found


def at(settings: Any, key: str) -> Any:
    """The value of a dotted key."""
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings
