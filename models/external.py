"""Models of the user's own: ``package.module:name``, or announced by an installed package.

What is named may be

- a function, images -> {layer: activations}, in JAX: images x height x width x 3 float32 between 0 and 1;
- a Flax ``nnx.Module`` in evaluation mode that is called in this way;
- a function or class that takes nothing and gives one of these;
- a :class:`models.spec.ModelSpec`, for full control of preprocessing, weights and names.

A package announces models as entry points of the group ``corticalign.models``: ``name = "package.module:name"``.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

import jax
import jax.numpy as jnp
from flax import nnx

from engine.errors import InputError
from models.port import Port
from models.preprocessing import Preprocessing
from models.spec import ModelSpec
from models.zoo import GROUP

ENTRY_SIZE = 224  # pixels that a function or module is given where nothing else is said
FORM = "wanted package.module:name of a function images -> {layer: array}, an nnx.Module or a ModelSpec"


class Function(nnx.Module):
    """A function of the user's as a module without parameters."""

    def __init__(self, function: Callable[[jax.Array], Mapping[str, jax.Array]]) -> None:
        self.function = function

    def __call__(self, images: jax.Array) -> Mapping[str, jax.Array]:
        return self.function(images)


def entry_spec(entry: str, size: int) -> ModelSpec:
    """The model at ``package.module:name``.

    Raises:
        InputError: it cannot be imported, or is nothing that can be run as a model; says which.
    """
    module, _, attribute = entry.partition(":")
    if not module or not attribute:
        raise InputError(f"model.entry={entry}: {FORM}")
    try:
        found: object = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InputError(f"model.entry={entry}: {error}; {FORM}, importable from here") from error
    return _spec(found, entry.replace(":", "."), size, f"model.entry={entry}")


def announced_spec(name: str) -> ModelSpec:
    """The model that an installed package announces by this name."""
    (entry,) = entry_points(group=GROUP, name=name)
    try:
        found = entry.load()
    except (ImportError, AttributeError) as error:
        raise InputError(f"model '{name}', announced as {entry.value}: {error}") from error
    return _spec(found, name, ENTRY_SIZE, f"model '{name}', announced as {entry.value}")


def _spec(found: object, name: str, size: int, origin: str) -> ModelSpec:
    if callable(found) and not isinstance(found, nnx.Module) and not _required(found, origin):
        found = found()
    if isinstance(found, ModelSpec):
        return found
    if not isinstance(found, nnx.Module):
        if not callable(found):
            raise InputError(f"{origin} is a {type(found).__name__}; {FORM}")
        found = Function(found)
    module: nnx.Module = found
    layers = _layers(module, size, origin)
    return ModelSpec(
        name=name,
        summary=f"{origin.removeprefix('model.entry=')}, not of the zoo",
        preprocessing=Preprocessing(
            size=size, interpolation="bilinear", mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0)
        ),
        port=lambda: Port(build=lambda rngs: module, layers=layers, known_by_answers=True),
        weights=None,
        citation="none given",
    )


def _required(function: Callable[..., object], origin: str) -> list[str]:
    """Parameters that must be given."""
    try:
        signature = inspect.signature(function)
    except ValueError as error:
        raise InputError(f"{origin}: its parameters cannot be read; {FORM}") from error
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name for name, given in signature.parameters.items() if given.default is given.empty and given.kind not in kinds
    ]


def _layers(module: nnx.Module, size: int, origin: str) -> tuple[str, ...]:
    """The names of what the model gives, in its own order, without running it."""
    count = 2
    names: list[str] = []

    def traced(images: jax.Array) -> object:
        layers = module(images)
        if isinstance(layers, Mapping):
            names.extend(map(str, layers))
        return layers

    try:
        layers = jax.eval_shape(traced, jax.ShapeDtypeStruct((count, size, size, 3), jnp.float32))
    except Exception as error:  # code of the user's own can raise anything
        raise InputError(
            f"{origin} cannot be run by JAX on images of shape ({count}, {size}, {size}, 3): "
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        ) from error
    if not names or not isinstance(layers, Mapping):
        raise InputError(f"{origin} gives a {type(layers).__name__}; wanted a dictionary layer -> array")
    bad = [name for name in names if getattr(layers[name], "shape", ())[:1] != (count,)]
    if bad:
        shapes = ", ".join(f"'{name}' {getattr(layers[name], 'shape', type(layers[name]).__name__)}" for name in bad)
        raise InputError(f"{origin}: wanted arrays whose first axis is the images (here {count}); got {shapes}")
    return tuple(names)
