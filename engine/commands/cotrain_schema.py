"""The settings of ``corticalign cotrain`` with their types."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from engine.commands.harmonize_schema import multipliers
from engine.commands.metrics import METRICS, check
from engine.commands.schema import CV, Weights
from engine.errors import InputError


@dataclass
class Model:
    name: str = MISSING
    size: int = MISSING


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


@dataclass
class Score:
    layers: Any = MISSING


@dataclass
class Train:
    steps: int = MISSING
    batch: int = MISSING
    neural_batch: int = MISSING
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
    train: Train = field(default_factory=Train)
    every: int = MISSING
    keep: int = MISSING
    mirror: str | None = None
    output: str = MISSING
    quiet: bool = MISSING


ALLOWED: dict[str, tuple[str | None, ...]] = {
    "control": (None, "shuffled", "surrogate"),
    "choose": ("last", "best"),
    "train.statistics": ("frozen", "updated"),
    "train.dtype": ("float32", "bfloat16"),
}
LEAST = {
    "model.size": 16,
    "train.steps": 1,
    "train.batch": 2,
    "train.seed": 0,
    "held_out.seed": 0,
    "every": 1,
    "keep": 1,
}


def typed(config: DictConfig) -> Cotrain:
    """The composed configuration as typed settings.

    Raises:
        InputError: a value of the wrong type or out of range; names the key.
    """
    try:
        kind = config.cv.kind
        merged = OmegaConf.merge(OmegaConf.structured(Cotrain), config)
        merged.cv = OmegaConf.merge(OmegaConf.structured(CV[kind]), config.cv)
        for name, given in config.metric.items():
            merged.metric[name] = OmegaConf.merge(OmegaConf.structured(METRICS[str(name)]), given)
        settings = OmegaConf.to_object(merged)
    except KeyError as error:
        raise InputError(f"cv.kind={config.cv.kind}: wanted one of {', '.join(CV)}") from error
    except OmegaConfBaseException as error:
        raise InputError(f"cannot use the settings: {' '.join(str(error).split())}") from error
    assert isinstance(settings, Cotrain)
    for key, allowed in ALLOWED.items():
        if (value := _at(settings, key)) not in allowed:
            raise InputError(
                f"{key}={value}: wanted one of {', '.join('null' if each is None else each for each in allowed)}"
            )
    for key, least in LEAST.items():
        if (value := _at(settings, key)) < least:
            raise InputError(f"{key}={value}: wanted at least {least}")
    for number, term in enumerate(settings.terms):
        for name in ("layer", "region"):
            if not getattr(term, name):
                raise InputError(
                    f"term {number + 1} of terms= has no {name}; wanted such as terms=[{{layer:block11,region:V4}}]"
                )
    multipliers(settings.train.multipliers)
    if not 0 < settings.train.smallest_view <= 1:
        raise InputError(f"train.smallest_view={settings.train.smallest_view:g}: wanted a share above 0, at most 1")
    if not 0 < settings.selection < 1:
        raise InputError(f"selection={settings.selection:g}: wanted a share above 0 and below 1")
    if not 0 <= settings.task.weight < float("inf"):
        raise InputError(f"task.weight={settings.task.weight:g}: wanted 0 or more")
    if len(settings.metric) != 1:
        raise InputError(f"metric={','.join(settings.metric)}: wanted one metric, that of the scores")
    for name, metric in settings.metric.items():
        check(name, metric)
    return settings


def _at(settings: Cotrain, key: str) -> Any:
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value
