"""The evidence lower bound of a variational autoencoder (Kingma & Welling, ICLR 2014), term by term, in nats.

    -ELBO = - E log p(x | z) + beta KL(q(z | x) | N(0, 1))

q is normal with a diagonal covariance; beta is 1 for the bound, more to disentangle (Higgins et al., ICLR 2017). Each
function gives one value per picture, summed over its pixels or latents.
"""

import math

import jax
import jax.numpy as jnp


def bernoulli(logits: jax.Array, pixels: jax.Array) -> jax.Array:
    """- log p of pixels in [0, 1], each its own coin: sum of log(1 + exp(l)) - l x.

    Equals ``torch.nn.functional.binary_cross_entropy_with_logits(logits, pixels, reduction="none")``, summed. Of pixels
    that are not 0 or 1 it is a cross-entropy, at its least where the coin's share is the pixel.
    """
    return _sum(jax.nn.softplus(logits) - logits * pixels)


def gaussian(mean: jax.Array, pixels: jax.Array, sigma: float) -> jax.Array:
    """- log p of normal pixels: sum of ((x - m) / sigma)² / 2 + log(sigma sqrt(2 pi)); sigma is fixed."""
    return _sum(((pixels - mean) / sigma) ** 2 / 2 + math.log(sigma * math.sqrt(2 * math.pi)))


def divergence(mean: jax.Array, logvar: jax.Array) -> jax.Array:
    """KL(N(mean, exp(logvar)) | N(0, 1)), sum of (m² + exp(v) - 1 - v) / 2 over the latents."""
    return _sum(mean**2 + jnp.expm1(logvar) - logvar) / 2


def drawn(key: jax.Array, mean: jax.Array, logvar: jax.Array) -> jax.Array:
    """One sample of q, differentiable in mean and logvar: mean + exp(logvar / 2) times noise."""
    return mean + jnp.exp(logvar / 2) * jax.random.normal(key, mean.shape, mean.dtype)


def _sum(values: jax.Array) -> jax.Array:
    return values.reshape(len(values), -1).sum(axis=1)
