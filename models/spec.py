"""What is known of a model before anything of it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.preprocessing import Preprocessing
from models.weights.sources import Source

if TYPE_CHECKING:  # an architecture imports JAX and Flax; naming models does not need them
    from models.port import Port


@dataclass(frozen=True)
class Weights:
    """Trained weights.

    Attributes:
        source: where the file is.
        names: which of the architecture's namings it follows, such as ``torchvision``.
        licence: of the weights.
    """

    source: Source
    names: str
    licence: str


@dataclass(frozen=True)
class ModelSpec:
    """One model: an architecture with one set of weights.

    Attributes:
        name: what the user calls it.
        summary: one line.
        preprocessing: of its input.
        port: imports the architecture and returns it.
        weights: the trained ones; None for a model that has none (fixed filters, or pixels).
        citation: of the architecture and its training.
    """

    name: str
    summary: str
    preprocessing: Preprocessing
    port: Callable[[], Port]
    weights: Weights | None
    citation: str
