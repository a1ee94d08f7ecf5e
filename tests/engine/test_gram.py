import jax.numpy as jnp
import numpy as np
import pytest

from engine.gram import add, raw_gram, summarise


def blocks(x: np.ndarray, rows: int) -> list:
    padded = np.concatenate([x, np.full((-len(x) % rows, x.shape[1]), 7, x.dtype)])
    return [jnp.asarray(padded[i : i + rows]) for i in range(0, len(padded), rows)]


@pytest.mark.parametrize(("stimuli", "rows"), [(10, 10), (10, 5), (11, 4), (3, 8)])
def test_equals_products_of_the_activations(stimuli: int, rows: int) -> None:
    x = np.random.default_rng(0).normal(3, 1, (stimuli, 70)).astype(np.float32)
    summary = summarise(blocks(x, rows), stimuli)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(raw_gram(summary), exact @ exact.T, rtol=1e-5)
    np.testing.assert_allclose(summary.sums, exact.sum(axis=1), rtol=1e-5)
    assert summary.units == 70


def test_centred_gram_is_exact_to_float32_where_the_mean_is_large() -> None:
    # Unshifted, entries near 70 * 1000² would leave float32 an absolute error of about 4, more than the signal.
    rng = np.random.default_rng(1)
    x = (rng.normal(0, 1, (12, 70)) + rng.normal(1000, 100, 70)).astype(np.float32)
    exact = x.astype(np.float64)
    centre = np.eye(12) - 1 / 12
    found = centre @ summarise(blocks(x, 4), 12).gram @ centre
    wanted = centre @ exact @ exact.T @ centre
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_slices_add_up_to_the_layer() -> None:
    x = np.random.default_rng(2).normal(size=(9, 50)).astype(np.float32)
    parts = add(summarise(blocks(x[:, :20], 3), 9), summarise(blocks(x[:, 20:], 3), 9))
    whole = summarise(blocks(x, 3), 9)
    np.testing.assert_allclose(parts.gram, whole.gram, atol=1e-4)
    np.testing.assert_allclose(raw_gram(parts), raw_gram(whole), atol=1e-4)
    assert parts.units == whole.units
