"""Training of the port's variational autoencoder."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from engine.errors import InputError
from engine.training.elbo import drawn
from engine.training.vae import vae
from models.architectures.vae import VAE
from models.port import Choice
from models.trainable import trainable
from models.zoo import spec


def start() -> Any:
    """Parameters as ``trainable`` has them, drawn with NumPy: XLA takes seconds to compile the drawing."""
    rng = np.random.default_rng(0)

    def draw(like: jax.ShapeDtypeStruct) -> jax.Array:
        fan = np.prod(like.shape[:-1])
        return jnp.asarray(rng.normal(size=like.shape) * (1 / fan) ** 0.5 * (len(like.shape) > 1), jnp.float32)

    return jax.tree.map(draw, jax.eval_shape(lambda: trainable(spec("vae"), Choice("random")).params))


def squares(rng: np.random.Generator, count: int) -> np.ndarray:
    """One bright square each, anywhere, in some colour."""
    images = np.full((count, 64, 64, 3), 30, np.uint8)
    for image in images:
        top, left = rng.integers(0, 40, 2)
        image[top : top + 24, left : left + 24] = rng.integers(100, 256, 3)
    return images


@jax.jit
def written_out(params: Any, images: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Mean and log-variance of the whole module's layers, and the logits of pictures decoded from a draw."""
    module = nnx.merge(nnx.split(nnx.eval_shape(lambda: VAE(nnx.Rngs(0))))[0], params)
    layers = module(images.astype(jnp.float32) / 255)
    latents = drawn(key, layers["mean"], layers["logvar"])
    return layers["mean"], layers["logvar"], module.decode(latents)[1]


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_loss_is_the_negative_bound_written_out(likelihood: str) -> None:
    params, images, key = start(), squares(np.random.default_rng(0), 4), jax.random.key(3)
    loss, (terms, statistics) = jax.jit(vae(4.0, likelihood, 0.5))(params, {}, {"image": images}, key)
    mean, logvar, logits = (np.asarray(each, np.float64) for each in written_out(params, images, key))
    p, x = 1 / (1 + np.exp(-logits)), images / 255
    if likelihood == "bernoulli":
        missed = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum((1, 2, 3))
    else:
        missed = ((x - p) ** 2 / (2 * 0.25) + 0.5 * np.log(2 * np.pi * 0.25)).sum((1, 2, 3))
    kl = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).sum(1)
    assert abs(float(terms["reconstruction"]) / missed.mean() - 1) < 1e-5
    assert abs(float(terms["divergence"]) / kl.mean() - 1) < 1e-4
    assert abs(float(loss) / (missed.mean() + 4 * kl.mean()) - 1) < 1e-5
    assert statistics == {}


def test_training_from_scratch_learns_what_pictures_have_in_common() -> None:
    objective, optimiser, rng = vae(), optax.adam(4e-3), np.random.default_rng(1)

    @jax.jit
    def step(params: Any, state: Any, batch: Any, key: jax.Array) -> Any:
        (loss, _), gradient = jax.value_and_grad(objective, has_aux=True)(params, {}, batch, key)
        change, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, change), state, loss

    params = start()
    state = jax.jit(optimiser.init)(params)
    losses = []
    for number in range(40):  # every batch is new
        params, state, loss = step(params, state, {"image": squares(rng, 8)}, jax.random.key(number))
        losses.append(float(loss))
    # It starts near a coin for every pixel, 64 * 64 * 3 * log 2 nats. The mean picture for all is the best that can be
    # had without telling pictures apart; a few steps go most of the way there.
    pixels = squares(rng, 64) / 255
    mean = pixels.mean(0)
    common = -(pixels * np.log(mean) + (1 - pixels) * np.log(1 - mean)).sum((1, 2, 3)).mean()
    assert abs(losses[0] - 64 * 64 * 3 * np.log(2)) < 200
    assert np.mean(losses[-5:]) - common < 0.2 * (losses[0] - common)


def test_settings_that_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean bernoulli"):
        vae(likelihood="bernouli")
    with pytest.raises(InputError, match="beta of 0 or more"):
        vae(beta=-1.0)
