"""Normalisation, and the folding of batch normalisation into the convolution before it."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from engine.errors import InputError
from models.parts.conv import Conv
from models.parts.linear import Kernel, Linear
from models.parts.precision import as_given, widened

MOMENTUM = 0.1
"""What a batch counts in the running statistics: PyTorch's default (Keras would call it 0.9), here of every model."""


class BatchNorm(nnx.Module):
    """(x - mean) / sqrt(var + epsilon) * weight + bias per channel; equals ``torch.nn.BatchNorm2d``, axes aside.

    In evaluation mode, as it is made, mean and variance are the running ones. In training mode
    (``use_running_average`` False, which ``nnx.Module.train`` sets) they are those of the batch, over all axes but the
    last, the variance the population's, and the running ones move a tenth of the way to them, to the unbiased variance:

        running := 0.9 running + 0.1 (mean, n / (n - 1) var),    n values per channel

    After :func:`fold` it holds nothing and returns what it is given.
    """

    def __init__(self, channels: int, *, epsilon: float = 1e-5, scale: bool = True) -> None:
        self.weight = nnx.Param(jnp.ones(channels, jnp.float32)) if scale else None
        self.bias = nnx.Param(jnp.zeros(channels, jnp.float32))
        self.running_mean = nnx.BatchStat(jnp.zeros(channels, jnp.float32))
        self.running_var = nnx.BatchStat(jnp.ones(channels, jnp.float32))
        self.epsilon = epsilon
        self.use_running_average = True
        self.folded = False

    def factor(self, variance: jax.Array) -> jax.Array:
        """weight / sqrt(var + epsilon)."""
        inverse = (variance + self.epsilon) ** -0.5
        return inverse if self.weight is None else self.weight[...] * inverse

    def __call__(self, x: jax.Array) -> jax.Array:
        """... x channels -> the same.

        Raises:
            InputError: one value per channel, which has no variance, in training mode.
        """
        if self.folded:
            return x
        if self.use_running_average:
            mean, variance = self.running_mean[...], self.running_var[...]
        else:
            mean, variance = self._of_batch(x)
        return as_given((x - mean) * self.factor(variance) + self.bias[...], x)

    def _of_batch(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Mean and population variance; the running ones follow."""
        axes, count = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
        if count < 2:
            raise InputError(
                "batch normalisation cannot be trained with one value per channel: give more images per batch, larger "
                "ones, or leave its statistics as they are"
            )
        x = widened(x)
        mean = x.mean(axes)
        variance = jnp.square(x - mean).mean(axes)
        for running, new in ((self.running_mean, mean), (self.running_var, variance * (count / (count - 1)))):
            moved = (1 - MOMENTUM) * running[...] + MOMENTUM * lax.stop_gradient(new)
            running[...] = moved.astype(running[...].dtype)
        return mean, variance

    def fold_into(self, conv: Conv | Linear) -> None:
        """Scales the kernel and shifts the bias of what came before so that they do what this did, up to rounding."""
        factor = self.factor(self.running_var[...])
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
        wide = widened(x)
        centred = wide - wide.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        return as_given(centred * lax.rsqrt(variance + self.epsilon) * self.weight[...] + self.bias[...], x)


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
