from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from engine.harmonize.saliency import channel_mean, input_gradient, largest_channel, saliency_maps
from tests.engine.harmonize.tiny import CLASSES, QUICK, forward, parameters, torch_logits

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(5, 8, 6, 3))
LABELS = RNG.integers(0, CLASSES, 5)


@partial(jax.jit, static_argnums=3, compiler_options=QUICK)
def compiled(given: Any, images: jax.Array, labels: jax.Array, train: bool) -> tuple[jax.Array, jax.Array, Any]:
    def logits(images: jax.Array) -> tuple[jax.Array, Any]:
        return forward(*given, images, train=train, take=lambda layers: layers["logits"])

    return input_gradient(logits, images, labels)


def gradient(images: np.ndarray, labels: np.ndarray, *, train: bool) -> tuple[np.ndarray, np.ndarray, Any]:
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, compiled(parameters(), images, labels, train))


@pytest.mark.parametrize("train", [False, True])
def test_equals_pytorch(train: bool) -> None:
    torch = pytest.importorskip("torch")
    params, statistics = jax.tree.map(torch.tensor, parameters())
    images = torch.tensor(IMAGES, requires_grad=True)
    logits = torch_logits(params, statistics, images, train=train)
    (wanted,) = torch.autograd.grad(logits[torch.arange(5), torch.tensor(LABELS)].sum(), images)
    found, answers, updated = gradient(IMAGES, LABELS, train=train)
    np.testing.assert_allclose(found, wanted, atol=1e-13)
    np.testing.assert_allclose(answers, logits.detach(), atol=1e-13)
    for name, kept in updated.items():
        for key in kept:
            np.testing.assert_allclose(kept[key], statistics[name][key], atol=1e-13)


def test_images_are_independent_in_evaluation_mode_and_coupled_in_training_mode() -> None:
    others = LABELS.copy()
    others[0] = (others[0] + 1) % CLASSES
    own = gradient(IMAGES, LABELS, train=False)[0]
    different = gradient(np.concatenate([IMAGES[:1] + 1, IMAGES[1:]]), others, train=False)[0]
    np.testing.assert_allclose(different[1:], own[1:], atol=1e-14)
    assert np.abs(different[0] - own[0]).max() > 1e-4
    assert np.abs(gradient(IMAGES, others, train=True)[0][1] - gradient(IMAGES, LABELS, train=True)[0][1]).max() > 1e-4


def test_reductions_over_channels() -> None:
    given = jnp.array([[[[1.0, -4.0, 0.0], [2.0, 2.0, 2.0]]]])
    assert channel_mean(given).tolist() == [[[-1.0, 2.0]]]
    assert largest_channel(given).tolist() == [[[4.0, 2.0]]]


def test_maps_of_many_images_do_not_depend_on_the_batch() -> None:
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), parameters())
    images = RNG.integers(0, 256, (5, 8, 6, 3), np.uint8)

    def logits(params: Any, images: jax.Array) -> jax.Array:
        return forward(*params, images, take=lambda layers: layers["logits"])[0]

    def normalise(images: jax.Array) -> jax.Array:
        return (images.astype(jnp.float32) - 128) / jnp.array([40.0, 50.0, 60.0])

    done: list[int] = []
    found = saliency_maps(logits, params, images, LABELS, normalise, batch=2, advance=done.append)
    ready = (images - 128.0) / [40, 50, 60]
    wanted = np.abs(gradient(ready, LABELS, train=False)[0]).max(-1)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    assert found.dtype == np.float32
    assert done == [2, 2, 1]
    same = saliency_maps(logits, params, ready.astype(np.float32), LABELS, normalise)  # one batch, normalised before
    np.testing.assert_allclose(same, found, rtol=1e-4, atol=1e-6)
