"""The convolution as a module."""

import jax
import jax.numpy as jnp
from flax import nnx

from models.parts.convolution import (
    Padding,
    dense,
    dense_by_patches,
    depthwise,
    grouped,
    patchwise,
    pointwise,
    same,
)
from models.parts.linear import Kernel


class Conv(nnx.Module):
    """Equals ``torch.nn.Conv2d(incoming, out, kernel, stride, padding, groups=groups, bias=bias)``, axes aside.

    ``weight``: height x width x in / groups x out. ``padding``: zeros on each side, or ``"same"`` for TensorFlow's
    rule, which depends on the images' size and puts the odd zero last.
    """

    def __init__(
        self,
        incoming: int,
        out: int,
        kernel: int,
        rngs: nnx.Rngs,
        *,
        stride: int = 1,
        padding: int | str = 0,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        shape = (kernel, kernel, incoming // groups, out)
        self.weight = Kernel(nnx.initializers.he_normal()(rngs.params(), shape, jnp.float32))
        self.bias = nnx.data(nnx.Param(jnp.zeros(out, jnp.float32)) if bias else None)
        self.kernel, self.stride, self.padding, self.groups = kernel, stride, padding, groups

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self._convolved(x)
        return y if self.bias is None else y + self.bias[...]

    def _convolved(self, x: jax.Array) -> jax.Array:
        weight, channels = self.weight[...], x.shape[-1]
        if self.kernel == 1 and self.groups == 1 and self.padding in (0, "same"):
            return pointwise(x[:, :: self.stride, :: self.stride], weight)
        if self.kernel == self.stride and self.groups == 1 and self.padding == 0:
            return patchwise(x, weight)
        padding = self._zeros(x)
        if self.groups == 1:
            # Measured with two images: few positions make a product over patches faster than XLA's own convolution on
            # a CPU; so do small kernels over red, green and blue, of which larger ones make too many patches.
            positions = x.shape[1] * x.shape[2] // self.stride**2
            patches = positions <= 64 if channels > 4 else self.kernel <= 3 and self.stride > 1
            return (dense_by_patches if patches else dense)(x, weight, self.stride, padding)
        if self.groups == channels == weight.shape[-1]:
            return depthwise(x, weight, self.stride, padding)
        return grouped(x, weight, self.stride, padding, self.groups)

    def _zeros(self, x: jax.Array) -> Padding:
        if self.padding == "same":
            return same(x, self.kernel, self.stride)
        zeros = int(self.padding)
        return (zeros, zeros), (zeros, zeros)
