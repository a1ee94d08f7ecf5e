"""The transposed convolution, which decoders grow pictures with."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from models.parts.convolution import PRECISION
from models.parts.linear import Kernel


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
        zeros = (self.kernel - 1 - self.padding,) * 2
        y = lax.conv_general_dilated(
            x,
            self.weight[...][::-1, ::-1],
            (1, 1),
            (zeros, zeros),
            lhs_dilation=(self.stride, self.stride),
            dimension_numbers=("NHWC", "HWOI", "NHWC"),
            precision=PRECISION,
        )
        return y + self.bias[...]
