"""Attention and the pointwise functions around it against PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.parts.activation import gelu, quick_gelu
from models.parts.attention import attend


@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_attend_equals_torch(spread: float) -> None:
    """Also where the softmax is nearly a maximum, and its exponentials would overflow without a shift."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    query, key, value = (rng.standard_normal((2, 3, tokens, 8), np.float32) for tokens in (5, 11, 11))
    query *= spread
    found = jax.jit(attend)(query, key, value)
    exact = [torch.tensor(part).double() for part in (query, key, value)]
    wanted = torch.nn.functional.scaled_dot_product_attention(*exact).numpy()
    # a score of order 100 is rounded to some 1e-5, and its weight by that much relatively
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * max(spread, 1))


def test_gelu_equals_torch_everywhere() -> None:
    torch = pytest.importorskip("torch")
    x = np.linspace(-12, 12, 4001, dtype=np.float32)
    wanted = torch.nn.functional.gelu(torch.tensor(x).double()).numpy()
    np.testing.assert_allclose(jax.jit(gelu)(x), wanted, rtol=2e-6, atol=1e-6)


def test_quick_gelu() -> None:
    x = jnp.array([-100.0, -1.0, 0.0, 1.0, 100.0])
    wanted = [0, -1 / (1 + np.exp(1.702)), 0, 1 / (1 + np.exp(-1.702)), 100]
    np.testing.assert_allclose(quick_gelu(x), wanted, rtol=1e-6, atol=1e-30)
