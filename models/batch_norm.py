"""Convolutions followed by batch normalisation in evaluation mode, and the folding of one into the other."""

import jax
import jax.numpy as jnp
from flax import nnx


class NormalisedKernel(nnx.Module):
    """A convolution kernel and the batch normalisation of what it gives.

    Holds the kernel (height x width x in x out, depthwise: in = 1) and, per output channel, scale, bias, running mean
    and running variance; after :meth:`fold`, kernel and bias alone.
    """

    def __init__(self, shape: tuple[int, int, int, int], epsilon: float, rngs: nnx.Rngs) -> None:
        channels = shape[-1:]
        self.kernel = nnx.Param(nnx.initializers.he_normal()(rngs.params(), shape, jnp.float32))
        self.scale = nnx.Param(jnp.ones(channels, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(channels, jnp.float32))
        self.mean = nnx.BatchStat(jnp.zeros(channels, jnp.float32))
        self.var = nnx.BatchStat(jnp.ones(channels, jnp.float32))
        self.epsilon = epsilon
        self.folded = False

    def normalise(self, convolved: jax.Array) -> jax.Array:
        """(x - mean) / sqrt(var + epsilon) * scale + bias; after folding, x + bias."""
        if self.folded:
            return convolved + self.bias[...]
        factor = self.scale[...] * (self.var[...] + self.epsilon) ** -0.5
        return (convolved - self.mean[...]) * factor + self.bias[...]

    def fold(self) -> None:
        """Scales the kernel and shifts the bias so that they do what the normalisation did, up to rounding."""
        factor = self.scale[...] * (self.var[...] + self.epsilon) ** -0.5
        self.kernel = nnx.Param(self.kernel[...] * factor)
        self.bias = nnx.Param(self.bias[...] - self.mean[...] * factor)
        del self.scale, self.mean, self.var
        self.folded = True


def fold(module: nnx.Module) -> None:
    """Folds every batch normalisation inside a module, in place; half the code for XLA to compile.

    Works on NumPy arrays, as they come from a weight file, without starting a device.
    """
    for _, child in nnx.iter_modules(module):
        if isinstance(child, NormalisedKernel) and not child.folded:
            child.fold()
