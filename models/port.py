"""From an architecture and a weight file to one pure function: parameters, pictures -> activations by layer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from models.batch_norm import fold
from models.preprocessing import Preprocessing, normalise
from models.spec import ModelSpec
from models.weights import Slot, fill

Apply = Callable[[Any, jax.Array], dict[str, jax.Array]]


@dataclass(frozen=True)
class Port:
    """What an architecture file gives.

    Attributes:
        build: makes the module, in evaluation mode; called on normalised pictures it returns all layers by name.
        read: bytes of the weight file, its name -> tensors by name.
        table: source tensor -> parameter.
        images_at_once: how many pictures a CPU takes through all layers together. Few enough that what passes
            from layer to layer stays in its cache. Changes speed and memory, not results.
    """

    build: Callable[[nnx.Rngs], nnx.Module]
    read: Callable[[bytes, str], Mapping[str, np.ndarray]]
    table: Mapping[str, Slot | None]
    images_at_once: int


@dataclass(frozen=True)
class Model:
    """A model with its weights.

    Attributes:
        spec: what it is.
        apply: (params, pictures) -> layer name -> activations, images x ... ; the spec's layers and readout. Pictures:
            images x height x width x 3, uint8 as :func:`models.preprocessing.prepare` gives them, or float32 if already
            normalised. Pure; under ``jit`` a layer that the caller does not return is not computed, nor what only
            it needed. All float32, whatever ``jax_enable_x64`` says.
        params: nested dictionaries of float32 arrays; pass them, do not close over them.
        weights_digest: SHA-256 of the weight file.
    """

    spec: ModelSpec
    apply: Apply
    params: Any
    weights_digest: str


def load(spec: ModelSpec) -> Model:
    """Reads and checks the weights. InputError where they are missing, altered or do not fit the architecture."""
    port = spec.port()
    origin = str(spec.weights.locate())
    module = assemble(port, port.read(spec.weights.read(), origin), origin)
    fold(module)
    graph, state = nnx.split(module)
    params = jax.tree.map(jnp.asarray, nnx.to_pure_dict(state))
    return Model(spec, _apply(graph, spec.preprocessing, port.images_at_once), params, spec.weights.sha256)


def assemble(port: Port, tensors: Mapping[str, np.ndarray], origin: str) -> nnx.Module:
    """The module with the file's tensors in place of its parameters, as they are (nothing folded).

    Raises:
        InputError: lists every tensor that is missing, unexpected, wrongly shaped or not finite.
    """
    graph, abstract = _abstract(port)
    shapes = {".".join(map(str, path)): leaf.shape for path, leaf in abstract.items()}
    filled = fill(shapes, port.table, tensors, origin)
    arrays = {path: filled[".".join(map(str, path))] for path in abstract}
    return nnx.merge(graph, nnx.traversals.unflatten_mapping(arrays))


def layer_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Layer name -> shape of one picture's activations (height, width, channels), in forward order; no weights."""
    port, size = spec.port(), spec.preprocessing.size
    graph, abstract = _abstract(port)
    params = nnx.traversals.unflatten_mapping(dict(abstract))
    picture = jax.ShapeDtypeStruct((1, size, size, 3), jnp.uint8)
    layers = jax.eval_shape(_apply(graph, spec.preprocessing, port.images_at_once), params, picture)
    return {name: layers[name].shape[1:] for name in spec.layers}


def parameter_count(spec: ModelSpec) -> int:
    """Number of trained values: kernels, scales and biases, not the statistics of batch normalisation."""
    module = nnx.eval_shape(lambda: spec.port().build(nnx.Rngs(0)))
    return sum(prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


def _abstract(port: Port) -> tuple[nnx.GraphDef, dict[tuple[Any, ...], jax.ShapeDtypeStruct]]:
    graph, state = nnx.split(nnx.eval_shape(lambda: port.build(nnx.Rngs(0))))
    return graph, nnx.traversals.flatten_mapping(nnx.to_pure_dict(state))


def _apply(graph: nnx.GraphDef, preprocessing: Preprocessing, images_at_once: int) -> Apply:
    def forward(params: Any, pictures: jax.Array) -> dict[str, jax.Array]:
        if pictures.dtype == jnp.uint8:
            pictures = normalise(pictures, preprocessing)
        return nnx.merge(graph, params)(pictures)

    def in_groups(params: Any, pictures: jax.Array) -> dict[str, jax.Array]:
        count = len(pictures)
        size = images_at_once if count % images_at_once == 0 else 1
        grouped = pictures.reshape(count // size, size, *pictures.shape[1:])
        layers = lax.map(lambda group: forward(params, group), grouped)
        return jax.tree.map(lambda layer: layer.reshape(count, *layer.shape[2:]), layers)

    def apply(params: Any, pictures: jax.Array) -> dict[str, jax.Array]:
        return lax.platform_dependent(params, pictures, cpu=in_groups, default=forward)

    return apply
