"""What is known of a model before anything of it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.preprocessing import Preprocessing
from models.weights import PackagedFile

if TYPE_CHECKING:  # an architecture imports JAX and Flax; naming models does not need them
    from models.port import Port


@dataclass(frozen=True)
class ModelSpec:
    """One model: an architecture with one set of weights.

    Attributes:
        name: what the user calls it.
        summary: one line.
        layers: the public layer names in forward order.
        readout: one more output, of the classifier, where the weights have one.
        preprocessing: of its input.
        port: imports the architecture and returns it.
        weights: where they come from.
        licence: of the weights.
        citation: of the architecture.
    """

    name: str
    summary: str
    layers: tuple[str, ...]
    readout: str | None
    preprocessing: Preprocessing
    port: Callable[[], Port]
    weights: PackagedFile
    licence: str
    citation: str
