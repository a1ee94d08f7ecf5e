"""Which pixels a model's answer depends on: the gradient of the true class's logit with respect to the image.

The logits of all images, each that of its own class, are added up and the sum is differentiated once: one forward and
one backward pass for a batch (about three forward passes' worth of work, less the gradients of the parameters). Where
images do not see each other - every layer in evaluation mode - each gradient is that of the image's own logit alone.
Batch normalisation in training mode couples the images of a batch: the gradient then holds each image's effect on all
logits of the batch, which is what the published training code differentiates too (Fel et al., NeurIPS 2022).

The gradient is taken with respect to the normalised image, (pixel - mean) / std, as in the published code.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Normalise = Callable[[jax.Array], jax.Array]
"""uint8 images -> float images as the model takes them; of a model of the zoo ``models.preprocessing.normalise``."""


def input_gradient(
    logits: Callable[[jax.Array], tuple[jax.Array, Any]], images: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array, Any]:
    """Gradient with respect to the images of the sum over images of the logit of each one's label.

    Equals ``torch.autograd.grad(logits(images)[arange, labels].sum(), images)``. May itself be differentiated.

    Args:
        logits: images -> (images x classes, anything else that the same forward pass gives).
        images: images x height x width x 3, float.
        labels: images, integer. Of one that is no class the gradient is zero.

    Returns:
        The gradient, of the shape of the images; the logits; the rest. Never less precise than float32.
    """

    def total(images: jax.Array) -> tuple[jax.Array, tuple[jax.Array, Any]]:
        found, rest = logits(images)
        found = _at_least_float32(found)
        return (found * jax.nn.one_hot(labels, found.shape[-1], dtype=found.dtype)).sum(), (found, rest)

    gradient, (found, rest) = jax.grad(total, has_aux=True)(images)
    return _at_least_float32(gradient), found, rest


def channel_mean(gradient: jax.Array) -> jax.Array:
    """Mean over channels, signed: the saliency of the map loss. ... x channels -> ..."""
    return gradient.mean(-1)


def largest_channel(gradient: jax.Array) -> jax.Array:
    """Largest absolute value over channels: the saliency of the human alignment score. ... x channels -> ..."""
    return jnp.abs(gradient).max(-1)


def saliency_maps(
    logits: Callable[[Any, jax.Array], jax.Array],
    params: Any,
    images: np.ndarray,
    labels: np.ndarray,
    normalise: Normalise,
    *,
    batch: int = 16,
    advance: Callable[[int], None] = lambda images: None,
) -> np.ndarray:
    """``largest_channel`` of every image's gradient, with a model in evaluation mode.

    Equals Xplique's ``Saliency(model, reducer="max")``, the published score's default.

    Args:
        logits: (params, float images) -> images x classes; pure. Each image's logits must depend on it alone.
        params: whatever ``logits`` takes.
        images: images x height x width x 3, uint8, prepared for the model, or already normalised float32.
        labels: images, integer, each a class.
        normalise: for uint8 images.
        batch: images in one call; changes speed and memory only.
        advance: called after each batch with the number of images done.

    Returns:
        images x height x width, float32, on the host: 200 kB for an image of 224 x 224.
    """
    count = len(images)
    found = np.empty(images.shape[:3], np.float32)
    of_batch = _compiled(logits, normalise)
    size = min(batch, count)
    for start in range(0, count, max(size, 1)):
        chosen = np.minimum(np.arange(start, start + size), count - 1)  # the last batch repeats the last image
        part = found[start : start + size]
        part[:] = np.asarray(of_batch(params, images[chosen], labels[chosen]))[: len(part)]
        advance(len(part))
    return found


@lru_cache(maxsize=4)
def _compiled(logits: Callable[[Any, jax.Array], jax.Array], normalise: Normalise) -> Callable[..., jax.Array]:
    """Once for a model that is judged again and again."""
    return jax.jit(partial(_of_batch, logits, normalise))


def _of_batch(
    logits: Callable[[Any, jax.Array], jax.Array],
    normalise: Normalise,
    params: Any,
    images: jax.Array,
    labels: jax.Array,
) -> jax.Array:
    ready = normalised(images, normalise)
    return largest_channel(input_gradient(lambda x: (logits(params, x), None), ready, labels)[0])


def normalised(images: jax.Array, normalise: Normalise) -> jax.Array:
    """The images as the model takes them: uint8 ones normalised, float ones as they are."""
    return normalise(images) if images.dtype == jnp.uint8 else images


def _at_least_float32(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
