"""Normalisation in evaluation mode, and the folding of batch normalisation into the convolution before it."""

import jax
import jax.numpy as jnp
from flax import nnx

from models.parts.conv import Conv
from models.parts.linear import Kernel, Linear


class BatchNorm(nnx.Module):
    """(x - mean) / sqrt(var + epsilon) * weight + bias per channel; equals ``torch.nn.BatchNorm2d(...).eval()``.

    After :func:`fold` it holds nothing and returns what it is given.
    """

    def __init__(self, channels: int, *, epsilon: float = 1e-5, scale: bool = True) -> None:
        self.weight = nnx.Param(jnp.ones(channels, jnp.float32)) if scale else None
        self.bias = nnx.Param(jnp.zeros(channels, jnp.float32))
        self.running_mean = nnx.BatchStat(jnp.zeros(channels, jnp.float32))
        self.running_var = nnx.BatchStat(jnp.ones(channels, jnp.float32))
        self.epsilon = epsilon
        self.folded = False

    def factor(self) -> jax.Array:
        """weight / sqrt(var + epsilon)."""
        inverse = (self.running_var[...] + self.epsilon) ** -0.5
        return inverse if self.weight is None else self.weight[...] * inverse

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.folded:
            return x
        return (x - self.running_mean[...]) * self.factor() + self.bias[...]

    def fold_into(self, conv: Conv | Linear) -> None:
        """Scales the kernel and shifts the bias of what came before so that they do what this did, up to rounding."""
        factor = self.factor()
        before = 0 if conv.bias is None else conv.bias[...]
        conv.weight = Kernel(conv.weight[...] * factor)
        conv.bias = nnx.Param(self.bias[...] + (before - self.running_mean[...]) * factor)
        del self.weight, self.bias, self.running_mean, self.running_var
        self.folded = True


class LayerNorm(nnx.Module):
    """Over the last axis, population variance; equals ``torch.nn.LayerNorm(channels, epsilon)``."""

    def __init__(self, channels: int, *, epsilon: float = 1e-6) -> None:
        self.weight = nnx.Param(jnp.ones(channels, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(channels, jnp.float32))
        self.epsilon = epsilon

    def __call__(self, x: jax.Array) -> jax.Array:
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        return centred * jax.lax.rsqrt(variance + self.epsilon) * self.weight[...] + self.bias[...]


class ConvNorm(nnx.List):
    """A convolution, then batch normalisation: parameters ``0.*`` and ``1.*``, as in ``torch.nn.Sequential``."""

    def __call__(self, x: jax.Array) -> jax.Array:
        conv, norm = self
        return norm(conv(x))


def fold(module: nnx.Module) -> None:
    """Folds, in place, every batch normalisation that directly follows a convolution.

    These are the pairs in a module's ``FOLDS`` (normalisation -> convolution), and a normalisation next after a
    convolution in an ``nnx.List``, whose elements are applied in order. Works on NumPy arrays, as they come from a
    weight file, without starting a device.
    """
    for _, child in nnx.iter_modules(module):
        for norm, conv in getattr(child, "FOLDS", {}).items():
            if getattr(child, norm, None) is not None and not getattr(child, norm).folded:
                getattr(child, norm).fold_into(getattr(child, conv))
        if isinstance(child, nnx.List):
            for before, after in zip(child, list(child)[1:], strict=False):
                if isinstance(before, Conv) and isinstance(after, BatchNorm) and not after.folded:
                    after.fold_into(before)
