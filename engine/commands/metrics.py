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
    responses: Any = MISSING


@dataclass
class CKA:
    estimator: Any = MISSING


@dataclass
class EncodingRSA:
    penalties: list[float] = MISSING
    relative: bool = MISSING
    select: Any = MISSING
    choose: Any = MISSING
    distance: Any = MISSING
    comparison: Any = MISSING


@dataclass
class Procrustes:
    alpha: float = MISSING


@dataclass
class VariancePartition:
    penalties: list[float] = MISSING
    weightings: int = MISSING
    seed: int = MISSING
    select: Any = MISSING


@dataclass
class OneToOne:
    absolute: bool = MISSING
    reuse: bool = MISSING
    controls: bool = MISSING
    seed: int = MISSING


@dataclass
class SoftMatching:
    units: int = MISSING
    seed: int = MISSING


@dataclass
class PopulationDecoding:
    category: str | None = MISSING
    seed: int = MISSING


@dataclass
class Reverse:
    method: Any = MISSING
    units: int | None = MISSING
    penalties: list[float] = MISSING
    relative: bool = MISSING
    components: int = MISSING
    voxels: int | None = MISSING
    voxel_penalty: float = MISSING
    halvings: int = MISSING
    seed: int = MISSING


@dataclass
class SpatialMap:
    components: int = MISSING
    parity: bool = MISSING


METRICS = {
    "ridge": Ridge,
    "ridgecv": RidgeCV,
    "linear": Linear,
    "pls": PLS,
    "variance_partition": VariancePartition,
    "rsa": RSA,
    "encoding_rsa": EncodingRSA,
    "cka": CKA,
    "procrustes": Procrustes,
    "one_to_one": OneToOne,
    "soft_matching": SoftMatching,
    "population_decoding": PopulationDecoding,
    "reverse": Reverse,
    "spatial_map": SpatialMap,
}
OF_UNITS = ("one_to_one", "soft_matching", "population_decoding", "reverse")  # need more of a layer than its summary
OF_MAPS = ("spatial_map",)  # need height and width of a layer
SELECTIONS = ("r2", "pearson", "mse")
DISTANCES = ("correlation", "euclidean", "squared_euclidean", "cosine")
COMPARISONS = ("spearman", "pearson", "kendall", "rho_a", "cosine", "whitened_cosine", "whitened_pearson")
ALLOWED = {
    "ridge.select": SELECTIONS,
    "ridge.choose": ("neuroid", "region", "all"),
    "variance_partition.select": SELECTIONS,
    "rsa.distance": DISTANCES,
    "rsa.comparison": COMPARISONS,
    "rsa.responses": ("same", "crossnobis", "mahalanobis"),
    "encoding_rsa.select": SELECTIONS,
    "encoding_rsa.choose": ("neuroid", "all"),
    "encoding_rsa.distance": DISTANCES,
    "encoding_rsa.comparison": COMPARISONS,
    "cka.estimator": ("unbiased", "biased", "feature_corrected"),
    "reverse.method": ("ridge", "pls"),
}
LEAST = {
    "components": 1,
    "units": 1,
    "voxels": 1,
    "weightings": 1,
    "halvings": 0,
    "seed": 0,
    "voxel_penalty": 0,
}


def check(name: str, settings: Any) -> None:
    """Raises InputError where a value is out of range; names the key."""
    for key, allowed in ALLOWED.items():
        owner, setting = key.split(".")
        if owner == name and getattr(settings, setting) not in allowed:
            raise InputError(f"metric.{key}={getattr(settings, setting)}: wanted one of {', '.join(allowed)}")
    penalties = getattr(settings, "penalties", None)
    if penalties is not None and (not penalties or min(penalties) <= 0 or penalties != sorted(set(penalties))):
        raise InputError(f"metric.{name}.penalties={penalties}: wanted at least one, all above 0, ascending")
    for key, least in LEAST.items():
        value = getattr(settings, key, None)
        if value is not None and value < least:
            raise InputError(f"metric.{name}.{key}={value:g}: wanted at least {least}")
    if isinstance(settings, Procrustes) and not 0 <= settings.alpha <= 1:
        raise InputError(f"metric.procrustes.alpha={settings.alpha:g}: wanted 0 (any linear map) to 1 (rotations only)")
    if isinstance(settings, RSA) and settings.responses != "same" and settings.distance != "squared_euclidean":
        raise InputError(
            f"metric.rsa.responses={settings.responses} gives squared distances: compare them with those of the layer, "
            f"metric.rsa.distance=squared_euclidean (it is {settings.distance})"
        )
    if isinstance(settings, Reverse):
        _check_reverse(settings)


def _check_reverse(settings: Reverse) -> None:
    plain = settings.method == "ridge" and settings.voxels is None
    if settings.method == "pls" and (settings.units is None or settings.voxels is not None):
        raise InputError(
            "metric.reverse.method=pls fits all units together from all neuroids: give metric.reverse.units=NUMBER and "
            "leave metric.reverse.voxels=null"
        )
    if settings.halvings and not plain:
        raise InputError(
            f"metric.reverse.halvings={settings.halvings}: the consistency of predictions is known for "
            "metric.reverse.method=ridge with voxels=null; otherwise set it to 0"
        )


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
            return catalogue.rsa(own.distance, own.comparison, own.responses)
        case CKA():
            return catalogue.cka(own.estimator)
        case EncodingRSA():
            penalties = tuple(own.penalties)
            return catalogue.encoding_rsa(penalties, own.relative, own.select, own.choose, own.distance, own.comparison)
        case Procrustes():
            return catalogue.procrustes(own.alpha)
        case VariancePartition():
            return catalogue.variance_partition(tuple(own.penalties), own.weightings, own.seed, own.select)
        case OneToOne():
            return catalogue.one_to_one(own.absolute, own.reuse, own.controls, own.seed)
        case SoftMatching():
            return catalogue.soft_matching(own.units, own.seed)
        case PopulationDecoding():
            return catalogue.population_decoding(own.category, own.seed)
        case Reverse():
            return catalogue.reverse(
                own.method,
                own.units,
                tuple(own.penalties),
                own.relative,
                own.components,
                own.voxels,
                own.voxel_penalty,
                own.halvings,
                own.seed,
            )
        case SpatialMap():
            return catalogue.spatial_map(own.components, own.parity)
    raise AssertionError(name)
