"""The settings of ``corticalign harmonize`` with their types."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig

from engine.commands import training_schema
from engine.commands.hosts import Hosts
from engine.commands.schema import Weights, check_resize
from engine.commands.structure import structured
from engine.commands.training_schema import Train, at, check_patience, check_training
from engine.errors import InputError
from models.preprocessing import FITS


@dataclass
class Model(training_schema.Model):
    fit: Any = MISSING
    resize: int | None = MISSING


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
    parity: Any = MISSING
    preserve: float = MISSING


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
    hosts: Hosts = field(default_factory=Hosts)


ALLOWED: dict[str, tuple[str | None, ...]] = {
    "model.fit": FITS,
    "labels": ("model", "given"),
    "loss.parity": (None, "released", "training"),
}


def typed(config: DictConfig) -> Harmonize:
    """The composed configuration as typed settings.

    Raises:
        InputError: an unknown key, a value of the wrong type or out of range; names the key.
    """
    settings = structured(Harmonize, config)
    check_training(settings, ALLOWED, {})
    if not 0 < settings.images.share < 1:
        raise InputError(f"images.share={settings.images.share:g}: wanted a share above 0 and below 1")
    check_patience(settings.patience)
    check_resize(settings.model.fit, settings.model.resize)
    if not 0 <= settings.keep_agreement <= 1:
        raise InputError(f"keep_agreement={settings.keep_agreement:g}: wanted a share from 0 to 1")
    for key in ("held_out", "selection"):
        if not 0 < (value := at(settings, key)) < 1:
            raise InputError(f"{key}={value:g}: wanted a share above 0 and below 1")
    return settings
