"""SimCLR: training without labels, on two views of every picture (Chen, Kornblith, Norouzi & Hinton, ICML 2020)."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from engine.training.batches import SECOND
from engine.training.heads import split_heads, with_head
from engine.training.nt_xent import nt_xent
from engine.training.step import Batch, Objective, Terms
from models.trainable import Forward

HEAD = "projection"
WIDTH = 128  # of the projection, as published


def simclr(forward: Forward, layer: str, temperature: float = 0.5, *, train: bool = True) -> Objective:
    """NT-Xent of a projection of the layer, between ``image`` and ``second`` of a batch of pairs.

    The layer is averaged over positions; the projection is W2 relu(W1 h), as published, and is left behind after
    training: it is a head of the parameters (:func:`with_projection`). Both views go through the model together, so
    batch normalisation in training mode sees 2 b pictures. Terms: ``nt_xent`` and ``accuracy``, the share of views
    nearest to the other view of their picture.

    Args:
        forward: of the model.
        layer: the representation h: the last before the classifier.
        temperature: of the loss.
        train: whether batch normalisation takes this batch's statistics; False for held-out pictures.
    """

    def take(layers: Mapping[str, jax.Array]) -> jax.Array:
        return pooled(layers[layer])

    def objective(params: Any, statistics: Any, batch: Batch, key: jax.Array) -> tuple[jax.Array, tuple[Terms, Any]]:
        model, heads = split_heads(params)
        views = jnp.concatenate([batch["image"], batch[SECOND]])
        h, statistics = forward(model, statistics, views, train=train, take=take)
        projected = _project(heads[HEAD], h)
        first, second = jnp.split(projected, 2)
        loss, accuracy = nt_xent(first, second, temperature)
        return loss, ({"nt_xent": loss, "accuracy": accuracy}, statistics)

    return objective


def pooled(layer: jax.Array) -> jax.Array:
    """b x ... x channels, averaged over everything between: b x channels."""
    return layer.mean(axis=tuple(range(1, layer.ndim - 1)))


def with_projection(params: Any, channels: int, key: jax.Array) -> Any:
    """The parameters with a new projection: channels -> channels -> 128, kernels drawn as He et al. (ICCV 2015) do."""
    draw = jax.nn.initializers.he_normal()
    first, second = jax.random.split(key)
    head = {
        "hidden": {"weight": draw(first, (channels, channels), jnp.float32)},
        "out": {"weight": draw(second, (channels, WIDTH), jnp.float32)},
    }
    return with_head(params, HEAD, head)


def _project(head: Any, h: jax.Array) -> jax.Array:
    hidden = jax.nn.relu(jnp.matmul(h, head["hidden"]["weight"], precision="highest"))
    return jnp.matmul(hidden, head["out"]["weight"], precision="highest")
