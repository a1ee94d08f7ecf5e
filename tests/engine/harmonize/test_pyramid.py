import jax
import jax.numpy as jnp
import numpy as np
import pytest

from engine.harmonize.pyramid import in_units_of, map_errors, pyramid, standardise_and_cut
from tests.engine.harmonize.by_hand import cut, halved


def error(saliency: np.ndarray, human: np.ndarray, levels: int, of_human: float, of_saliency: float) -> float:
    """Two pyramids, as published, of one image."""
    a, b = cut(saliency), cut(human)
    b = b / (b.max() + of_human) * (a.max() + of_saliency)
    squares = []
    for _ in range(levels):
        squares.append(((a - b) ** 2).mean())
        a, b = halved(a), halved(b)
    return float(np.mean(squares))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (13, 10)])
def test_levels_equal_a_loop_with_even_and_odd_sides(height: int, width: int) -> None:
    maps = np.random.default_rng(0).normal(size=(2, height, width))
    with jax.enable_x64(True):
        found = [np.asarray(level) for level in pyramid(jnp.asarray(maps), 6)]
    assert len(found) == 6
    for i, wanted in enumerate(maps):
        for level in found:
            np.testing.assert_allclose(level[i], wanted, rtol=0, atol=1e-14)
            wanted = halved(wanted)


def test_a_constant_stays_constant_away_from_the_border() -> None:
    _, level = pyramid(jnp.full((1, 12, 12), 3.0), 2)
    np.testing.assert_allclose(level[0, 1:-1, 1:-1], 3.0, rtol=1e-6)
    assert level[0, 0, 0] < 3.0  # zeros outside


def test_standardised_and_cut() -> None:
    maps = np.random.default_rng(0).normal(3, 2, size=(3, 7, 5))
    found = np.asarray(standardise_and_cut(jnp.asarray(maps, jnp.float32)))
    np.testing.assert_allclose(found, [cut(map_) for map_ in maps], atol=2e-6)


def test_a_flat_saliency_has_a_finite_gradient() -> None:
    @jax.jit
    @jax.value_and_grad
    def total(saliency: jax.Array, human: jax.Array) -> jax.Array:
        return map_errors(saliency, human, 2).sum()

    value, gradient = total(jnp.zeros((2, 4, 4)), jnp.ones((2, 4, 4)))
    assert value == 0
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("levels", "parity", "of_human", "of_saliency"), [(5, None, 1e-6, 1e-6), (6, "training", 1e-4, 0.0)]
)
def test_errors_equal_two_pyramids_written_out(levels: int, parity: str, of_human: float, of_saliency: float) -> None:
    rng = np.random.default_rng(0)
    saliency, human = 1e-3 * rng.normal(size=(3, 16, 14)), rng.uniform(size=(3, 16, 14))
    human[2] = 0.5  # constant
    wanted = [error(a, b, levels, of_human, of_saliency) for a, b in zip(saliency, human, strict=True)]
    with jax.enable_x64(True):
        found = np.asarray(map_errors(jnp.asarray(saliency), jnp.asarray(human), levels, parity))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_human_maps_take_the_maximum_of_the_saliency_and_pass_no_gradient() -> None:
    rng = np.random.default_rng(0)
    saliency, human = (jnp.asarray(rng.uniform(size=(2, 5, 5)), jnp.float32) for _ in range(2))
    scaled = in_units_of(saliency, human)
    np.testing.assert_allclose(scaled.max((1, 2)), saliency.max((1, 2)), rtol=3e-6)
    np.testing.assert_allclose(scaled / human, (scaled / human)[:, :1, :1] * np.ones((1, 5, 5)), rtol=1e-6)
    assert not jax.grad(lambda saliency: in_units_of(saliency, human).sum())(saliency).any()
