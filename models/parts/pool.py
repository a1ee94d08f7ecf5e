"""Pooling over images x height x width x channels."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from models.parts.convolution import PRECISION


def max_pool(x: jax.Array, kernel: int, stride: int, padding: int = 0, *, ceil: bool = False) -> jax.Array:
    """Equals ``torch.nn.functional.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil)``, axes aside."""
    along = [_ends(size, kernel, stride, padding, ceil) for size in x.shape[1:3]]
    return lax.reduce_window(
        x, -jnp.inf, lax.max, (1, kernel, kernel, 1), (1, stride, stride, 1), ((0, 0), *along, (0, 0))
    )


def average_pool(
    x: jax.Array, kernel: int, stride: int, padding: int = 0, *, ceil: bool = False, count_padding: bool = True
) -> jax.Array:
    """Equals ``torch.nn.functional.avg_pool2d(x, kernel, stride, padding, ceil, count_padding)``, axes aside."""
    along = [_ends(size, kernel, stride, padding, ceil) for size in x.shape[1:3]]
    ends = ((0, 0), *along, (0, 0))
    total = lax.reduce_window(x, 0.0, lax.add, (1, kernel, kernel, 1), (1, stride, stride, 1), ends)
    # What torch divides by: positions inside the picture, and inside its symmetric padding where that counts.
    counted = padding if count_padding else 0
    counts = [
        _counts(size, kernel, stride, padding, counted, outputs)
        for size, outputs in zip(x.shape[1:3], total.shape[1:3], strict=True)
    ]
    return total / np.multiply.outer(*counts)[None, :, :, None].astype(x.dtype)


def adaptive_average_pool(x: jax.Array, out: int) -> jax.Array:
    """Equals ``torch.nn.functional.adaptive_avg_pool2d(x, out)``, axes aside."""
    if x.shape[1:3] == (out, out):
        return x
    rows, columns = (_bins(size, out).astype(x.dtype) for size in x.shape[1:3])
    return jnp.einsum("nhwc,ih,jw->nijc", x, rows, columns, precision=PRECISION)


def global_average_pool(x: jax.Array) -> jax.Array:
    """Mean over positions: images x channels."""
    return x.mean((1, 2))


def flatten_channels_first(x: jax.Array) -> jax.Array:
    """Images x (channels height width), the order in which PyTorch's weights after a flattening are stored."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def _ends(size: int, kernel: int, stride: int, padding: int, ceil: bool) -> tuple[int, int]:
    if not ceil:
        return padding, padding
    outputs = math.ceil((size + 2 * padding - kernel) / stride) + 1
    if (outputs - 1) * stride >= size + padding:  # torch drops a window that would start in the right padding
        outputs -= 1
    return padding, max((outputs - 1) * stride + kernel - size - padding, padding)


def _counts(size: int, kernel: int, stride: int, padding: int, counted: int, outputs: int) -> np.ndarray:
    start = np.arange(outputs) * stride - padding
    return np.minimum(start + kernel, size + counted) - np.maximum(start, -counted)


def _bins(size: int, out: int) -> np.ndarray:
    """Averages over the overlapping bins floor(i size / out) to ceil((i + 1) size / out): out x size."""
    matrix = np.zeros((out, size), np.float32)
    for index in range(out):
        first, last = index * size // out, -(-(index + 1) * size // out)
        matrix[index, first:last] = 1 / (last - first)
    return matrix
