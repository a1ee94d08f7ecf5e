"""The settings of ``corticalign cotrain`` with their types."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig

from engine.commands.hosts import Hosts
from engine.commands.metrics import check
from engine.commands.schema import Weights
from engine.commands.structure import structured
from engine.commands.training_schema import Model, Train, check_training
from engine.errors import InputError


@dataclass
class Term:
    """Checked by :func:`engine.training.co_training.check`."""

    layer: str = ""
    region: str = ""
    kind: str = "log_cka"
    weight: float = 1.0
    warm_up: int = 0
    ramp: str = "step"


@dataclass
class HeldOut:
    stimuli: float = MISSING
    neuroids: float = MISSING
    where: dict[str, list[Any]] = MISSING
    seed: int = MISSING


@dataclass
class Task:
    weight: float = MISSING
    label_smoothing: float = MISSING
    weight_decay: float = MISSING


@dataclass
class Images:
    source: str | None = MISSING
    split: str = MISSING


@dataclass
class Score:
    layers: Any = MISSING


@dataclass
class NeuralTrain(Train):
    neural_batch: int = MISSING


@dataclass
class Cotrain:
    """``dataset`` stays open, because each data set has options of its own."""

    model: Model = field(default_factory=Model)
    weights: Weights = field(default_factory=Weights)
    dataset: dict[str, Any] = field(default_factory=dict)
    metric: dict[str, Any] = field(default_factory=dict)  # name -> its settings
    cv: Any = MISSING
    terms: list[Term] = field(default_factory=list)
    standardise: bool = MISSING
    control: Any = MISSING  # checked against ALLOWED
    held_out: HeldOut = field(default_factory=HeldOut)
    selection: float = MISSING
    choose: Any = MISSING
    task: Task = field(default_factory=Task)
    images: Images = field(default_factory=Images)
    score: Score = field(default_factory=Score)
    train: NeuralTrain = field(default_factory=NeuralTrain)
    every: int = MISSING
    keep: int = MISSING
    mirror: str | None = None
    output: str = MISSING
    quiet: bool = MISSING
    hosts: Hosts = field(default_factory=Hosts)


ALLOWED: dict[str, tuple[str | None, ...]] = {
    "control": (None, "shuffled", "surrogate"),
    "choose": ("last", "best"),
}
LEAST = {"held_out.seed": 0}


def typed(config: DictConfig) -> Cotrain:
    """The composed configuration as typed settings.

    Raises:
        InputError: an unknown key, a value of the wrong type or out of range; names the key.
    """
    settings = structured(Cotrain, config)
    check_training(settings, ALLOWED, LEAST)
    for number, term in enumerate(settings.terms):
        for name in ("layer", "region"):
            if not getattr(term, name):
                raise InputError(
                    f"term {number + 1} of terms= has no {name}; wanted such as terms=[{{layer:block11,region:V4}}]"
                )
    if not 0 < settings.selection < 1:
        raise InputError(f"selection={settings.selection:g}: wanted a share above 0 and below 1")
    if not 0 <= settings.task.weight < float("inf"):
        raise InputError(f"task.weight={settings.task.weight:g}: wanted 0 or more")
    if len(settings.metric) != 1:
        raise InputError(f"metric={','.join(settings.metric)}: wanted one metric, that of the scores")
    for name, metric in settings.metric.items():
        check(name, metric)
    return settings
