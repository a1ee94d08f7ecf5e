from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.activations import Take, image_passes, layer_summaries, plan
from engine.errors import InputError
from engine.gram import raw_gram

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 255, (37, 6, 6, 3), dtype=np.uint8)
WEIGHTS = jnp.asarray(RNG.normal(size=(108, 50)).astype(np.float32))
UNITS = {"early": 50, "late": 20}


def apply(weights: jax.Array, images: jax.Array, take: Take) -> Any:
    early = images.reshape(len(images), -1).astype(jnp.float32) @ weights / 255
    return take({"early": early.reshape(-1, 5, 10), "late": jnp.tanh(early[:, :20])})


def expected(layer: str) -> np.ndarray:
    x = np.asarray(apply(WEIGHTS, jnp.asarray(IMAGES), dict)[layer], np.float64).reshape(len(IMAGES), -1)
    return x @ x.T


@pytest.mark.parametrize("budget", [10**6, 37 * 4 * 60, 37 * 4 * 7], ids=["one pass", "two passes", "slices"])
def test_same_gram_whatever_fits_the_budget(budget: int) -> None:
    done: list[int] = []
    found = dict(layer_summaries(apply, WEIGHTS, UNITS, IMAGES, budget=budget, advance=done.append))
    assert set(found) == set(UNITS)
    for layer, summary in found.items():
        assert summary.units == UNITS[layer]
        np.testing.assert_allclose(raw_gram(summary), expected(layer), rtol=1e-4)
    assert sum(done) == image_passes(UNITS, len(IMAGES), budget)


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=8),
    st.integers(1, 50),
    st.integers(200, 100_000),
)
@settings(deadline=None, max_examples=60)
def test_plan_covers_every_unit_once_within_the_budget(sizes: list[int], stimuli: int, budget: int) -> None:
    units = {f"layer{i}": size for i, size in enumerate(sizes)}
    seen: Counter[tuple[str, int]] = Counter()
    for pieces in plan(units, stimuli, budget):
        assert sum(p.stop - p.start for p in pieces) * stimuli * 4 <= budget
        seen.update((p.layer, unit) for p in pieces for unit in range(p.start, p.stop))
    assert seen == Counter({(layer, unit): 1 for layer, size in units.items() for unit in range(size)})


def test_plan_refuses_a_budget_below_one_unit() -> None:
    with pytest.raises(InputError, match=r"memory\.budget"):
        plan({"layer": 3}, 1000, 3999)


def test_activations_that_are_not_finite_are_refused_by_layer() -> None:
    def broken(weights: jax.Array, images: jax.Array, take: Take) -> Any:
        layers = apply(weights, images, dict)
        return take(layers | {"late": jnp.where(jnp.arange(len(images))[:, None] == 1, jnp.inf, layers["late"])})

    with pytest.raises(InputError, match="'late'"):
        list(layer_summaries(broken, WEIGHTS, UNITS, IMAGES, budget=10**6))
