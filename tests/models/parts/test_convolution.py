"""Every form of a convolution equals PyTorch's, at even and odd sizes."""

from collections.abc import Callable

import jax
import numpy as np
import pytest
from flax import nnx

from models.parts import convolution
from models.parts.conv import Conv
from models.parts.convolution import same

# float32 sums of at most 75 products of order one; both sides round
TOLERANCE = 1e-5


def close(found: jax.Array, wanted: np.ndarray) -> None:
    assert found.shape == wanted.shape
    assert np.abs(np.asarray(found) - wanted).max() < TOLERANCE * np.abs(wanted).max()


def torch_convolution(
    images: np.ndarray, kernel: np.ndarray, stride: int, padding: convolution.Padding, groups: int
) -> np.ndarray:
    torch = pytest.importorskip("torch")
    (top, bottom), (left, right) = padding
    x = torch.nn.functional.pad(torch.tensor(images).permute(0, 3, 1, 2), (left, right, top, bottom))
    y = torch.nn.functional.conv2d(x, torch.tensor(kernel).permute(3, 2, 0, 1), stride=stride, groups=groups)
    return y.permute(0, 2, 3, 1).numpy()


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def six_groups(images: np.ndarray, kernel: np.ndarray, stride: int, padding: convolution.Padding) -> jax.Array:
    return convolution.grouped(images, kernel, stride, padding, groups=6)


@pytest.mark.parametrize("size", [(14, 15), (15, 14)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("form", [convolution.depthwise, convolution._shifted_sum, six_groups])
def test_depthwise(form: Callable[..., jax.Array], kernel: int, stride: int, size: tuple[int, int]) -> None:
    images, weights = random(2, *size, 6), random(kernel, kernel, 1, 6)
    padding = same(images, kernel, stride)
    close(form(images, weights, stride, padding), torch_convolution(images, weights, stride, padding, groups=6))


@pytest.mark.parametrize("size", [(26, 33), (33, 26)])
@pytest.mark.parametrize(("kernel", "stride", "pad"), [(3, 2, None), (5, 4, 2), (3, 1, 1)])
@pytest.mark.parametrize("form", [convolution.dense, convolution.dense_by_patches, convolution._over_patches])
def test_dense(
    form: Callable[..., jax.Array], kernel: int, stride: int, pad: int | None, size: tuple[int, int]
) -> None:
    images, weights = random(2, *size, 3), random(kernel, kernel, 3, 5)
    padding = same(images, kernel, stride) if pad is None else ((pad, pad), (pad, pad))
    close(form(images, weights, stride, padding), torch_convolution(images, weights, stride, padding, groups=1))


@pytest.mark.parametrize(
    ("incoming", "kernel", "stride", "padding", "groups"),
    [
        (8, 3, 2, 1, 1),
        (8, 1, 2, 0, 1),
        (8, 1, 1, 0, 1),
        (3, 7, 2, 3, 1),
        (8, 3, 1, 1, 4),
        (8, 3, 2, 1, 8),
        (8, 1, 1, 1, 1),
        (3, 4, 4, 0, 1),
        (8, 2, 2, 0, 1),
    ],
)
def test_module_chooses_a_form_of_the_same_sum(
    incoming: int, kernel: int, stride: int, padding: int, groups: int
) -> None:
    conv = Conv(incoming, 8, kernel, nnx.Rngs(0), stride=stride, padding=padding, groups=groups)
    conv.bias = nnx.Param(random(8))
    images = random(2, 13, 14, incoming)
    zeros = ((padding, padding), (padding, padding))
    wanted = torch_convolution(images, np.asarray(conv.weight[...]), stride, zeros, groups)
    close(conv(images), wanted + np.asarray(conv.bias[...]))


def test_pointwise() -> None:
    images, weights = random(2, 4, 5, 7), random(1, 1, 7, 3)
    close(convolution.pointwise(images, weights), np.einsum("nhwi,io->nhwo", images, weights[0, 0]))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "wanted"),
    # ceil(size / stride) outputs need (outputs - 1) * stride + kernel inputs
    [(224, 3, 2, (0, 1)), (225, 3, 2, (1, 1)), (56, 5, 2, (1, 2)), (7, 5, 1, (2, 2)), (8, 1, 2, (0, 0))],
)
def test_same_padding(size: int, kernel: int, stride: int, wanted: tuple[int, int]) -> None:
    assert same(np.zeros((1, size, 7, 1)), kernel, stride)[0] == wanted


def test_every_product_is_in_full_precision() -> None:
    images = random(1, 8, 8, 4)

    def every(images: jax.Array) -> tuple[jax.Array, ...]:
        padding = same(images, 3, 1)
        return (
            convolution.pointwise(images, random(1, 1, 4, 4)),
            convolution.dense_by_patches(images, random(3, 3, 4, 4), 1, padding),
            convolution.depthwise(images, random(3, 3, 1, 4), 1, padding),
        )

    lowered = jax.jit(every).trace(images).lower(lowering_platforms=("cuda",)).as_text()
    products = [line for line in lowered.splitlines() if "stablehlo.conv" in line or "stablehlo.dot_general" in line]
    products = [line for line in products if "stablehlo.convert" not in line]
    assert len(products) == 3
    for line in products:
        assert "HIGHEST" in line
        assert "DEFAULT" not in line
