"""The transposed convolution, which decoders grow pictures with."""

import jax
import jax.numpy as jnp
from flax import nnx

from models.parts.convolution import PRECISION
from models.parts.linear import Kernel
from models.parts.strided import transposed


class ConvTranspose(nnx.Module):
    """Equals ``torch.nn.ConvTranspose2d(incoming, out, kernel, stride, padding)``, axes aside.

    ``weight``: height x width x out x in, so that a PyTorch file, in x out x height x width, is read as any kernel is.
    """

    def __init__(
        self, incoming: int, out: int, kernel: int, rngs: nnx.Rngs, *, stride: int = 1, padding: int = 0
    ) -> None:
        initial = nnx.initializers.he_normal(in_axis=-1, out_axis=-2)
        self.weight = Kernel(initial(rngs.params(), (kernel, kernel, out, incoming), jnp.float32))
        self.bias = nnx.Param(jnp.zeros(out, jnp.float32))
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def __call__(self, x: jax.Array) -> jax.Array:
        """(size - 1) stride - 2 padding + kernel positions along each axis."""
        height, width = ((n - 1) * self.stride - 2 * self.padding + self.kernel for n in x.shape[1:3])
        zeros = (self.padding, self.padding)
        y = transposed(x, self.weight[...], (height, width), self.stride, (zeros, zeros), PRECISION)
        return y + self.bias[...]
