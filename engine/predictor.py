"""What predicts responses: layers over stimuli, each as its summary, wherever the features come from."""

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from engine.errors import InputError, unknown
from engine.gram import Summary
from engine.recording import Recording


class Stages(Protocol):
    """What a long job reports while it runs."""

    def stage(self, name: str, total: int, unit: str) -> Callable[[int], None]:
        """Starts a stage of ``total`` steps; the function it returns is called with the number of steps done."""
        ...

    def say(self, sentence: str) -> None:
        """A warning that the user can act on."""
        ...


class Predictor(Protocol):
    """A model with its weights, or a file of features.

    Attributes:
        name: for titles and folders.
        layers: those chosen, in forward order.
        key: everything that can change the features, the stimuli and the layers' names aside.
        about: what a summary says of it.
    """

    name: str
    layers: Sequence[str]
    key: Mapping[str, object]
    about: Mapping[str, object]

    def stimuli(self, recording: Recording, stages: Stages) -> str:
        """Digest of the stimuli as this predictor takes them. InputError where it cannot take them."""
        ...

    def summaries(
        self, recording: Recording, *, cache: Path, budget: int, stages: Stages
    ) -> Iterator[tuple[str, Summary]]:
        """(layer, summary over the recording's stimuli) for every layer chosen, as soon as each is complete.

        Args:
            cache: folder where layer summaries are kept and looked for.
            budget: bytes that features may take at once.
        """
        ...


def choose_layers(owner: str, layers: Sequence[str], aliases: Mapping[str, str], wanted: object) -> list[str]:
    """The layers named by ``all``, a name, a pattern such as ``block*``, or a list of these, in the owner's order.

    ``aliases`` are further names (torchvision's, timm's, the original's) -> layers.

    Raises:
        InputError: a name or pattern that fits no layer; names the nearest.
    """
    given = [wanted] if isinstance(wanted, str) else list(wanted) if isinstance(wanted, Sequence) else None
    if not given:
        raise InputError(f"layers={wanted}: wanted 'all' or a list such as [{layers[0]}]")
    names = {layer: layer for layer in layers} | {alias: layer for alias, layer in aliases.items() if layer in layers}
    chosen: set[str] = set()
    for name in map(str, given):
        fitting = layers if name == "all" else [names[each] for each in fnmatch.filter(names, name)]
        if not fitting:
            raise unknown(f"layer of {owner}", name, list(names))
        chosen.update(fitting)
    return [layer for layer in layers if layer in chosen]
