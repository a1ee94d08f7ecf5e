"""AlexNet's convolutional trunk as torchvision has it (Krizhevsky, arXiv:1404.5997)."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from models.convolution import dense
from models.numpy_pickle import read_numpy_pickle
from models.port import Port
from models.weights import VECTOR, Slot

# Kernel size, stride, zeros on each side, channels; then whether a 3x3 maximum with stride 2 follows.
CONVOLUTIONS = (
    (11, 4, 2, 64, True),
    (5, 1, 2, 192, True),
    (3, 1, 1, 384, False),
    (3, 1, 1, 256, False),
    (3, 1, 1, 256, True),
)


class Convolution(nnx.Module):
    """Convolution with bias, ReLU."""

    def __init__(self, incoming: int, channels: int, kernel: int, stride: int, padding: int, rngs: nnx.Rngs) -> None:
        shape = (kernel, kernel, incoming, channels)
        self.kernel = nnx.Param(nnx.initializers.he_normal()(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(channels, jnp.float32))
        self.stride, self.padding = stride, ((padding, padding), (padding, padding))

    def __call__(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu(dense(x, self.kernel[...], self.stride, self.padding) + self.bias[...])


def pool(x: jax.Array) -> jax.Array:
    """Maximum over 3x3 positions with stride 2, no padding."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")


class AlexNet(nnx.Module):
    """Layers: ``relu1`` to ``relu5`` after each convolution; ``pool1``, ``pool2``, ``pool5`` after each maximum."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        convolutions = []
        incoming = 3
        for kernel, stride, padding, channels, _ in CONVOLUTIONS:
            convolutions.append(Convolution(incoming, channels, kernel, stride, padding, rngs))
            incoming = channels
        self.convolutions = nnx.List(convolutions)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised pictures (images x height x width x 3) -> layer name -> images x height x width x channels."""
        layers = {}
        for number, (convolution, (*_, pooled)) in enumerate(zip(self.convolutions, CONVOLUTIONS, strict=True), 1):
            layers[f"relu{number}"] = x = convolution(x)
            if pooled:
                layers[f"pool{number}"] = x = pool(x)
        return layers


# The file is a perceptual metric's, written by Flax: its kernels are laid out as ours, and it also holds the
# metric's five linear heads.
_TABLE: dict[str, Slot | None] = {f"NetLinLayer_{index}/Conv_0/kernel": None for index in range(5)}
for _index in range(len(CONVOLUTIONS)):
    _TABLE[f"AlexNet_0/Conv_{_index}/kernel"] = Slot(f"convolutions.{_index}.kernel", (0, 1, 2, 3))
    _TABLE[f"AlexNet_0/Conv_{_index}/bias"] = Slot(f"convolutions.{_index}.bias", VECTOR)


def trunk() -> Port:
    """AlexNet up to the last pooling: 2,469,696 parameters."""
    return Port(build=AlexNet, read=read_numpy_pickle, table=_TABLE, images_at_once=2)
