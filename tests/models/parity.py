"""Comparison of a port with the same network in PyTorch: module by module on identical inputs, and end to end.

Our parameter paths are the names of a checkpoint, so modules of the same path in both networks are counterparts.
"""

import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from models.parts.norm import fold
from models.port import Port, assemble
from models.weights.files import read_tensors


def randomised(network: Any, seed: int = 0) -> Any:
    """The network in evaluation mode with random scales, biases and statistics, so that no term is invisible.

    Whatever still is all zeros or all ones (position embeddings, class tokens, layer scales) is made random too.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0, generator=generator)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(std=0.3, generator=generator)
            elif tensor.ndim == 1:
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif (tensor == 0).all() or (tensor == 1).all():
                tensor.normal_(std=0.3, generator=generator)
    return network.eval()


def state_of(network: Any) -> dict[str, np.ndarray]:
    """The network's tensors, through a PyTorch file and our reader of it."""
    stream = io.BytesIO()
    torch.save(network.state_dict(), stream)
    return read_tensors(stream.getvalue(), "random weights")


def ported(port: Port, network: Any, names: str | None = None, *, folded: bool = False) -> nnx.Module:
    """Our module with the network's weights."""
    module = assemble(port, state_of(network), "random weights", names)
    if folded:
        fold(module)
    return module


def images(size: int, count: int = 2) -> Any:
    """Random normalised images, images x 3 x size x size."""
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(size))


def ours(tensor: Any) -> jax.Array:
    """A tensor of PyTorch with our order of axes."""
    return jnp.asarray((tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).detach().numpy())


def relative_error(found: jax.Array, wanted: Any) -> float:
    """Largest difference over the largest magnitude."""
    expected = np.asarray(ours(wanted))
    assert found.shape == expected.shape
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


def observed(network: Any, x: Any, pattern: str) -> dict[str, tuple[Any, Any]]:
    """Input and output of every module whose whole name fits the pattern, during one forward pass."""
    seen: dict[str, tuple[Any, Any]] = {}
    hooks = []
    for name, module in network.named_modules():
        if re.fullmatch(pattern, name):

            def note(_: Any, given: tuple[Any, ...], out: Any, name: str = name) -> None:
                out = out[0] if isinstance(out, tuple) else out
                seen[name] = (given[0].clone() if given else None, out.clone())  # none where passed by keyword

            hooks.append(module.register_forward_hook(note))
    with torch.inference_mode():
        network(x)
    for hook in hooks:
        hook.remove()
    return seen


def check_modules(module: nnx.Module, network: Any, x: Any, pattern: str, tolerance: float = 1e-5) -> None:
    """Every module of the network whose name fits, against ours of that path, on the network's own input to it."""
    mine = {".".join(map(str, path)): child for path, child in nnx.iter_modules(module)}
    seen = observed(network, x, pattern)
    assert seen
    # Weights are arguments: what is alike is compiled once, and no product of weights is computed by the compiler.
    apply = jax.jit(lambda module, x: module(x))
    for name, (given, wanted) in seen.items():
        assert relative_error(apply(mine[name], ours(given)), wanted) < tolerance, name


def check_layers(
    module: nnx.Module,
    network: Any,
    x: Any,
    where: Mapping[str, str],
    change: Callable[[str, Any], Any] = lambda layer, tensor: tensor,
    tolerance: float = 1e-4,
) -> None:
    """End to end: every layer of ours against the output of the network's module named for it in ``where``.

    ``change`` does to a module's output what lies between it and our layer (a ReLU, a flattening).
    """
    found = jax.jit(lambda module, x: module(x))(module, ours(x))
    assert set(found) == set(where)
    seen = observed(network, x, "|".join(map(re.escape, where.values())))
    for layer, name in where.items():
        assert relative_error(found[layer], change(layer, seen[name][1])) < tolerance, layer
