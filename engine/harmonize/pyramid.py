"""The map loss: a model's saliency beside human maps, standardised, rectified and compared at several resolutions.

Fel et al. (Harmonizing the object recognition strategies of deep neural networks with humans, NeurIPS 2022). For the
saliency S of an image, in the model, and a human map H, both height x width:

    cut(M) = relu((M - mean M) / (std M + 1e-5))         std over all n pixels, divided by n
    H''    = cut(H) / (max cut(H) + e) (max cut(S) + e)  the human map in the model's units; no gradient through max
    error  = mean over levels k of the mean over pixels of (P_k(cut(S)) - P_k(H''))²

P_k is level k of a Gaussian pyramid, P_0 the map itself. It is linear, so one pyramid of the difference serves.

Cost per image of n pixels: 50 n flops for all levels and a few passes over n numbers: nothing beside a network.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Parity = Literal["released", "training"]
EPSILON = 1e-5  # beside the standard deviation
MAXIMUM = 1e-6  # beside both maxima, in the released code
MAXIMUM_TRAINING = 1e-4  # beside the human maximum alone, in the code that the models were trained with
_BINOMIAL = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16


def pyramid(maps: jax.Array, levels: int) -> list[jax.Array]:
    """The maps, and the same blurred by outer([1, 4, 6, 4, 1]) / 256 and halved, again and again.

    Equals ``tfg.image.pyramid.downsample(maps[..., None], levels - 1)`` of TensorFlow Graphics: stride 2, zeros
    around the map as TensorFlow's SAME puts them (of an even side one before and two after, of an odd one two and
    two), so that n pixels become ceil(n / 2).

    Args:
        maps: maps x height x width, float.
        levels: how many, the maps themselves included.
    """
    kernel = jnp.asarray(np.outer(_BINOMIAL, _BINOMIAL)[None, None], maps.dtype)
    found = [maps]
    for _ in range(levels - 1):
        halved = lax.conv(found[-1][:, None], kernel, (2, 2), "SAME", precision="highest")
        found.append(halved[:, 0])
    return found


def standardise_and_cut(maps: jax.Array) -> jax.Array:
    """relu((map - mean) / (standard deviation + 1e-5)), each map by itself; maps x height x width.

    A constant map becomes zeros, with zeros for a gradient.
    """
    centred = maps - maps.mean((1, 2), keepdims=True)
    variance = (centred * centred).mean((1, 2), keepdims=True)
    flat = variance == 0  # where the slope of the root is infinite, and times zero would be NaN
    deviation = jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, variance)))
    return jax.nn.relu(centred / (deviation + EPSILON))


def in_units_of(saliency: jax.Array, human: jax.Array, parity: Parity | None = None) -> jax.Array:
    """The human maps scaled so that each one's maximum is that of the saliency; both maps x height x width, cut.

    No gradient passes. ``parity="training"`` takes 1e-4 beside the human maximum and nothing beside the other.
    """
    of_human, of_saliency = human.max((1, 2), keepdims=True), saliency.max((1, 2), keepdims=True)
    if parity == "training":
        scale = of_saliency / (of_human + MAXIMUM_TRAINING)
    else:
        scale = (of_saliency + MAXIMUM) / (of_human + MAXIMUM)
    return lax.stop_gradient(human * scale)


def map_errors(saliency: jax.Array, human: jax.Array, levels: int, parity: Parity | None = None) -> jax.Array:
    """The error above of each image.

    Args:
        saliency: images x height x width, float, signed.
        human: images x height x width.
        levels: how many are averaged over.
        parity: of ``in_units_of``.

    Returns:
        images, in the dtype of the saliency.
    """
    cut = standardise_and_cut(saliency)
    wanted = in_units_of(cut, standardise_and_cut(human.astype(cut.dtype)), parity)
    squared = [jnp.square(level).mean((1, 2)) for level in pyramid(cut - wanted, levels)]
    return jnp.stack(squared).mean(0)
