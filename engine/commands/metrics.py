"""The settings of every metric with their types, and from them the metrics themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from engine.errors import InputError

if TYPE_CHECKING:
    from engine.metrics.metric import Metric


@dataclass
class Ridge:
    penalties: list[float] = MISSING
    relative: bool = MISSING
    select: Any = MISSING  # checked against ALLOWED
    choose: Any = MISSING
    components: int | None = None


@dataclass
class RidgeCV:
    pass


@dataclass
class Linear:
    pass


@dataclass
class PLS:
    components: int = MISSING


@dataclass
class RSA:
    distance: Any = MISSING
    comparison: Any = MISSING


@dataclass
class CKA:
    estimator: Any = MISSING


METRICS = {"ridge": Ridge, "ridgecv": RidgeCV, "linear": Linear, "pls": PLS, "rsa": RSA, "cka": CKA}
ALLOWED = {
    "ridge.select": ("r2", "pearson", "mse"),
    "ridge.choose": ("neuroid", "region", "all"),
    "rsa.distance": ("correlation", "euclidean", "squared_euclidean", "cosine"),
    "rsa.comparison": ("spearman", "pearson", "kendall", "rho_a", "cosine", "whitened_cosine", "whitened_pearson"),
    "cka.estimator": ("unbiased", "biased"),
}


def check(name: str, settings: Any) -> None:
    """Raises InputError where a value is out of range; names the key."""
    for key, allowed in ALLOWED.items():
        owner, setting = key.split(".")
        if owner == name and getattr(settings, setting) not in allowed:
            raise InputError(f"metric.{key}={getattr(settings, setting)}: wanted one of {', '.join(allowed)}")
    if isinstance(settings, Ridge):
        penalties = settings.penalties
        if not penalties or min(penalties) <= 0 or penalties != sorted(set(penalties)):
            raise InputError(f"metric.ridge.penalties={penalties}: wanted at least one, all above 0, ascending")
    components = getattr(settings, "components", None)
    if components is not None and components < 1:
        raise InputError(f"metric.{name}.components={components}: wanted at least 1")


def chosen(settings: Mapping[str, Any]) -> "list[Metric]":
    """The metrics for checked settings, in the order given. Heavy modules are imported here, after the checks."""
    from engine.metrics import catalogue

    return [_metric(catalogue, name, own) for name, own in settings.items()]


def _metric(catalogue: Any, name: str, own: Any) -> "Metric":
    match own:
        case Ridge():
            return catalogue.ridge(tuple(own.penalties), own.relative, own.select, own.choose, own.components)
        case RidgeCV():
            return catalogue.ridgecv()
        case Linear():
            return catalogue.linear()
        case PLS():
            return catalogue.pls(own.components)
        case RSA():
            return catalogue.rsa(own.distance, own.comparison)
        case CKA():
            return catalogue.cka(own.estimator)
    raise AssertionError(name)
