"""Training of the variational autoencoder of :mod:`models.architectures.vae`, without labels."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from engine.errors import InputError, unknown
from engine.training.elbo import bernoulli, divergence, drawn, gaussian
from engine.training.step import Batch, Objective, Terms
from models.architectures.vae import VAE

LIKELIHOODS = ("bernoulli", "gaussian")
LARGEST = 255.0


def vae(beta: float = 1.0, likelihood: str = "bernoulli", sigma: float = 1.0) -> Objective:
    """The negative evidence lower bound, mean over the batch, with one draw of the latents for every picture.

    Terms: ``reconstruction`` (- log p, with the draw) and ``divergence`` (before beta), both in nats per picture.

    Args:
        beta: weight of the divergence.
        likelihood: of a pixel from 0 to 1: ``bernoulli`` (as in most studies of disentanglement), or ``gaussian``
            around the reconstruction, which is a sigmoid in either case.
        sigma: standard deviation of ``gaussian``.

    Returns:
        An objective of the port's own parameters, on ``image``: b x 64 x 64 x 3, uint8, or float32 from 0 to 1.

    Raises:
        InputError: the likelihood is not known, or beta negative or sigma not positive.
    """
    if likelihood not in LIKELIHOODS:
        raise unknown("likelihood", likelihood, LIKELIHOODS)
    if not (beta >= 0 and sigma > 0):
        raise InputError(f"beta={beta}, sigma={sigma}: wanted beta of 0 or more and sigma above 0")
    graph, _ = nnx.split(nnx.eval_shape(lambda: VAE(nnx.Rngs(0))))

    def objective(params: Any, statistics: Any, batch: Batch, key: jax.Array) -> tuple[jax.Array, tuple[Terms, Any]]:
        module, pixels = nnx.merge(graph, params), batch["image"]
        if pixels.dtype == jnp.uint8:
            pixels = pixels.astype(jnp.float32) / LARGEST
        layers = module.encode(pixels)
        _, logits = module.decode(drawn(key, layers["mean"], layers["logvar"]))
        if likelihood == "bernoulli":
            missed = bernoulli(logits, pixels)
        else:
            missed = gaussian(jax.nn.sigmoid(logits), pixels, sigma)
        reconstruction, kl = jnp.mean(missed), jnp.mean(divergence(layers["mean"], layers["logvar"]))
        return reconstruction + beta * kl, ({"reconstruction": reconstruction, "divergence": kl}, statistics)

    return objective
