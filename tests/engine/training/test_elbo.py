"""The terms of the bound by hand, against PyTorch's distributions, and as a bound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from engine.training.elbo import bernoulli, divergence, drawn, gaussian


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 2, 2, 3)) * 3, rng.uniform(size=(3, 2, 2, 3))


def test_one_pixel_by_hand() -> None:
    with jax.enable_x64(True):
        one = jnp.array([[1.0]])
        # A coin of share 3/4 (logit log 3): a white pixel costs log 4/3, a black one log 4.
        np.testing.assert_allclose(bernoulli(np.log(3) * one, one), [np.log(4 / 3)], rtol=1e-14)
        np.testing.assert_allclose(bernoulli(np.log(3) * one, 0 * one), [np.log(4)], rtol=1e-14)
        # One standard deviation away costs 1/2 nat more than the peak of the density.
        np.testing.assert_allclose(gaussian(0.5 * one, one, 0.5), [0.5 + np.log(0.5 * np.sqrt(2 * np.pi))], rtol=1e-14)
        # N(1, 4) from N(0, 1): (1 + 4 - 1 - log 4) / 2.
        np.testing.assert_allclose(divergence(one, np.log(4) * one), [(4 - np.log(4)) / 2], rtol=1e-14)


def test_equal_to_pytorch() -> None:
    torch = pytest.importorskip("torch")
    normal, kl = torch.distributions.Normal, torch.distributions.kl_divergence
    logits, pixels = data()
    mean, logvar = np.random.default_rng(1).normal(size=(2, 3, 4))
    t = torch.tensor
    with jax.enable_x64(True):
        found = bernoulli(logits, pixels), gaussian(logits, pixels, 0.7), divergence(mean, logvar)
    wanted = (
        torch.nn.functional.binary_cross_entropy_with_logits(t(logits), t(pixels), reduction="none"),
        -normal(t(logits), 0.7).log_prob(t(pixels)),
        kl(normal(t(mean), torch.exp(t(logvar) / 2)), normal(0.0, 1.0)),
    )
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs.flatten(1).sum(1).numpy(), rtol=1e-12)


def test_sure_coins_cost_a_finite_number_of_nats() -> None:
    np.testing.assert_allclose(bernoulli(jnp.array([[200.0], [-200.0]]), jnp.array([[0.0], [1.0]])), [200, 200])


def test_draws_have_the_mean_and_variance_asked_for() -> None:
    mean, logvar = jnp.array([[1.0, -2.0]]), jnp.log(jnp.array([[4.0, 0.25]]))
    count = 40_000
    keys = jax.random.split(jax.random.key(0), count)
    z = np.asarray(jax.jit(jax.vmap(lambda key: drawn(key, mean, logvar)[0]))(keys), np.float64)
    sigma = np.array([2.0, 0.5])
    # Four standard errors: of a mean sigma / sqrt(n), of a variance sigma² sqrt(2 / n).
    assert (np.abs(z.mean(0) - [1, -2]) < 4 * sigma / count**0.5).all()
    assert (np.abs(z.var(0) - sigma**2) < 4 * sigma**2 * (2 / count) ** 0.5).all()
    gradient = jax.jit(jax.grad(lambda v: drawn(keys[0], mean, v).sum()))(logvar)
    np.testing.assert_allclose(gradient, (z[0] - mean) / 2, rtol=1e-5)


def test_it_bounds_the_evidence_and_meets_it_at_the_true_posterior() -> None:
    # z ~ N(0, 1), x | z ~ N(z, s²): p(x) = N(0, 1 + s²), posterior N(x / (1 + s²), s² / (1 + s²)).
    x, s = 0.8, 0.6
    evidence = gaussian(jnp.zeros((1, 1)), jnp.full((1, 1), x), (1 + s**2) ** 0.5)[0]

    def bound(mean: float, variance: float) -> float:
        # E over q of (x - z)² is (x - mean)² + variance.
        expected = gaussian(jnp.full((1, 1), mean), jnp.full((1, 1), x), s)[0] + variance / (2 * s**2)
        return float(expected + divergence(jnp.full((1, 1), mean), jnp.full((1, 1), np.log(variance)))[0])

    mean, variance = x / (1 + s**2), s**2 / (1 + s**2)
    assert abs(bound(mean, variance) - float(evidence)) < 1e-6
    assert bound(mean + 0.1, variance) > float(evidence) + 1e-3
    assert bound(mean, 2 * variance) > float(evidence) + 1e-3
