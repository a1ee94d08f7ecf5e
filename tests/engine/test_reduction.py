"""Reductions against NumPy and scikit-learn."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.random_projection import SparseRandomProjection

from engine.activations import Take
from engine.reduction import Reduction, layer_seed, projection, reduced, reduced_shape

SHAPES = {"conv": (4, 5, 30), "tokens": (7, 12), "vector": (9,)}


def model(params: object, images: jax.Array, take: Take) -> Any:
    """The same activations for all images of nothing."""
    return take({name: activations(name, len(images)) for name in SHAPES})


def activations(name: str, count: int = 3) -> jax.Array:
    seed = len(name)
    return jnp.asarray(np.random.default_rng(seed).standard_normal((count, *SHAPES[name])), jnp.float32)


def apply(reduction: Reduction) -> dict[str, np.ndarray]:
    applied = reduced(model, SHAPES, reduction)
    layers = jax.jit(lambda images: applied({}, images, dict))(jnp.zeros((3, 2, 2, 3)))
    for name, layer in layers.items():
        assert layer.shape[1:] == reduced_shape(SHAPES[name], reduction)
    return {name: np.asarray(layer) for name, layer in layers.items()}


def test_mean_over_positions() -> None:
    found = apply(Reduction("mean"))
    np.testing.assert_allclose(found["conv"], np.asarray(activations("conv")).mean((1, 2)), rtol=0, atol=1e-6)
    np.testing.assert_allclose(found["tokens"], np.asarray(activations("tokens")).mean(1), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found["vector"], activations("vector"))


def test_subset() -> None:
    found = apply(Reduction("subset", 50, seed=3))
    units = np.asarray(activations("conv")).reshape(3, -1)
    for column in found["conv"].T:
        assert (units == column[:, None]).all(0).sum() == 1  # one of the units, and each unit at most once
    assert len(np.unique(found["conv"][0])) == 50
    np.testing.assert_array_equal(found["vector"], activations("vector"))  # smaller than the subset
    np.testing.assert_array_equal(apply(Reduction("subset", 50, seed=3))["conv"], found["conv"])
    assert not np.array_equal(apply(Reduction("subset", 50, seed=4))["conv"], found["conv"])


def test_projection_is_scikit_learns() -> None:
    matrix = projection(600, 40, seed=5)
    dense = np.zeros((40, 600))
    dense[matrix.feature, matrix.unit] = matrix.value
    theirs = SparseRandomProjection(40, random_state=5).fit(np.zeros((1, 600)))
    np.testing.assert_allclose(dense, theirs.components_.toarray(), rtol=1e-6)
    reduction = Reduction("projection", 40)
    units = np.asarray(activations("conv"), np.float64).reshape(3, -1)
    theirs = SparseRandomProjection(40, random_state=layer_seed("conv", reduction)).fit(units)
    np.testing.assert_allclose(apply(reduction)["conv"], theirs.transform(units), rtol=0, atol=1e-5)
