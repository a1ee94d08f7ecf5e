"""Contrastive training of a small network from scratch."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from engine.training.heads import KEY, split_heads
from engine.training.nt_xent import nt_xent
from engine.training.simclr import HEAD, pooled, simclr, with_projection

SIDE = 8


def forward(params: Any, statistics: Any, images: jax.Array, *, train: bool = False, take: Any) -> tuple[Any, Any]:
    """A convolution of one kernel per 4 x 4 pixels; statistics remember how many pictures went through together."""
    assert train
    assert set(params) == {"weight"}
    x = images.astype(jnp.float32).reshape(len(images), 2, 4, 2, 4, 3) / 255 - 0.5
    layer = jax.nn.relu(jnp.einsum("nhiwjc,ijcd->nhwd", x, params["weight"]))
    return take({"conv": layer}), {"together": jnp.float32(len(images))}


@jax.jit
def start() -> Any:
    weight = jax.random.normal(jax.random.key(1), (4, 4, 3, 16)) / 48**0.5
    return with_projection({"weight": weight}, 16, jax.random.key(2))


def pairs(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Gratings: two views share colour and pattern, not brightness and noise."""
    base = rng.uniform(60, 190, (count, 1, 1, 3)) + 40 * np.sin(
        rng.uniform(0.3, 1.5, (count, 1, 1, 1)) * np.arange(SIDE)[:, None, None]
    )
    views = [
        np.clip(base + rng.normal(size=(count, 1, 1, 1)) * 10 + rng.normal(size=(count, SIDE, SIDE, 3)) * 10, 0, 255)
        for _ in range(2)
    ]
    return {"image": views[0].astype(np.uint8), "second": views[1].astype(np.uint8)}


def test_the_loss_is_that_of_the_projected_average() -> None:
    params, batch = start(), pairs(np.random.default_rng(0), 6)
    loss, (terms, statistics) = jax.jit(simclr(forward, "conv", 0.4))(params, {}, batch, jax.random.key(0))
    head = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params[KEY][HEAD])
    shown = jax.jit(functools.partial(forward, train=True, take=dict))
    projected = []
    for view in (batch["image"], batch["second"]):
        layers, _ = shown({"weight": params["weight"]}, {}, view)
        h = np.asarray(layers["conv"], np.float64).mean(axis=(1, 2))
        projected.append(np.maximum(h @ head["hidden"]["weight"], 0) @ head["out"]["weight"])
    assert projected[0].shape == (6, 128)
    wanted, accuracy = jax.jit(nt_xent)(*(jnp.asarray(each, jnp.float32) for each in projected), 0.4)
    assert abs(float(loss) - float(wanted)) < 1e-5
    assert float(terms["nt_xent"]) == float(loss)
    assert float(terms["accuracy"]) == float(accuracy)
    assert float(statistics["together"]) == 12  # both views at once


def test_layers_of_any_shape_are_averaged_over_positions() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    np.testing.assert_allclose(pooled(jnp.asarray(x)), x.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(pooled(jnp.asarray(x[:, 0])), x[:, 0].mean(1), atol=1e-6)
    np.testing.assert_allclose(pooled(jnp.asarray(x[:, 0, 0])), x[:, 0, 0], atol=1e-6)


def test_training_from_scratch_tells_new_pictures_apart() -> None:
    objective, optimiser, rng = simclr(forward, "conv", 0.5), optax.adam(3e-3), np.random.default_rng(3)

    @jax.jit
    def step(params: Any, state: Any, batch: Any) -> Any:
        (_, (terms, _)), gradient = jax.value_and_grad(objective, has_aux=True)(params, {}, batch, jax.random.key(0))
        change, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, change), state, terms

    params = start()
    state = jax.jit(optimiser.init)(params)
    course = []
    for _ in range(120):  # every batch is new
        params, state, terms = step(params, state, pairs(rng, 32))
        course.append([float(terms["nt_xent"]), float(terms["accuracy"])])
    before, after = np.mean(course[:5], axis=0), np.mean(course[-20:], axis=0)
    assert after[0] < before[0] - 0.3
    assert after[1] > before[1] + 0.1
    assert set(split_heads(params)[0]) == {"weight"}  # what is kept
