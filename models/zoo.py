"""The models by name: the catalogue's, and those that installed packages announce as ``corticalign.models``.

Importing this imports neither JAX nor any architecture.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from engine.errors import unknown
from models.catalogue import SPECS
from models.spec import ModelSpec

if TYPE_CHECKING:
    from models.port import Choice, Model
    from models.weights.sources import Places

GROUP = "corticalign.models"
"""Entry points of this group are models, as :mod:`models.external` says."""

_MODELS = {spec.name: spec for spec in SPECS}


def names() -> list[str]:
    """All model names, those of other packages last."""
    return [*_MODELS, *(entry.name for entry in entry_points(group=GROUP) if entry.name not in _MODELS)]


def spec(name: str) -> ModelSpec:
    """What is known of a model without loading it. InputError with the nearest names where there is none such."""
    if name in _MODELS:
        return _MODELS[name]
    if name not in (known := names()):
        raise unknown("model", name, known)
    from models import external

    return external.announced_spec(name)


def load(name: str, choice: Choice | None = None, places: Places | None = None) -> Model:
    """The model with its weights, checked and on the device. InputError as :func:`models.port.load` says."""
    from models import port

    return port.load(spec(name), choice or port.PINNED, places)


def layer_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Layer name -> shape of one image's activations (height, width, channels), in forward order; no weights."""
    from models import port

    return port.layer_shapes(spec(name))


def parameter_count(name: str) -> int:
    """Number of trained values: kernels, scales and biases; no weights needed."""
    from models import port

    return port.parameter_count(spec(name))
