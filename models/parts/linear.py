"""Matrix products over the last axis."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from models.parts.convolution import PRECISION


class Kernel(nnx.Param):
    """What inputs are multiplied with: ... x in x out.

    The type tells the reader of weight files which tensors PyTorch holds the other way round (out x in x ...).
    """


class FixedKernel(Kernel):
    """A kernel that training leaves as it is: filters that were designed, not learned."""


class Linear(nnx.Module):
    """x W + b over the last axis; equals ``torch.nn.Linear``. ``weight``: in x out."""

    def __init__(self, incoming: int, out: int, rngs: nnx.Rngs, *, bias: bool = True) -> None:
        self.weight = Kernel(nnx.initializers.lecun_normal()(rngs.params(), (incoming, out), jnp.float32))
        self.bias = nnx.data(nnx.Param(jnp.zeros(out, jnp.float32)) if bias else None)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = lax.dot_general(x, self.weight[...], (((x.ndim - 1,), (0,)), ((), ())), precision=PRECISION)
        return y if self.bias is None else y + self.bias[...]
