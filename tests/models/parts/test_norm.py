"""Normalisation against its definition, before and after it is folded into a convolution."""

from typing import ClassVar

import numpy as np
import pytest
from flax import nnx

from models.parts.conv import Conv
from models.parts.linear import Kernel
from models.parts.norm import BatchNorm, ConvNorm, LayerNorm, fold


def random_norm(channels: int, *, scale: bool = True) -> BatchNorm:
    rng = np.random.default_rng(0)
    norm = BatchNorm(channels, epsilon=1e-3, scale=scale)
    if scale:
        norm.weight = nnx.Param(rng.uniform(0.5, 1.5, channels))
    norm.bias = nnx.Param(rng.standard_normal(channels))
    norm.running_mean = nnx.BatchStat(rng.standard_normal(channels))
    norm.running_var = nnx.BatchStat(rng.uniform(0.1, 2, channels))
    return norm


def random_conv(*, bias: bool) -> Conv:
    """1x1 from 6 to 4 channels, so that a convolution is a matrix product."""
    rng = np.random.default_rng(1)
    conv = Conv(6, 4, 1, nnx.Rngs(0), bias=bias)
    conv.weight = Kernel(rng.standard_normal((1, 1, 6, 4)))
    if bias:
        conv.bias = nnx.Param(rng.standard_normal(4))
    return conv


class Pair(nnx.Module):
    FOLDS: ClassVar[dict[str, str]] = {"norm": "conv"}

    def __init__(self, conv: Conv, norm: BatchNorm) -> None:
        self.conv, self.norm = conv, norm


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_fold_equals_the_definition(bias: bool, scale: bool, named: bool) -> None:
    units = np.random.default_rng(2).standard_normal((50, 6))
    conv, norm = random_conv(bias=bias), random_norm(4, scale=scale)
    mean, var = np.asarray(norm.running_mean[...]), np.asarray(norm.running_var[...])
    gain = np.asarray(norm.weight[...]) if norm.weight is not None else 1.0
    offset = np.asarray(conv.bias[...]) if conv.bias is not None else 0.0
    convolved = units @ np.asarray(conv.weight[...])[0, 0] + offset
    wanted = (convolved - mean) / np.sqrt(var + 1e-3) * gain + np.asarray(norm.bias[...])
    np.testing.assert_allclose(norm(convolved), wanted, rtol=0, atol=2e-6)

    module = Pair(conv, norm) if named else nnx.List([nnx.List([conv, norm])])
    fold(module)
    assert norm.folded
    assert not nnx.state(module, nnx.BatchStat)
    folded = units @ np.asarray(conv.weight[...])[0, 0] + np.asarray(conv.bias[...])  # type: ignore[index]  # a bias there is
    np.testing.assert_allclose(norm(folded), wanted, rtol=0, atol=1e-12)


def test_fold_leaves_what_does_not_follow_a_convolution() -> None:
    before = nnx.List([random_norm(6), random_conv(bias=False)])
    apart = nnx.List([random_conv(bias=False), None, random_norm(4)])
    fold(nnx.List([before, apart]))
    assert not before[0].folded
    assert not apart[2].folded


def test_convolution_then_norm() -> None:
    pair = ConvNorm([random_conv(bias=True), random_norm(4)])
    x = np.random.default_rng(3).standard_normal((2, 3, 3, 6)).astype(np.float32)
    np.testing.assert_allclose(pair(x), pair[1](pair[0](x)), rtol=0, atol=0)


def test_layer_norm_equals_the_definition() -> None:
    rng = np.random.default_rng(4)
    norm = LayerNorm(7, epsilon=1e-5)
    norm.weight, norm.bias = nnx.Param(rng.uniform(0.5, 1.5, 7)), nnx.Param(rng.standard_normal(7))
    x = rng.standard_normal((3, 5, 7)) + 2
    wanted = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    wanted = wanted * np.asarray(norm.weight[...]) + np.asarray(norm.bias[...])
    np.testing.assert_allclose(norm(x.astype(np.float32)), wanted, rtol=0, atol=5e-6)


def test_initial_kernel_keeps_the_variance_through_relu() -> None:
    kernel = Conv(64, 64, 3, nnx.Rngs(0)).weight[...]
    np.testing.assert_allclose(np.std(kernel), np.sqrt(2 / (9 * 64)), rtol=0.02)  # He et al. 2015
