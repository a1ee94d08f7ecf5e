"""Derivatives of a convolution with a stride: PyTorch's of first and second order, JAX's own of the third."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from models.parts.strided import Padding, strided

QUICK = {"xla_backend_optimization_level": 0}
CASES = [((9, 8), 3, 2, ((1, 1), (1, 1))), ((8, 11), 3, 2, ((0, 1), (1, 0))), ((12, 10), 5, 4, ((2, 1), (0, 2)))]
PRECISION = lax.Precision.HIGHEST
STATED = ("size", "kernel", "stride", "padding")


def drawn(size: tuple[int, int], kernel: int) -> list[np.ndarray]:
    rng = np.random.default_rng(kernel + size[0])
    return [rng.standard_normal(shape) for shape in ((2, *size, 2), (kernel, kernel, 2, 3), (2, *size, 2))]


@pytest.mark.parametrize(STATED, CASES)
def test_value_and_derivatives_equal_a_double_backward_in_pytorch(
    size: tuple[int, int], kernel: int, stride: int, padding: Padding
) -> None:
    torch = pytest.importorskip("torch")
    x, w, v = drawn(size, kernel)
    (top, bottom), (left, right) = padding
    there = [torch.tensor(each, requires_grad=True) for each in (x, w)]
    padded = torch.nn.functional.pad(there[0].permute(0, 3, 1, 2), (left, right, top, bottom))
    y = torch.nn.functional.conv2d(padded, there[1].permute(3, 2, 0, 1), stride=stride)
    slopes = torch.autograd.grad(torch.sin(y).sum(), there, create_graph=True)
    loss = (slopes[0] * torch.tensor(v)).sum() + slopes[1].pow(3).sum()
    wanted = [y.permute(0, 2, 3, 1), *slopes, *torch.autograd.grad(loss, there)]

    def of(x: Any, w: Any) -> Any:
        y = strided(x, w, stride, padding, PRECISION)
        return jnp.sin(y).sum(), y

    def of_slopes(x: Any, w: Any) -> Any:
        slopes, y = jax.grad(of, (0, 1), has_aux=True)(x, w)
        return (slopes[0] * v).sum() + (slopes[1] ** 3).sum(), (y, *slopes)

    with jax.enable_x64(True):
        second, first = jax.jit(jax.grad(of_slopes, (0, 1), has_aux=True), compiler_options=QUICK)(x, w)
    for found, right_one in zip((*first, *second), wanted, strict=True):
        np.testing.assert_allclose(found, right_one.detach().numpy(), rtol=1e-11, atol=1e-11)


def test_other_derivatives_equal_those_of_the_plain_convolution() -> None:
    """Of third order; forward over reverse; of one image at a time."""
    size, kernel, stride, padding = CASES[1]
    x, w, v = drawn(size, kernel)

    def plain(x: Any, w: Any) -> Any:
        return lax.conv_general_dilated(
            x, w, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=PRECISION
        )

    def derivatives(convolution: Any) -> Any:
        def of(x: Any, w: Any) -> Any:
            return (convolution(x, w) ** 3).sum()

        def by_images(x: Any, w: Any) -> Any:
            return (jax.grad(of)(x, w) ** 2).sum()

        def by_both(x: Any, w: Any) -> Any:
            x_slope, w_slope = jax.grad(by_images, (0, 1))(x, w)
            return (x_slope * v).sum() + (w_slope**2).sum()

        third = jax.grad(by_both, (0, 1))(x, w)
        forward = jax.jvp(jax.grad(of, (0, 1)), (x, w), (v, w[::-1]))[1]
        each = jax.vmap(jax.grad(lambda x: of(x[None], w)))(x)
        return third, forward, each, jax.vmap(lambda w: convolution(x, w))(jnp.stack([w, w[::-1]]))

    with jax.enable_x64(True):
        found, wanted = jax.jit(
            lambda: (derivatives(lambda x, w: strided(x, w, stride, padding, PRECISION)), derivatives(plain)),
            compiler_options=QUICK,
        )()
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-10), found, wanted)
