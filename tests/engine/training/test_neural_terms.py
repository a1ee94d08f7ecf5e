"""The terms against PyTorch written from the papers, scikit-learn refits and identities."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import Ridge

from engine.gram import Summary
from engine.metrics.cka import Cka, compare_layer
from engine.training import neural_terms as terms

B, P, Q = 8, 12, 5
WITHOUT_READOUT = ["log_cka", "similarity", "ridge"]


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A layer, and responses that follow it in part."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(B, P)) + 0.5
    return x, x @ rng.normal(size=(P, Q)) / 4 + rng.normal(size=(B, Q)) + 2


def value_and_gradient(term: Callable[..., Any], *arguments: Any) -> tuple[float, np.ndarray]:
    with jax.enable_x64(True):
        value, gradient = compiled(term)(*jax.tree.map(jnp.asarray, arguments))
        return float(value), np.asarray(gradient)


@functools.cache
def compiled(term: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(jax.value_and_grad(term))


def in_torch(kind: str, x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """The published formulas, without any of the care for rounding."""
    torch = pytest.importorskip("torch")
    given = torch.tensor(x, requires_grad=True)
    a, c = given - given.mean(0), torch.tensor(y - y.mean(0))
    if kind == "log_cka":
        cross, own, other = ((u.T @ v).norm() for u, v in ((c, a), (a, a), (c, c)))
        value = torch.log(1 - cross**2 / (own * other) + terms.FLOOR)
    elif kind == "similarity":
        unit_a, unit_c = (torch.nn.functional.normalize(u, dim=1) for u in (a, c))
        apart = [
            (torch.atanh(terms.SHRINK * unit_a[i] @ unit_a[j]) - torch.atanh(terms.SHRINK * unit_c[i] @ unit_c[j])) ** 2
            for i in range(len(x))
            for j in range(i)
        ]
        value = sum(apart) / len(apart)
    else:  # refitted in primal form without each stimulus, the intercept by centring
        penalty = terms.RIDGE * (a**2).sum() / len(x)
        target = torch.tensor(y)
        error = torch.zeros(y.shape[1], dtype=torch.float64)
        for i in range(len(x)):
            rest = [j for j in range(len(x)) if j != i]
            mean_a, mean_c = a[rest].mean(0), target[rest].mean(0)
            u, v = a[rest] - mean_a, target[rest] - mean_c
            weights = torch.linalg.solve(u.T @ u + penalty * torch.eye(a.shape[1], dtype=torch.float64), u.T @ v)
            error = error + (target[i] - mean_c - (a[i] - mean_a) @ weights) ** 2
        value = (error / (c**2).sum(0)).mean()
    value.backward()
    return float(value.detach()), given.grad.numpy()


@pytest.mark.parametrize("kind", WITHOUT_READOUT)
def test_value_and_gradient_equal_pytorch(kind: str) -> None:
    x, y = data()
    value, gradient = value_and_gradient(terms.TERMS[kind], x, y)
    wanted, wanted_gradient = in_torch(kind, x, y)
    assert abs(value - wanted) < 1e-12
    np.testing.assert_allclose(gradient, wanted_gradient, rtol=0, atol=1e-12)


def test_cka_is_the_one_that_layers_are_scored_with() -> None:
    x, y = data()
    c = x - x.mean(0)
    cka = compare_layer(Summary(c @ c.T, c.sum(1), np.zeros(B), 0.0, P), y, Cka("biased"))[0]
    value, _ = value_and_gradient(terms.log_cka, x, y)
    assert abs(np.exp(value) - (1 - cka) - terms.FLOOR) < 1e-12


def test_cka_of_what_is_the_same_up_to_rotation_shift_and_scale() -> None:
    x, _ = data()
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(P, P)))[0]
    value, gradient = value_and_gradient(terms.log_cka, x, 3 * x @ rotation + 7)
    assert abs(value - np.log(terms.FLOOR)) < 1e-6  # 1 - CKA is 0
    assert np.isfinite(gradient).all()


def test_cka_near_one_keeps_its_digits_in_float32() -> None:
    x, _ = data()
    near = x + 1e-3 * np.random.default_rng(2).normal(size=(B, P))
    exact, exact_gradient = value_and_gradient(terms.log_cka, x, near)
    value, gradient = compiled(terms.log_cka)(jnp.float32(x), jnp.float32(near))
    assert exact < np.log(1e-6)  # 1 - <K, L> in float32 is right to about 1e-7
    # K in float32 is off by about 1e-7 of its size, K - L is about 1e-3 of it: three to four digits are left.
    assert abs(float(value) - exact) < 1e-3
    assert np.linalg.norm(gradient - exact_gradient) < 1e-3 * np.linalg.norm(exact_gradient)


@pytest.mark.parametrize("kind", WITHOUT_READOUT)
def test_nothing_depends_on_rotation_or_scale_of_the_layer(kind: str) -> None:
    x, y = data()
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(P, P)))[0]
    moved = 1e-3 * x @ rotation + 5
    assert (
        abs(value_and_gradient(terms.TERMS[kind], x, y)[0] - value_and_gradient(terms.TERMS[kind], moved, y)[0]) < 1e-9
    )


def test_similarity_of_a_layer_with_itself_is_zero() -> None:
    x, _ = data()
    value, gradient = value_and_gradient(terms.similarity, x, 2 * x + 1)
    assert value < 1e-20
    assert np.abs(gradient).max() < 1e-9


def test_ridge_equals_scikit_learn_without_each_stimulus() -> None:
    x, y = data()
    penalty = terms.RIDGE * ((x - x.mean(0)) ** 2).sum() / B
    rest = [np.delete(np.arange(B), i) for i in range(B)]
    predicted = np.stack([Ridge(penalty).fit(x[r], y[r]).predict(x[[i]])[0] for i, r in enumerate(rest)])
    wanted = np.mean(((y - predicted) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0))
    assert abs(value_and_gradient(terms.ridge, x, y)[0] - wanted) < 1e-12


def test_ridge_of_a_constant_layer_predicts_the_mean_of_the_others() -> None:
    _, y = data()
    value, gradient = value_and_gradient(terms.ridge, np.zeros((B, P)), y)
    assert abs(value - (B / (B - 1)) ** 2) < 1e-12
    assert np.isfinite(gradient).all()


def test_linear_readout_equals_pytorch_with_responses_missing() -> None:
    torch = pytest.importorskip("torch")
    x, y = data()
    y[2, 1] = y[5, 1] = np.nan
    y[:, 4] = np.nan
    rng = np.random.default_rng(3)
    readout = {"weight": rng.normal(size=(P, Q)), "bias": rng.normal(size=Q)}
    value, gradient = value_and_gradient(terms.linear, x, y, readout)
    given = torch.tensor(x, requires_grad=True)
    predicted = given @ torch.tensor(readout["weight"]) / P**0.5 + torch.tensor(readout["bias"])
    shares = []
    for j in range(4):
        there = np.flatnonzero(np.isfinite(y[:, j]))
        recorded = y[there, j]
        shares.append(
            ((torch.tensor(recorded) - predicted[there, j]) ** 2).sum() / ((recorded - recorded.mean()) ** 2).sum()
        )
    wanted = sum(shares) / 4
    wanted.backward()
    assert abs(value - float(wanted.detach())) < 1e-12
    np.testing.assert_allclose(gradient, given.grad.numpy(), rtol=0, atol=1e-12)


def test_a_new_readout_predicts_nothing() -> None:
    x, y = data()
    readout = terms.readout_parameters(P, Q)
    assert jax.tree.map(jnp.shape, readout) == {"weight": (P, Q), "bias": (Q,)}
    value, _ = value_and_gradient(terms.linear, x, y - y.mean(0), readout)
    assert abs(value - 1) < 1e-12


@pytest.mark.parametrize("kind", WITHOUT_READOUT)
def test_neuroids_that_lack_responses_are_left_out(kind: str) -> None:
    x, y = data()
    gaps = y.copy()
    gaps[3, 0] = gaps[:, 4] = np.nan
    found, gradient = value_and_gradient(terms.TERMS[kind], x, gaps)
    wanted, wanted_gradient = in_torch(kind, x, y[:, 1:4])
    assert abs(found - wanted) < 1e-12
    np.testing.assert_allclose(gradient, wanted_gradient, rtol=0, atol=1e-12)


def test_activations_of_any_shape_and_precision() -> None:
    x, y = data()
    value, gradient = compiled(terms.log_cka)(jnp.asarray(x.reshape(B, 2, 3, 2), jnp.bfloat16), jnp.float32(y))
    wanted, _ = compiled(terms.log_cka)(jnp.float32(jnp.asarray(x, jnp.bfloat16)), jnp.float32(y))
    assert value.dtype == jnp.float32
    assert gradient.shape == (B, 2, 3, 2)
    assert abs(float(value) - float(wanted)) < 1e-5


@pytest.mark.parametrize("kind", WITHOUT_READOUT)
@pytest.mark.parametrize(("dead", "silent"), [(True, False), (False, True), (True, True)])
def test_nothing_to_compare_gives_no_gradient(kind: str, dead: bool, silent: bool) -> None:
    x, y = data()
    x, y = (np.zeros_like(x) if dead else x), (np.full_like(y, np.nan) if silent else y)
    value, gradient = value_and_gradient(terms.TERMS[kind], x, y)
    assert np.isfinite(value)
    np.testing.assert_array_equal(gradient, 0)


def test_the_same_picture_twice_keeps_the_similarity_finite() -> None:
    x, y = data()
    x[1], y[1] = x[0], y[0] + 0.1
    value, gradient = value_and_gradient(terms.similarity, x, y)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert value < 5**2  # arctanh(SHRINK) is 4.95
