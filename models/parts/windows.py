"""Attention within the square windows of a map, with a learned bias for every relative position."""

import jax
import jax.numpy as jnp
import numpy as np

from models.parts.convolution import PRECISION
from models.parts.precision import as_given, widened


def relative_positions(size: int) -> np.ndarray:
    """Which row of a table holds the bias of every pair of positions in a window: size² x size², queries first.

    The table has (2 size - 1)² rows, one for each offset in rows and columns, both from 1 - size on.
    """
    rows, columns = np.divmod(np.arange(size * size, dtype=np.int32), size)
    down = rows[:, None] - rows[None, :] + size - 1
    right = columns[:, None] - columns[None, :] + size - 1
    return down * (2 * size - 1) + right


def relative_bias(table: jax.Array, size: int) -> jax.Array:
    """heads x size² x size², from a table of (2 size - 1)² x heads."""
    return table[relative_positions(size)].transpose(2, 0, 1)


def into_windows(x: jax.Array, size: int) -> jax.Array:
    """images x height x width x channels -> images x windows x size² x channels; the map is a multiple of size."""
    count, height, width, channels = x.shape
    x = x.reshape(count, height // size, size, width // size, size, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(count, -1, size * size, channels)


def out_of_windows(windows: jax.Array, size: int, height: int, width: int) -> jax.Array:
    """The inverse of :func:`into_windows`."""
    x = windows.reshape(len(windows), height // size, width // size, size, size, -1)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(len(windows), height, width, -1)


def attend_with_bias(query: jax.Array, key: jax.Array, value: jax.Array, bias: jax.Array) -> jax.Array:
    """softmax(query . key + bias) times value, for every head.

    Args:
        query: ... x queries x heads x channels, already scaled.
        key: ... x keys x heads x channels.
        value: ... x keys x heads x any number of channels.
        bias: heads x queries x keys, with any leading axes of the others.

    Returns:
        ... x queries x (heads channels).
    """
    scores = jnp.einsum("...qhc,...khc->...hqk", query, key, precision=PRECISION) + bias
    weights = as_given(jax.nn.softmax(widened(scores)), value)
    found = jnp.einsum("...hqk,...khc->...qhc", weights, value, precision=PRECISION)
    return found.reshape(*found.shape[:-2], -1)
