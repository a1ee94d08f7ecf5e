"""A model as a differentiable function of its parameters and images, with batch normalisation in either mode.

The ports are built for evaluation, and two things are not in them: dropout, and stochastic depth (of EfficientNet,
ConvNeXt, Swin, MaxViT and LeViT). Fine-tuning here goes without both, and networks of two classifiers (distilled DeiT,
LeViT) give the mean of their logits, as in evaluation. Everything else, batch normalisation in training mode included,
is what the original computes, and can be differentiated twice.

Mixed precision: the parameters stay float32, and with ``dtype=jnp.bfloat16`` what they are used as is rounded to
bfloat16 in the forward pass, so that their gradients come back in float32. Means, variances, the sums of attention
and running statistics stay float32, and layers are float32 when they are handed out.

Rematerialisation is the step's (engine.training.step); nothing inside the architectures knows of it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from engine.errors import InputError
from models.parts.linear import FixedKernel
from models.parts.norm import fold
from models.parts.precision import widened
from models.port import PINNED, Choice, Model, Take, abstract, dotted, everything, pure, with_weights
from models.preprocessing import normalise
from models.spec import ModelSpec
from models.weights import own_file
from models.weights.sources import Places, default_places

Tree = Mapping[str, Any]
"""Nested dictionaries of arrays. Their keys, joined with dots, are names such as ``layer1.0.conv1.weight``."""


class Forward(Protocol):
    """A model as a pure function of what is trained, of what is not, and of images."""

    def __call__(
        self, params: Any, statistics: Any, images: jax.Array, *, train: bool = False, take: Take = everything
    ) -> tuple[Any, Any]:
        """``take`` of the layers by name, images x ... ; and the statistics, updated if ``train``.

        Args:
            params, statistics: as in :class:`Trainable`.
            images: images x height x width x 3, uint8 as :func:`models.preprocessing.prepare` gives them, or floating
                if already normalised, which is what one differentiates by.
            train: whether batch normalisation takes mean and variance of this batch (of all of it, wherever its images
                lie) and updates the running ones; else it takes the running ones, and they come back as they are.
            take: what of the layers and the readout to return. Under ``jit`` nothing else is computed.

        Raises:
            InputError: images of a size that the architecture does not take; one value per channel if ``train``.
        """
        ...


class Trainable(NamedTuple):
    """A model that can be trained.

    Attributes:
        spec: what it is.
        forward: the forward pass: pure, and twice differentiable in images and parameters.
        params: nested dictionaries of float32 arrays, what is trained.
        statistics: the same of what is not: running means and variances of batch normalisation, and the filters of
            VOneNets. Empty where there are none.
    """

    spec: ModelSpec
    forward: Forward
    params: Any
    statistics: Any


def trainable(
    spec: ModelSpec, choice: Choice = PINNED, places: Places | None = None, *, dtype: DTypeLike | None = None
) -> Trainable:
    """The model with the weights chosen, nothing folded.

    In evaluation mode it equals :func:`models.port.load` up to the rounding of folding.

    Args:
        dtype: that the forward pass computes in, such as ``jnp.bfloat16``; None for that of the parameters given to it
            (float32, or float64 where they were made so).

    Raises:
        InputError: as :func:`models.port.load`; or a model of the user's own keeps what is neither parameter nor
            statistic, such as a random stream.
    """
    module, _ = with_weights(spec, spec.port(), choice, places or default_places())
    graph, state = nnx.split(module)
    leaves = dict(nnx.to_flat_state(state))
    others = [dotted(path) for path, leaf in leaves.items() if not isinstance(leaf, nnx.Param | nnx.BatchStat)]
    if others:
        raise InputError(
            f"model '{spec.name}' cannot be trained: {', '.join(others)} are neither nnx.Param nor nnx.BatchStat"
        )
    trained = {path: leaf for path, leaf in leaves.items() if _is_trained(leaf)}
    kept = {path: leaf for path, leaf in leaves.items() if not _is_trained(leaf)}
    training = nnx.merge(graph, state)  # a copy: a module of the user's own stays in evaluation mode
    training.train()
    forward = _forward(graph, nnx.graphdef(training), tuple(leaves), spec, dtype)
    return Trainable(spec, forward, _nested(trained), _nested(kept))


def frozen(trained: Trainable, params: Any, statistics: Any, digest: str) -> Model:
    """The model with these parameters, batch normalisation folded, to be scored like any other.

    ``digest`` says what weights it has: the SHA-256 of the file that :func:`save_weights` made of them.
    """
    port, spec = trained.spec.port(), trained.spec
    graph, leaves = abstract(port)
    # A copy in NumPy: folding then starts no device, and training may give its arrays away.
    arrays = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), _flat(params) | _flat(statistics))
    module = nnx.merge(graph, _state(leaves, arrays))
    fold(module)
    made = pure(module, port, spec.preprocessing)
    return Model(spec, digest, pinned=False, make=lambda: made)


def save_weights(path: Path, params: Any, statistics: Any, spec: ModelSpec) -> None:
    """Writes them as a safetensors file that ``weights=FILE`` reads again, as weights of this model only.

    Raises:
        InputError: the file exists or cannot be written; nothing is left then.
    """
    tensors = {name: np.asarray(leaf) for name, leaf in (_flat(params) | _flat(statistics)).items()}
    own_file.write(Path(path), tensors, spec.name)


def kernels(params: Any) -> Any:
    """Like ``params``: whether each is a kernel, which inputs are multiplied with, and weight decay applies to.

    Those of convolutions and matrix products; not biases, normalisation, scales of branches, class tokens, position
    embeddings and tables of relative positions.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: path[-1].key in ("weight", "kernel") and jnp.ndim(leaf) > 1, params
    )


def _is_trained(leaf: Any) -> bool:
    return isinstance(leaf, nnx.Param) and not isinstance(leaf, FixedKernel)


def _forward(
    evaluation: nnx.GraphDef,
    training: nnx.GraphDef,
    paths: tuple[tuple[Any, ...], ...],
    spec: ModelSpec,
    dtype: DTypeLike | None,
) -> Forward:
    def forward(
        params: Any, statistics: Any, images: jax.Array, *, train: bool = False, take: Take = everything
    ) -> tuple[Any, Any]:
        weights, kept = _flat(params), _flat(statistics)
        compute = dtype or jnp.result_type(jnp.float32, *weights.values())
        rounded = jax.tree.map(lambda leaf: leaf.astype(compute), weights)
        if images.dtype == jnp.uint8:
            images = normalise(images, spec.preprocessing)
        graph = training if train else evaluation
        module = nnx.merge(graph, _state(paths, rounded | kept))
        taken = take({name: widened(layer) for name, layer in module(images.astype(compute)).items()})
        if not train:
            return taken, statistics
        after = {dotted(path): leaf[...] for path, leaf in nnx.to_flat_state(nnx.state(module, nnx.BatchStat))}
        return taken, jax.tree_util.tree_map_with_path(lambda path, leaf: after.get(_name(path), leaf), statistics)

    return forward


def _flat(tree: Tree) -> dict[str, Any]:
    """Name -> array."""
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _state(paths: Iterable[tuple[Any, ...]], arrays: Mapping[str, Any]) -> Any:
    """What ``nnx.merge`` takes: the arrays, by name, at their paths in the module."""
    return nnx.traversals.unflatten_mapping({path: arrays[dotted(path)] for path in paths})


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _nested(leaves: Mapping[tuple[Any, ...], Any]) -> dict[str, Any]:
    """Nested dictionaries whose keys are text, as checkpoints store them, of arrays on the device."""
    arrays = {tuple(map(str, path)): jnp.asarray(leaf[...]) for path, leaf in leaves.items()}
    tree: dict[str, Any] = nnx.traversals.unflatten_mapping(arrays)
    return tree
