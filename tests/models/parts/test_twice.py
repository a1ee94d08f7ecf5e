"""Every part can be differentiated twice: derivatives of a function of the gradient, against finite differences.

In float64, where central differences leave eight digits or more; all parts in one compiled function. For whole networks
see ``tests/models/test_trainable.py``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models.architectures.gabor import Gabor
from models.parts.activation import gelu, root
from models.parts.attention import attend
from models.parts.convolution import dense, dense_by_patches, depthwise
from models.parts.group_norm import GroupNorm
from models.parts.norm import BatchNorm, LayerNorm
from models.parts.pool import adaptive_average_pool, average_pool, max_pool
from models.parts.squeeze_excite import SqueezeExcite
from models.parts.windows import attend_with_bias

STEP = 1e-6
UNOPTIMISED = {"xla_backend_optimization_level": 0}  # the functions are small: compiling them is what takes time
SHAPE = (2, 7, 7, 4)
ZEROS = ((1, 1), (1, 1))
Part = Callable[[Any, Any], Any]


def trained_norm(x: Any, w: Any) -> Any:
    norm = BatchNorm(4)
    norm.train()
    norm.weight, norm.bias = nnx.Param(w[0, 0, :4, 0]), nnx.Param(w[1, 0, :4, 0])
    return norm(x)


def squeezed(x: Any, w: Any) -> Any:
    part = SqueezeExcite(4, 4, nnx.Rngs(0), activation=jax.nn.silu, gate=jax.nn.sigmoid)
    part.conv_reduce, part.conv_expand = _pointwise(w[0]), _pointwise(w[1])
    return part(x)


def _pointwise(w: Any) -> Callable[[Any], Any]:
    return lambda x: x @ w[0]


def heads(x: Any) -> Any:
    """Images x 2 heads x positions x 2."""
    return x.reshape(2, 49, 2, 2).transpose(0, 2, 1, 3)


PARTS: dict[str, Part] = {
    "maximum": lambda x, w: max_pool(x * w[0, 0, 0], 3, 2, 1),
    "average": lambda x, w: average_pool(x, 3, 2, 1, ceil=True, count_padding=False) * w[0, 0, 0],
    "adaptive average": lambda x, w: adaptive_average_pool(x, 3) * w[0, 0, 0],
    "attention": lambda x, w: attend(heads(x), heads(x @ w[0, 0]), heads(x @ w[1, 0])),
    "attention with bias": lambda x, w: attend_with_bias(
        *(x.reshape(2, 49, 2, 2) * scale for scale in (1, w[0, 0, 0, 0], 2)), w[0, 0, 0, 1]
    ),
    "batch normalisation": trained_norm,
    "layer normalisation": lambda x, w: LayerNorm(4)(x * w[0, 0, 0]),
    "group normalisation": lambda x, w: GroupNorm(2, 4)(x * w[0, 0, 0]),
    "GELU": lambda x, w: gelu(x * w[0, 0, 0]),
    "squeeze and excitation": squeezed,
    "depthwise, in a loop": lambda x, w: depthwise(x, jnp.tile(w[:, :, :1], (3, 3, 1, 1))[:7, :7], 1, ((3, 3), (3, 3))),
    "with a stride": lambda x, w: dense(x, w, 2, ZEROS),
    "over patches": lambda x, w: dense_by_patches(x, w, 2, ZEROS),
    "energy": lambda x, w: root(jnp.square(x) + jnp.square(x[:, ::-1] * w[0, 0, 0])),
}


def test_second_derivatives_equal_finite_differences() -> None:
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        x, w, along_x, along_w = (jnp.asarray(rng.standard_normal(shape)) for shape in (SHAPE, (3, 3, 4, 4)) * 2)
        weights = jnp.asarray(rng.standard_normal(SHAPE))

        def of_gradient(part: Part, x: Any, w: Any) -> Any:
            def function(x: Any) -> Any:
                y = part(x, w).ravel()
                return (y * y * np.cos(np.arange(len(y)))).sum()  # normalised values have one sum of squares: weighed

            slope = jax.grad(function)(x)
            return (weights * slope).sum() + jnp.square(slope).sum()

        @partial(jax.jit, compiler_options=UNOPTIMISED)
        def both(x: Any, w: Any) -> Any:
            return {name: jax.value_and_grad(of_gradient, (1, 2))(part, x, w) for name, part in PARTS.items()}

        found = both(x, w)
        above, below = (both(x + step * along_x, w + step * along_w) for step in (STEP, -STEP))
        for name, (_, (by_x, by_w)) in found.items():
            wanted = (above[name][0] - below[name][0]) / (2 * STEP)
            np.testing.assert_allclose((by_x * along_x).sum() + (by_w * along_w).sum(), wanted, rtol=1e-6, err_msg=name)


def test_batch_normalisation_in_training_equals_pytorch() -> None:
    """Three batches in a row: outputs, running statistics, and what flows back through mean and variance."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    theirs = torch.nn.BatchNorm2d(4).double().train()
    with torch.no_grad():
        theirs.weight.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, 4)))
        theirs.bias.copy_(torch.from_numpy(rng.standard_normal(4)))
    with jax.enable_x64(True):
        mine = BatchNorm(4)
        mine.train()
        graph, *states = nnx.split(mine, nnx.Param, nnx.BatchStat)
        parameters = {name: jnp.asarray(getattr(theirs, name).detach().numpy()) for name in ("weight", "bias")}
        statistics = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), nnx.to_pure_dict(states[1]))

        @jax.jit
        def step(parameters: Any, statistics: Any, x: Any, back: Any) -> Any:
            def of(parameters: Any, x: Any) -> Any:
                norm = nnx.merge(graph, parameters | statistics)
                y = norm(x)
                return (y * back).sum(), (y, nnx.to_pure_dict(nnx.state(norm, nnx.BatchStat)))

            return jax.grad(of, (0, 1), has_aux=True)(parameters, x)

        for _ in range(3):
            x, back = (rng.standard_normal(SHAPE) * 2 + 3 for _ in range(2))
            (by_parameters, by_x), (y, statistics) = step(parameters, statistics, x, back)
            given = torch.from_numpy(x).permute(0, 3, 1, 2).requires_grad_()
            out = theirs(given)
            theirs.zero_grad()
            out.backward(torch.from_numpy(back).permute(0, 3, 1, 2))
            np.testing.assert_allclose(y, out.detach().permute(0, 2, 3, 1), rtol=0, atol=1e-12)
            np.testing.assert_allclose(by_x, given.grad.permute(0, 2, 3, 1), rtol=0, atol=1e-12)
            for name in ("weight", "bias"):
                np.testing.assert_allclose(by_parameters[name], getattr(theirs, name).grad, rtol=1e-11)
            for name in ("running_mean", "running_var"):
                np.testing.assert_allclose(statistics[name], getattr(theirs, name), rtol=1e-12)


def test_one_value_has_no_variance() -> None:
    norm = BatchNorm(4)
    norm.train()
    with pytest.raises(ValueError, match="more images per batch"):
        norm(jnp.ones((1, 4)))


def test_energies_of_zero_have_no_slope() -> None:
    """A uniform picture, whose wavelets may give exactly nothing: the gradients stay finite."""
    for derivative in (jax.grad(root), jax.grad(jax.grad(root))):
        assert derivative(0.0) == 0
    slope = jax.jit(jax.grad(lambda x: Gabor()(x)["complex"].sum()))(jnp.zeros((1, 16, 16, 3)))
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(jax.grad(root)(4.0), 0.25, rtol=1e-6)
