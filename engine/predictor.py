"""What predicts responses: layers over stimuli, each as its summary, wherever the features come from."""

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax

from engine.errors import InputError, unknown
from engine.gram import Summary
from engine.memory.passes import Demand
from engine.metrics.metric import Reader
from engine.metrics.reverse_units import evenly_spaced
from engine.recording import Recording


class Stages(Protocol):
    """What a long job reports while it runs."""

    def stage(self, name: str, total: int, unit: str) -> Callable[[int], None]:
        """Starts a stage of ``total`` steps; the function it returns is called with the number of steps done."""
        ...

    def say(self, sentence: str) -> None:
        """A warning that the user can act on."""
        ...


class Layer(NamedTuple):
    """One layer, complete.

    Attributes:
        name: of the layer.
        summary: over the recording's stimuli.
        states: what each reader has made of its units.
    """

    name: str
    summary: Summary
    states: Sequence[Any] = ()


class Reading:
    """What several readers make of one layer while its blocks pass."""

    def __init__(self, layer: str, readers: Sequence[Reader], shape: tuple[int, ...]) -> None:
        """InputError, with the layer's name, where a reader cannot take activations of this shape."""
        self._readers = readers
        try:
            self.states = [reader.begin(shape) for reader in readers]
        except InputError as error:
            raise InputError(f"layer '{layer}': {error}") from error

    def __call__(self, blocks: Sequence[jax.Array], first: int) -> None:
        """The next block of units."""
        pairs = zip(self._readers, self.states, strict=True)
        self.states = [reader.read(state, blocks, first) for reader, state in pairs]


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

    def known(self, recording: Recording) -> bool:
        """Whether ``stimuli`` answers without decoding a picture."""
        ...

    def demand(self, recording: Recording, *, cache: Path, budget: int, readers: bool = False) -> Demand:
        """What ``summaries`` will hold at once, from shapes alone: no picture is decoded.

        Args:
            cache, budget: as for ``summaries``.
            readers: whether there will be any.
        """
        ...

    def summaries(
        self, recording: Recording, *, cache: Path, budget: int, stages: Stages, readers: Sequence[Reader] = ()
    ) -> Iterator[Layer]:
        """Every layer chosen, as soon as it is complete.

        Args:
            cache: folder where layer summaries are kept and looked for.
            budget: bytes that features may take at once.
            readers: measures that the units of every layer are passed to. Units are not kept, so with readers
                every layer is computed whatever the cache holds.
        """
        ...


def choose_layers(owner: str, layers: Sequence[str], aliases: Mapping[str, str], wanted: object) -> list[str]:
    """The layers named by ``all``, a name, a pattern such as ``block*``, or a list of these, in the owner's order.

    A number chooses so many evenly spaced ones, the first and the last among them.

    ``aliases`` are further names (torchvision's, timm's, the original's) -> layers.

    Raises:
        InputError: a name or pattern that fits no layer; names the nearest.
    """
    if isinstance(wanted, int):
        return evenly_spaced(layers, wanted)
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
