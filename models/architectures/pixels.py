"""The picture itself: what a model has to beat before its features mean anything. No weights."""

import jax
import jax.numpy as jnp
from flax import nnx

from models.port import Port


def luma(images: jax.Array) -> jax.Array:
    """Red, green and blue to one grey channel with the weights of ITU-R BT.601, as Pillow's mode ``L`` has them.

    Linear: no gamma is undone. images x height x width x 3 -> images x height x width x 1.
    """
    return 0.299 * images[..., :1] + 0.587 * images[..., 1:2] + 0.114 * images[..., 2:]


class Pixels(nnx.Module):
    """Layers: ``pixels``, the normalised images as they come, and ``pixels.grey``, their one grey channel."""

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        x = x.astype(jnp.float32)
        return {"pixels": x, "pixels.grey": luma(x)}


def pixels() -> Port:
    """No parameters."""
    return Port(build=lambda rngs: Pixels(), layers=("pixels", "pixels.grey"))
