"""Squeeze-and-excitation (Hu, Shen & Sun, CVPR 2018): channels weighed by what the whole picture holds of them."""

from collections.abc import Callable

import jax
from flax import nnx

from models.parts.conv import Conv

Activation = Callable[[jax.Array], jax.Array]


class SqueezeExcite(nnx.Module):
    """x times one factor per channel, made of the channels' means over positions by two 1x1 convolutions.

    Equals timm's ``SqueezeExcite`` and, with ``fc1`` and ``fc2`` for its parameters, torchvision's
    ``SqueezeExcitation``. ``gate`` is what keeps the factors between 0 and 1.
    """

    def __init__(
        self, channels: int, squeezed: int, rngs: nnx.Rngs, *, activation: Activation, gate: Activation
    ) -> None:
        self.conv_reduce = Conv(channels, squeezed, 1, rngs)
        self.conv_expand = Conv(squeezed, channels, 1, rngs)
        self.activation, self.gate = activation, gate

    def __call__(self, x: jax.Array) -> jax.Array:
        means = x.mean((1, 2), keepdims=True)
        return x * self.gate(self.conv_expand(self.activation(self.conv_reduce(means))))
