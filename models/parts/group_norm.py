"""Group normalisation, which keeps no statistics: training and evaluation are the same."""

import jax
import jax.numpy as jnp
from flax import nnx

from models.parts.precision import as_given, widened


class GroupNorm(nnx.Module):
    """Per image over the positions and channels of each of ``groups`` equal groups of neighbouring channels,
    population variance; equals ``torch.nn.GroupNorm(groups, channels)``, axes aside."""

    def __init__(self, groups: int, channels: int, *, epsilon: float = 1e-5) -> None:
        self.weight = nnx.Param(jnp.ones(channels, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(channels, jnp.float32))
        self.groups, self.epsilon = groups, epsilon

    def __call__(self, x: jax.Array) -> jax.Array:
        grouped = widened(x).reshape(*x.shape[:3], self.groups, -1)
        centred = grouped - grouped.mean((1, 2, 4), keepdims=True)
        variance = (centred * centred).mean((1, 2, 4), keepdims=True)
        normalised = (centred * jax.lax.rsqrt(variance + self.epsilon)).reshape(x.shape)
        return as_given(normalised * self.weight[...] + self.bias[...], x)
