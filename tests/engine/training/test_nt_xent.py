"""NT-Xent by hand, by optax and by PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from engine.training.nt_xent import nt_xent

TEMPERATURE = 0.3


@jax.jit
def value_and_gradient(first: jax.Array, second: jax.Array, temperature: float) -> tuple[jax.Array, list[jax.Array]]:
    return jax.value_and_grad(lambda pair: nt_xent(*pair, temperature)[0])([first, second])


def embeddings() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    first = rng.normal(size=(5, 7))
    return first, first + rng.normal(size=(5, 7))


def test_two_pairs_by_hand() -> None:
    # Two pictures, views at 0 and 60 degrees of the first, at 90 and 180 of the second. Cosines: between the views of
    # the first cos 60, of the second cos 90; across cos 90, cos 180, cos 30 and cos 120.
    degrees = np.radians([[0.0, 90.0], [60.0, 180.0]])
    first, second = np.stack([np.cos(degrees), np.sin(degrees)], axis=-1) * np.array([1.0, 5.0])[None, :, None]
    e = lambda cosine: np.exp(cosine / 0.5)  # noqa: E731  a formula
    r, half, down = 3**0.5 / 2, 0.5, -0.5
    wanted = np.mean(
        [
            -np.log(e(half) / (e(half) + e(0) + e(-1))),  # 0 degrees: 60; 90, 180
            -np.log(e(0) / (e(0) + e(0) + e(r))),  # 90 degrees: 180; 0, 60
            -np.log(e(half) / (e(half) + e(r) + e(down))),  # 60 degrees: 0; 90, 180
            -np.log(e(0) / (e(0) + e(-1) + e(down))),  # 180 degrees: 90; 0, 60
        ]
    )
    with jax.enable_x64(True):
        loss, accuracy = jax.jit(nt_xent)(jnp.asarray(first), jnp.asarray(second), 0.5)
    assert abs(float(loss) - wanted) < 1e-12
    assert float(accuracy) == 0.5  # 60 and 90 degrees are nearest to each other


def test_value_and_gradient_equal_pytorch() -> None:
    torch = pytest.importorskip("torch")
    views = embeddings()
    given = [torch.tensor(view, requires_grad=True) for view in views]
    z = torch.nn.functional.normalize(torch.cat(given), dim=1)
    scores = z @ z.T / TEMPERATURE - 1e9 * torch.eye(10, dtype=torch.float64)
    wanted = torch.nn.functional.cross_entropy(scores, (torch.arange(10) + 5) % 10)
    wanted.backward()
    with jax.enable_x64(True):
        value, gradient = value_and_gradient(*map(jnp.asarray, views), TEMPERATURE)
        same = jax.jit(optax.losses.ntxent)(jnp.concatenate(views), jnp.tile(jnp.arange(5), 2), TEMPERATURE)
    assert abs(float(value) - float(wanted.detach())) < 1e-12
    assert abs(float(value) - float(same)) < 1e-12
    for found, one in zip(gradient, given, strict=True):
        np.testing.assert_allclose(found, one.grad.numpy(), rtol=0, atol=1e-12)


def test_all_alike_is_chance_and_all_zeros_have_no_gradient() -> None:
    alike = jnp.ones((5, 7))
    assert abs(float(value_and_gradient(alike, 2 * alike, TEMPERATURE)[0]) - np.log(9)) < 1e-6
    value, gradient = value_and_gradient(0 * alike, 0 * alike, TEMPERATURE)
    assert abs(float(value) - np.log(9)) < 1e-6
    np.testing.assert_array_equal(gradient, 0)


def test_small_temperatures_stay_finite_in_float32() -> None:
    value, gradient = value_and_gradient(*(jnp.asarray(view, jnp.float32) for view in embeddings()), 1e-3)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
