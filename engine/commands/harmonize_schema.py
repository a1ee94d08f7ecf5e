"""The settings of ``corticalign harmonize`` with their types."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from engine.commands.schema import Weights
from engine.errors import InputError


@dataclass
class Model:
    name: str = MISSING
    size: int = MISSING


@dataclass
class Maps:
    source: str = MISSING
    sigma: float = MISSING


@dataclass
class Images:
    source: str | None = MISSING
    split: str = MISSING
    share: float = MISSING


@dataclass
class Loss:
    map_weight: float = MISSING
    weight_decay: float = MISSING
    label_smoothing: float = MISSING
    levels: int = MISSING
    parity: Any = MISSING  # checked by the loss
    preserve: float = MISSING


@dataclass
class Train:
    steps: int = MISSING
    batch: int = MISSING
    method: Any = MISSING  # this and the schedule are checked by the optimiser
    learning_rate: float = MISSING
    schedule: Any = MISSING
    warmup: int = MISSING
    momentum: float = MISSING
    weight_decay: float = MISSING
    clip: float | None = MISSING
    accumulate: int = MISSING
    multipliers: list[str] = MISSING  # PATTERN:FACTOR
    smallest_view: float = MISSING
    statistics: Any = MISSING  # checked against ALLOWED
    dtype: Any = MISSING
    ema: float | None = MISSING
    remat: bool = MISSING
    seed: int = MISSING


@dataclass
class Harmonize:
    model: Model = field(default_factory=Model)
    weights: Weights = field(default_factory=Weights)
    maps: Maps = field(default_factory=Maps)
    images: Images = field(default_factory=Images)
    labels: Any = MISSING
    held_out: float = MISSING
    selection: float = MISSING
    keep_agreement: float = MISSING
    loss: Loss = field(default_factory=Loss)
    train: Train = field(default_factory=Train)
    every: int = MISSING
    patience: int | None = MISSING
    keep: int = MISSING
    mirror: str | None = None
    output: str = MISSING
    quiet: bool = MISSING


ALLOWED = {
    "labels": ("model", "given"),
    "train.statistics": ("frozen", "updated"),
    "train.dtype": ("float32", "bfloat16"),
}
LEAST = {"model.size": 16, "train.steps": 1, "train.batch": 2, "train.seed": 0, "every": 1, "keep": 1}


def typed(config: DictConfig) -> Harmonize:
    """The composed configuration as typed settings.

    Raises:
        InputError: a value of the wrong type or out of range; names the key.
    """
    try:
        settings = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Harmonize), config))
    except OmegaConfBaseException as error:
        raise InputError(f"cannot use the settings: {' '.join(str(error).split())}") from error
    assert isinstance(settings, Harmonize)
    for key, allowed in ALLOWED.items():
        if (value := _at(settings, key)) not in allowed:
            raise InputError(f"{key}={value}: wanted one of {', '.join(allowed)}")
    for key, least in LEAST.items():
        if (value := _at(settings, key)) < least:
            raise InputError(f"{key}={value}: wanted at least {least}")
    multipliers(settings.train.multipliers)
    if not 0 < settings.train.smallest_view <= 1:
        raise InputError(f"train.smallest_view={settings.train.smallest_view:g}: wanted a share above 0, at most 1")
    if not 0 < settings.images.share < 1:
        raise InputError(f"images.share={settings.images.share:g}: wanted a share above 0 and below 1")
    if settings.patience is not None and settings.patience < 1:
        raise InputError(f"patience={settings.patience}: wanted null or at least 1")
    if not 0 <= settings.keep_agreement <= 1:
        raise InputError(f"keep_agreement={settings.keep_agreement:g}: wanted a share from 0 to 1")
    for key in ("held_out", "selection"):
        if not 0 < (value := _at(settings, key)) < 1:
            raise InputError(f"{key}={value:g}: wanted a share above 0 and below 1")
    return settings


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


def _at(settings: Harmonize, key: str) -> Any:
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value
