"""A small network with max pooling and batch normalisation, written twice: for JAX and for PyTorch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

MOMENTUM, EPSILON = 0.1, 1e-5
CLASSES = 6
QUICK = {"xla_backend_optimization_level": 0}  # compiles the small network in a third of the time


def parameters(seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and statistics, float64."""
    rng = np.random.default_rng(seed)
    params = {
        "conv1": {"kernel": rng.normal(size=(3, 3, 3, 4)) / 3, "bias": rng.normal(size=4)},
        "norm1": {"scale": rng.uniform(0.5, 2, 4), "bias": rng.normal(size=4)},
        "conv2": {"kernel": rng.normal(size=(3, 3, 4, 5)) / 4, "bias": rng.normal(size=5)},
        "norm2": {"scale": rng.uniform(0.5, 2, 5), "bias": rng.normal(size=5)},
        "head": {"kernel": rng.normal(size=(5, CLASSES)), "bias": rng.normal(size=CLASSES)},
    }
    statistics = {
        "norm1": {"mean": rng.normal(size=4), "var": rng.uniform(0.5, 2, 4)},
        "norm2": {"mean": rng.normal(size=5), "var": rng.uniform(0.5, 2, 5)},
    }
    return params, statistics


def forward(
    params: Any, statistics: Any, images: jax.Array, *, train: bool = False, take: Any = lambda layers: layers
) -> tuple[Any, Any]:
    updated = dict(statistics)

    def norm(name: str, x: jax.Array) -> jax.Array:
        mean, var = statistics[name]["mean"], statistics[name]["var"]
        if train:
            n = x.size // x.shape[-1]
            kept, (mean, var) = (mean, var), (x.mean((0, 1, 2)), x.var((0, 1, 2)))
            pairs = zip(("mean", "var"), kept, (mean, var * n / (n - 1)), strict=True)
            updated[name] = {key: (1 - MOMENTUM) * old + MOMENTUM * new for key, old, new in pairs}
        return (x - mean) / jnp.sqrt(var + EPSILON) * params[name]["scale"] + params[name]["bias"]

    def conv(name: str, x: jax.Array) -> jax.Array:
        dimensions = ("NHWC", "HWIO", "NHWC")
        found = lax.conv_general_dilated(
            x, params[name]["kernel"], (1, 1), ((1, 1), (1, 1)), dimension_numbers=dimensions
        )
        return found + params[name]["bias"]

    x = jax.nn.relu(norm("norm1", conv("conv1", images)))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = jax.nn.relu(norm("norm2", conv("conv2", x)))
    logits = x.mean((1, 2)) @ params["head"]["kernel"] + params["head"]["bias"]
    return take({"late": x, "logits": logits}), updated


def torch_logits(params: Any, statistics: Any, images: Any, *, train: bool) -> Any:
    """The same from ``torch.nn.functional``, on tensors in the layout of JAX; updates the statistics in place."""
    from torch.nn import functional as F

    def block(number: str, x: Any) -> Any:
        conv, norm, kept = params[f"conv{number}"], params[f"norm{number}"], statistics[f"norm{number}"]
        x = F.conv2d(x, conv["kernel"].permute(3, 2, 0, 1), conv["bias"], padding=1)
        return F.relu(F.batch_norm(x, kept["mean"], kept["var"], norm["scale"], norm["bias"], train, MOMENTUM, EPSILON))

    x = block("2", F.max_pool2d(block("1", images.permute(0, 3, 1, 2)), 2))
    return F.linear(x.mean((2, 3)), params["head"]["kernel"].T, params["head"]["bias"])
