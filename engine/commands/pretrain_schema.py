"""The settings of ``corticalign pretrain`` with their types."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from engine.commands.hosts import Hosts
from engine.commands.schema import Weights
from engine.commands.structure import part, structured
from engine.commands.training_schema import Model, Train, check_patience, check_training
from engine.errors import InputError, unknown


@dataclass
class Simclr:
    kind: str = MISSING
    temperature: float = MISSING
    jitter: float = MISSING


@dataclass
class Vae:
    """Checked by :func:`engine.training.vae.vae`."""

    kind: str = MISSING
    beta: float = MISSING
    likelihood: Any = MISSING
    sigma: float = MISSING


@dataclass
class Images:
    source: str | None = MISSING
    split: str = MISSING


@dataclass
class Pretrain:
    objective: Any = MISSING
    model: Model = field(default_factory=Model)
    weights: Weights = field(default_factory=Weights)
    images: Images = field(default_factory=Images)
    held_out: float = MISSING
    train: Train = field(default_factory=Train)
    every: int = MISSING
    patience: int | None = MISSING
    keep: int = MISSING
    mirror: str | None = None
    output: str = MISSING
    quiet: bool = MISSING
    hosts: Hosts = field(default_factory=Hosts)


KINDS: dict[str, type[Simclr | Vae]] = {"simclr": Simclr, "vae": Vae}


def typed(config: DictConfig) -> Pretrain:
    """The composed configuration as typed settings.

    Raises:
        InputError: an unknown key, a value of the wrong type or out of range; names the key.
    """
    settings = structured(Pretrain, config)
    if (kind := config.objective.kind) not in KINDS:
        raise unknown("objective", str(kind), KINDS)
    settings.objective = OmegaConf.to_object(part(KINDS[kind], config.objective, "objective."))
    check_training(settings, {}, {})
    check_patience(settings.patience)
    if not 0 < settings.held_out < 1:
        raise InputError(f"held_out={settings.held_out:g}: wanted a share above 0 and below 1")
    if isinstance(settings.objective, Simclr):
        if not 0 < settings.objective.temperature < float("inf"):
            raise InputError(f"objective.temperature={settings.objective.temperature:g}: wanted a number above 0")
        if not 0 <= settings.objective.jitter <= 2:
            raise InputError(f"objective.jitter={settings.objective.jitter:g}: wanted a strength from 0 to 2")
    return settings
