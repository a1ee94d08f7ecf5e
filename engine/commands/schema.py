"""The settings of ``corticalign score`` with their types. A value of another type is refused before any work."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig

from engine.commands.hosts import Hosts, check_hosts
from engine.commands.metrics import OF_MAPS, OF_UNITS, check
from engine.commands.structure import structured
from engine.errors import InputError
from models.preprocessing import FITS


@dataclass
class Model:
    name: str = MISSING
    entry: str | None = None
    size: int | None = MISSING
    fit: Any = MISSING  # checked against ALLOWED
    resize: int | None = MISSING
    visual_degrees: float | None = MISSING


@dataclass
class Weights:
    source: str = MISSING
    names: str | None = None
    seed: int = MISSING


@dataclass
class Reduction:
    kind: Any = MISSING  # checked against ALLOWED
    size: int = MISSING
    seed: int = MISSING
    images: str | None = None


@dataclass
class Ceiling:
    estimator: Any = MISSING  # checked against ALLOWED
    convention: Any = MISSING
    aggregate: bool = MISSING
    threshold: float | None = MISSING


@dataclass
class Memory:
    budget: float = MISSING


@dataclass
class Score:
    """Everything under one roof; ``dataset`` stays open, because each data set has options of its own."""

    model: Model = field(default_factory=Model)
    weights: Weights = field(default_factory=Weights)
    features: str | None = None
    reduction: Reduction = field(default_factory=Reduction)
    dataset: dict[str, Any] = field(default_factory=dict)
    metric: dict[str, Any] = field(default_factory=dict)  # name -> its settings (engine.commands.metrics)
    cv: Any = MISSING
    ceiling: Ceiling = field(default_factory=Ceiling)
    layers: Any = MISSING
    regions: Any = MISSING
    mirror: str | None = None
    output: str = MISSING
    quiet: bool = MISSING
    memory: Memory = field(default_factory=Memory)
    hosts: Hosts = field(default_factory=Hosts)


ALLOWED = {
    "model.fit": FITS,
    "reduction.kind": ("none", "mean", "subset", "projection", "pca"),
    "ceiling.estimator": ("split_half", "internal_consistency", "noise_ceiling"),
    "ceiling.convention": ("r", "r/sqrt(c)", "(r/c)^2", "r^2/c", "r|r|/c"),
}


def typed(config: DictConfig) -> Score:
    """The composed configuration as typed settings.

    Raises:
        InputError: an unknown key, a value of the wrong type or out of range; names the key.
    """
    settings = structured(Score, config)
    for key, allowed in ALLOWED.items():
        group, name = key.split(".")
        value = getattr(getattr(settings, group), name)
        if value not in allowed:
            raise InputError(f"{key}={value}: wanted one of {', '.join(allowed)}")
    for key in ("layers", "regions"):
        value = getattr(settings, key)
        if key == "layers" and isinstance(value, int) and not isinstance(value, bool) and value > 0:
            continue
        setattr(settings, key, [value] if isinstance(value, str) and value != "all" else value)
        if not value or not (value == "all" or isinstance(getattr(settings, key), list)):
            raise InputError(f"{key}={value}: wanted 'all' or a list, such as {key}=[NAME,NAME]")
    if not settings.metric:
        raise InputError("metric=[]: wanted at least one, such as metric=ridge")
    for name, metric in settings.metric.items():
        check(name, metric)
        if name in OF_MAPS and settings.reduction.kind != "none":
            raise InputError(
                f"metric={name} needs the height and width of a layer, and reduction.kind={settings.reduction.kind} "
                "leaves none; use reduction.kind=none"
            )
        if name in OF_UNITS and settings.reduction.kind == "pca":
            raise InputError(
                f"metric={name} needs single units, and reduction.kind=pca leaves none; use reduction.kind=subset, or "
                "none"
            )
    degrees = settings.model.visual_degrees
    if degrees is not None and not 0 < degrees <= 180:
        raise InputError(f"model.visual_degrees={degrees:g}: wanted null or a width above 0, at most 180")
    for key, number in (("reduction.size", settings.reduction.size), ("model.size", settings.model.size)):
        if number is not None and number < 1:
            raise InputError(f"{key}={number}: wanted at least 1")
    check_resize(settings.model.fit, settings.model.resize)
    if (settings.reduction.kind == "pca") != (settings.reduction.images is not None):
        raise InputError(
            f"reduction.kind={settings.reduction.kind}, reduction.images={settings.reduction.images or 'null'}: "
            "pca is fitted to a folder of pictures of your own and needs both (metric.ridge.components is fitted to "
            "training stimuli instead)"
        )
    check_hosts(settings.hosts)
    if not settings.memory.budget > 0:
        raise InputError(f"memory.budget={settings.memory.budget}: wanted a number of GB above 0")
    return settings


def check_resize(fit: str, resize: int | None) -> None:
    """Raises InputError where pictures are resized that are not cut afterwards."""
    if resize is not None and fit != "crop":
        raise InputError(
            f"model.resize={resize} with model.fit={fit}: it is the shorter side before model.fit=crop cuts"
        )
