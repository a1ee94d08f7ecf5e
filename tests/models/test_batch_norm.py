"""Batch normalisation in evaluation mode, before and after it is folded into the kernel."""

import numpy as np
from flax import nnx

from models.batch_norm import NormalisedKernel, fold


def random_kernel() -> NormalisedKernel:
    """A 1x1 kernel from 6 to 4 channels with random scale, bias and statistics."""
    rng = np.random.default_rng(0)
    kernel = NormalisedKernel((1, 1, 6, 4), 1e-3, nnx.Rngs(0))
    kernel.scale, kernel.bias = nnx.Param(rng.uniform(0.5, 1.5, 4)), nnx.Param(rng.standard_normal(4))
    kernel.mean, kernel.var = nnx.BatchStat(rng.standard_normal(4)), nnx.BatchStat(rng.uniform(0.1, 2, 4))
    kernel.kernel = nnx.Param(rng.standard_normal((1, 1, 6, 4)))
    return kernel


def test_normalise_and_fold_equal_the_definition() -> None:
    units = np.random.default_rng(1).standard_normal((50, 6))
    plain = random_kernel()
    scale, bias, mean, var = (np.asarray(part[...]) for part in (plain.scale, plain.bias, plain.mean, plain.var))
    convolved = units @ plain.kernel[...][0, 0]
    wanted = (convolved - mean) / np.sqrt(var + 1e-3) * scale + bias
    np.testing.assert_allclose(plain.normalise(convolved), wanted, rtol=0, atol=1e-12)

    within = nnx.List([random_kernel()])
    fold(within)
    (folded,) = within
    np.testing.assert_allclose(folded.normalise(units @ folded.kernel[...][0, 0]), wanted, rtol=0, atol=1e-12)
    assert not nnx.state(within, nnx.BatchStat)
    assert sum(leaf.size for leaf in map(np.asarray, (folded.kernel[...], folded.bias[...]))) == 6 * 4 + 4


def test_initial_kernel_keeps_the_variance_through_relu() -> None:
    kernel = NormalisedKernel((3, 3, 64, 64), 1e-3, nnx.Rngs(0)).kernel[...]
    np.testing.assert_allclose(np.std(kernel), np.sqrt(2 / (9 * 64)), rtol=0.02)  # He et al. 2015
