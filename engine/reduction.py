"""Fewer features per layer than units, for those who want them; nothing is reduced by default.

Each is fixed before any response is seen, so it needs no fitting and cannot leak from test to training stimuli.
(Principal components, which are fitted, are in :mod:`engine.principal_components`.)
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.random_projection import SparseRandomProjection

from engine.activations import Apply, Take

Kind = Literal["mean", "subset", "projection"]


@dataclass(frozen=True)
class Reduction:
    """What is kept of a layer.

    Attributes:
        kind: ``mean`` over positions (height x width, or tokens); a random ``subset`` of the units; a sparse random
            ``projection`` (Li, Hastie & Church, KDD 2006; the matrix is scikit-learn's ``SparseRandomProjection``).
        size: number of features after ``subset`` and ``projection``; smaller layers stay whole.
        seed: of the subset or the projection; each layer draws its own.
    """

    kind: Kind
    size: int = 1000
    seed: int = 0


def reduced_shape(shape: tuple[int, ...], reduction: Reduction) -> tuple[int, ...]:
    """Shape of one image's features, from that of its activations."""
    if reduction.kind == "mean":
        return shape[-1:]
    return shape if prod(shape) <= reduction.size else (reduction.size,)


def reduced(apply: Apply, shapes: Mapping[str, tuple[int, ...]], reduction: Reduction) -> Apply:
    """The model with the layers in ``shapes`` (layer -> shape of one image's activations) reduced."""
    reduce = {layer: _reduce(layer, shape, reduction) for layer, shape in shapes.items()}

    def applied(params: Any, images: jax.Array, take: Take) -> Any:
        return apply(params, images, lambda layers: take({layer: one(layers[layer]) for layer, one in reduce.items()}))

    return applied


def _reduce(layer: str, shape: tuple[int, ...], reduction: Reduction) -> Callable[[jax.Array], jax.Array]:
    units = prod(shape)
    if reduction.kind == "mean":
        return lambda x: x.mean(tuple(range(1, x.ndim - 1)))
    if units <= reduction.size:
        return lambda x: x
    seed = layer_seed(layer, reduction)
    if reduction.kind == "subset":
        chosen = np.sort(np.random.default_rng(seed).choice(units, reduction.size, replace=False))
        return lambda x: x.reshape(len(x), -1)[:, chosen]
    return lambda x: _project(x.reshape(len(x), -1), projection(units, reduction.size, seed))


def layer_seed(layer: str, reduction: Reduction) -> int:
    """A seed of its own for each layer, the same whichever other layers are chosen."""
    return int.from_bytes(hashlib.sha256(f"{reduction.seed} {layer}".encode()).digest()[:4], "little")


class Projection(NamedTuple):
    """A sparse matrix, features x units, by its entries: feature (ascending), unit, value."""

    feature: np.ndarray
    unit: np.ndarray
    value: np.ndarray
    size: int


def projection(units: int, size: int, seed: int) -> Projection:
    """Entries of scikit-learn's ``SparseRandomProjection(size, random_state=seed)`` for that many units."""
    matrix = SparseRandomProjection(size, random_state=seed).fit(np.zeros((1, units), np.float32)).components_.tocoo()
    order = np.argsort(matrix.row, kind="stable")
    return Projection(matrix.row[order], matrix.col[order], matrix.data[order].astype(np.float32), size)


def _project(x: jax.Array, matrix: Projection) -> jax.Array:
    products = (x[:, matrix.unit] * matrix.value).T
    return jax.ops.segment_sum(products, jnp.asarray(matrix.feature), matrix.size, indices_are_sorted=True).T
