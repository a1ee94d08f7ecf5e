"""Layer summaries: a layer is its Gram matrix.

Everything linear or distance-based about a layer with n stimuli and p units is in X Xᵀ (n x n), so a layer is
summarised once and its p columns are then forgotten. Cost of one layer: n² p multiply-adds for the upper blocks
(half of the full product, the rest is symmetric) and 4 n p bytes read about n / block times.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError

FIRST = 16  # stimuli whose mean is the shift: any fixed vector near the mean serves


class Summary(NamedTuple):
    """One layer over n stimuli, shifted by a fixed vector m (one value per unit) so that float32 loses less.

    Centred quantities (ridge with intercept, CKA, euclidean distances) do not depend on m; ``raw_gram`` undoes it.

    Attributes:
        gram: n x n, (X - m)(X - m)ᵀ, float32 or float64.
        sums: n, sum over units of X.
        along_shift: n, (X - m) mᵀ.
        shift_squared: m mᵀ.
        units: p.
    """

    gram: np.ndarray
    sums: np.ndarray
    along_shift: np.ndarray
    shift_squared: float
    units: int


def raw_gram(summary: Summary) -> np.ndarray:
    """X Xᵀ in float64, n x n: equal to ``X @ X.T`` of the unshifted activations."""
    along = np.asarray(summary.along_shift, np.float64)
    return np.asarray(summary.gram, np.float64) + along[:, None] + along[None, :] + summary.shift_squared


def add(a: Summary, b: Summary) -> Summary:
    """The summary of the units of ``a`` and of ``b`` together (two slices of one layer)."""
    return Summary(
        a.gram + b.gram,
        a.sums + b.sums,
        a.along_shift + b.along_shift,
        a.shift_squared + b.shift_squared,
        a.units + b.units,
    )


def summarise(blocks: list[jax.Array], stimuli: int) -> Summary:
    """Summary of one layer given as row blocks of equal size (stimuli x units), consumed in place.

    The blocks' rows follow each other; rows beyond ``stimuli`` are padding and ignored. The list is emptied and
    its arrays are donated, so that no second copy of a layer is ever held.
    Equal to ``(X - m) @ (X - m).T`` with m the mean of the first stimuli.
    """
    mean = jnp.mean(blocks[0][:FIRST], axis=0)
    shifted = []
    while blocks:
        shifted.append(_shift(blocks.pop(0), mean))
    upper = _upper_products(shifted)
    size = shifted[0].shape[0]
    gram = np.empty((size * len(shifted),) * 2, upper[0][0].dtype)
    for i, row in enumerate(upper):
        for j, product in enumerate(row, start=i):
            part = np.asarray(product)
            gram[i * size : (i + 1) * size, j * size : (j + 1) * size] = part
            gram[j * size : (j + 1) * size, i * size : (i + 1) * size] = part.T
    total, along, squared = _moments(shifted, mean)
    return Summary(
        np.ascontiguousarray(gram[:stimuli, :stimuli]),
        np.asarray(total)[:stimuli],
        np.asarray(along)[:stimuli],
        float(squared),
        mean.shape[0],
    )


def check_finite(layer: str, finite: np.ndarray, cause: str) -> None:
    """Raises InputError where not all stimuli are ``finite``; names the layer and counts them."""
    bad = ~finite
    if bad.any():
        raise InputError(
            f"layer '{layer}' gives activations that are not finite for {bad.sum()} of {bad.size} stimuli "
            f"(the first is number {int(np.argmax(bad))}); check {cause}, or leave the layer out with layers=[...]"
        )


@jax.jit
def _moments(blocks: Sequence[jax.Array], mean: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    total = jnp.concatenate([jnp.sum(block, axis=1) for block in blocks]) + jnp.sum(mean)
    along = jnp.concatenate([jnp.matmul(block, mean, precision="highest") for block in blocks])
    return total, along, jnp.dot(mean, mean, precision="highest")


def _subtract(block: jax.Array, mean: jax.Array) -> jax.Array:
    return block - mean[None, :]


_shift = jax.jit(_subtract, donate_argnums=0)


@jax.jit
def _upper_products(blocks: Sequence[jax.Array]) -> list[list[jax.Array]]:
    # Whole arrays as operands: slices of one large array would be copied before every product.
    return [[jnp.matmul(left, right.T, precision="highest") for right in blocks[i:]] for i, left in enumerate(blocks)]
