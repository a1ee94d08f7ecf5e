"""From an architecture and a weight file to one pure function: parameters, images -> activations by layer."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from math import prod
from pathlib import Path
from typing import Any, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from engine.errors import InputError
from models.parts.linear import Kernel
from models.parts.norm import fold
from models.preprocessing import Preprocessing, normalise
from models.spec import ModelSpec
from models.weights import own_file
from models.weights.files import read_tensors
from models.weights.fitting import Wanted, fill
from models.weights.naming import Naming
from models.weights.sources import LocalFile, Places, default_places, digest_once

Take = Callable[[Mapping[str, jax.Array]], Any]


def everything(layers: Mapping[str, jax.Array]) -> Mapping[str, jax.Array]:
    """All layers as they are."""
    return layers


class Apply(Protocol):
    """A model as a pure function."""

    def __call__(self, params: Any, images: jax.Array, take: Take = everything) -> Any:
        """``take`` of the layers by name, each images x ... .

        ``take`` keeps what is needed of a few images' layers, image by image along the first axis: on a CPU, which runs
        few images at a time, whole layers of many then never exist.
        """
        ...


@dataclass(frozen=True)
class Port:
    """What an architecture file gives.

    Attributes:
        build: makes the module, in evaluation mode; called on normalised images it returns all layers by name.
        layers: the public layer names in forward order.
        readout: one more output, of the classifier, where there is one.
        namings: kinds of weight files -> how they name the tensors.
        aliases: names of layers in torchvision, timm or the original -> ours.
        images_at_once: how many images a CPU takes through all layers together. Few enough that what passes
            from layer to layer stays in its cache. Changes speed and memory, not results.
        known_by_answers: whether the model comes in no weight file, and is identified by its layers' activations for
            two fixed images instead.
    """

    build: Callable[[nnx.Rngs], nnx.Module]
    layers: tuple[str, ...]
    readout: str | None = None
    namings: Mapping[str, Naming] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    images_at_once: int = 2
    known_by_answers: bool = False


@dataclass(frozen=True)
class Choice:
    """Which weights the user wants.

    Attributes:
        source: ``pinned`` (those of the zoo), ``random`` (untrained), or the path of a file.
        names: of a file: its naming, such as ``torchvision``; None tries all that the architecture knows.
        seed: of random weights.
    """

    source: str = "pinned"
    names: str | None = None
    seed: int = 0


PINNED = Choice()


@dataclass(frozen=True)
class Model:
    """A model with its weights, which are read when they are first needed: what was kept of a known model needs none.

    Attributes:
        spec: what it is.
        weights_digest: SHA-256 of the weight file, or ``random`` and the seed, or ``none``, or of its answers.
        pinned: whether the weights are those that ``spec`` names, so that its licence and citation are theirs.
        make: gives ``apply`` and ``params``; called once.
        apply: (params, images) -> layer name -> activations, images x ... ; all layers and the readout, or what a third
            argument takes of them. Images: images x height x width x 3, uint8 as
            :func:`models.preprocessing.prepare` gives them, or float32 if already normalised. Pure; under ``jit`` a
            layer that is not returned is not computed, nor what only it needed. All float32, whatever
            ``jax_enable_x64`` says.
        params: nested dictionaries of float32 arrays; pass them, do not close over them.
    """

    spec: ModelSpec
    weights_digest: str
    pinned: bool
    make: Callable[[], tuple[Apply, Any]] = field(repr=False, compare=False)

    @cached_property
    def _made(self) -> tuple[Apply, Any]:
        return self.make()

    @property
    def apply(self) -> Apply:
        return self._made[0]

    @property
    def params(self) -> Any:
        return self._made[1]


def load(spec: ModelSpec, choice: Choice = PINNED, places: Places | None = None) -> Model:
    """The model with the weights chosen, batch normalisation folded.

    Raises:
        InputError: the weights are missing, altered or do not fit the architecture.
    """
    model = known(spec, choice, places)
    model.apply  # noqa: B018  # now, not when it is first used
    return model


def known(spec: ModelSpec, choice: Choice = PINNED, places: Places | None = None) -> Model:
    """As :func:`load`, but weights are only identified: their file is found and its checksum known, and it is read
    when ``apply`` or ``params`` is first asked for.

    Raises:
        InputError: the weights are missing or altered. That they do not fit is told when they are read.
    """
    port, places = spec.port(), places or default_places()
    pinned = choice.source == PINNED.source

    def make(digest: str | None = None) -> tuple[Apply, Any]:
        module, _ = with_weights(spec, port, choice, places, digest)
        fold(module)
        return pure(module, port, spec.preprocessing)

    if port.known_by_answers:
        made = make()
        return Model(spec, _answers(*made, spec.preprocessing.size), pinned, lambda: made)
    file, digest = _found(spec, port, choice, places)
    if file is not None:
        digest = digest_once(file)
    return Model(spec, digest, pinned, partial(make, digest))


def pure(module: nnx.Module, port: Port, preprocessing: Preprocessing) -> tuple[Apply, Any]:
    """A module as a pure function and its parameters, as :class:`Model` holds them."""
    graph, state = nnx.split(module)
    params = jax.tree.map(jnp.asarray, nnx.to_pure_dict(state))
    return _apply(graph, preprocessing, port.images_at_once), params


def _answers(apply: Apply, params: Any, size: int) -> str:
    """SHA-256 of all layers for two fixed images of noise: whatever the weights came from, other weights differ."""
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
    sha = hashlib.sha256()
    for name, layer in sorted(jax.jit(apply)(params, noise).items()):
        sha.update(f"{name}{layer.shape}".encode())
        sha.update(np.ascontiguousarray(layer).data)
    return f"answers {sha.hexdigest()}"


def with_weights(
    spec: ModelSpec, port: Port, choice: Choice, places: Places, expected: str | None = None
) -> tuple[nnx.Module, str]:
    """The module with the weights chosen, nothing folded, and what :class:`Model` calls their digest.

    Raises:
        InputError: the weights are missing, altered, not those of the digest expected, or do not fit the architecture.
    """
    file, digest = _found(spec, port, choice, places)
    if file is None:
        return port.build(nnx.Rngs(choice.seed if choice.source == "random" else 0)), digest
    pinned = spec.weights if choice.source == PINNED.source else None
    names = pinned.names if pinned else choice.names
    data = file.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if expected not in (None, found):
        raise InputError(f"the weights '{file}' changed after they were looked up; start again")
    if own_file.check_model(data, str(file), spec.name):
        names = own_file.NAME
    elif not port.namings:
        raise InputError(f"{file}: model '{spec.name}' takes no weights but those that were saved of it here")
    return assemble(port, read_tensors(data, str(file)), str(file), names), found


def _found(spec: ModelSpec, port: Port, choice: Choice, places: Places) -> tuple[Path | None, str]:
    """The weight file, or what :class:`Model` calls weights that are in none."""
    if choice.source == "random":
        return None, f"random, seed {choice.seed}"
    if choice.source == PINNED.source:
        if spec.weights is not None:
            return spec.weights.source.locate(places), ""
        if port.namings:
            raise InputError(
                f"no weights of '{spec.name}' are pinned ({spec.summary}): give a file with weights=PATH, "
                "or weights=random"
            )
        return None, "none"
    if not port.namings and not abstract(port)[1]:
        raise InputError(f"weights={choice.source}: model '{spec.name}' takes no weights")
    return LocalFile(Path(choice.source).expanduser()).locate(places), ""


def assemble(port: Port, tensors: Mapping[str, np.ndarray], origin: str, names: str | None = None) -> nnx.Module:
    """The module with the file's tensors in place of its parameters, as they are (nothing folded).

    ``names`` is the file's naming, the architecture's or :data:`models.weights.own_file.NAME`; None tries all that the
    architecture knows.

    Raises:
        InputError: lists every tensor that is missing, unexpected, wrongly shaped or not finite.
    """
    graph, leaves = abstract(port)
    wanted = {dotted(path): Wanted(leaf.shape, issubclass(leaf.type, Kernel)) for path, leaf in leaves.items()}
    namings = {own_file.NAME: own_file.NAMING} if names == own_file.NAME else port.namings
    filled = fill(wanted, namings, names, tensors, origin)
    arrays = {path: filled[dotted(path)] for path in leaves}
    return nnx.merge(graph, nnx.traversals.unflatten_mapping(arrays))


def layer_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Layer name -> shape of one image's activations (height, width, channels), in forward order; no weights."""
    return dict(_layer_shapes(spec))


@lru_cache(maxsize=16)  # seconds for a deep model, and each job of a sweep asks
def _layer_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    port, size = spec.port(), spec.preprocessing.size
    graph, leaves = abstract(port)
    params = nnx.traversals.unflatten_mapping(
        {path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for path, leaf in leaves.items()}
    )
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.uint8)
    layers = jax.eval_shape(_apply(graph, spec.preprocessing, port.images_at_once), params, image)
    return {name: layers[name].shape[1:] for name in port.layers}


def parameter_count(spec: ModelSpec) -> int:
    """Number of trained values: kernels, scales and biases, not the statistics of batch normalisation."""
    _, leaves = abstract(spec.port())
    return sum(prod(leaf.shape) for leaf in leaves.values() if issubclass(leaf.type, nnx.Param))


def dotted(path: tuple[Any, ...]) -> str:
    """The name of a parameter in messages and files."""
    return ".".join(map(str, path))


class _OneKey:
    def __init__(self) -> None:
        self._key = jax.random.key(0)

    def params(self) -> jax.Array:
        return self._key


def one_key() -> nnx.Rngs:
    """The same key for every parameter: enough for shapes, of which a stream of keys takes most of the time."""
    return cast(nnx.Rngs, _OneKey())


def abstract(port: Port) -> tuple[nnx.GraphDef, dict[tuple[Any, ...], Any]]:
    """The architecture, and every parameter and statistic by its path: shapes and types without values."""
    graph, state = nnx.split(nnx.eval_shape(lambda: port.build(one_key())))
    return graph, dict(nnx.to_flat_state(state))


def _apply(graph: nnx.GraphDef, preprocessing: Preprocessing, images_at_once: int) -> Apply:
    def forward(params: Any, images: jax.Array, take: Take) -> Any:
        if images.dtype == jnp.uint8:
            images = normalise(images, preprocessing)
        return take(nnx.merge(graph, params)(images))

    def in_groups(params: Any, images: jax.Array, take: Take) -> Any:
        count = len(images)
        size = images_at_once if count % images_at_once == 0 else 1
        grouped = images.reshape(count // size, size, *images.shape[1:])
        taken = lax.map(lambda group: forward(params, group, take), grouped)
        return jax.tree.map(lambda part: part.reshape(count, *part.shape[2:]), taken)

    def apply(params: Any, images: jax.Array, take: Take = everything) -> Any:
        forms = {"cpu": partial(in_groups, take=take), "default": partial(forward, take=take)}
        return lax.platform_dependent(params, images, **forms)

    return apply
