"""AlexNet's trunk against the same layers in PyTorch, layer by layer and end to end."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.alexnet import AlexNet, pool, trunk
from models.port import assemble

torch = pytest.importorskip("torch")


def features() -> dict[str, Any]:
    """torchvision's ``alexnet().features``; a convolution and its ReLU are one step."""
    nn = torch.nn
    torch.manual_seed(0)

    def step(*args: int) -> Any:
        return nn.Sequential(nn.Conv2d(*args[:3], stride=args[3], padding=args[4]), nn.ReLU())

    return {
        "relu1": step(3, 64, 11, 4, 2),
        "pool1": nn.MaxPool2d(3, 2),
        "relu2": step(64, 192, 5, 1, 2),
        "pool2": nn.MaxPool2d(3, 2),
        "relu3": step(192, 384, 3, 1, 1),
        "relu4": step(384, 256, 3, 1, 1),
        "relu5": step(256, 256, 3, 1, 1),
        "pool5": nn.MaxPool2d(3, 2),
    }


def port_of(steps: dict[str, Any]) -> AlexNet:
    tensors = {f"NetLinLayer_{index}/Conv_0/kernel": np.zeros((1, 1, 1, 1)) for index in range(5)}
    for index in range(5):
        conv = steps[f"relu{index + 1}"][0]
        tensors[f"AlexNet_0/Conv_{index}/kernel"] = conv.weight.detach().permute(2, 3, 1, 0).numpy()
        tensors[f"AlexNet_0/Conv_{index}/bias"] = conv.bias.detach().numpy()
    return assemble(trunk(), tensors, "random weights")  # type: ignore[return-value]


def ours(x: Any) -> jax.Array:
    return jnp.asarray(x.permute(0, 2, 3, 1).numpy())


def relative_error(found: jax.Array, wanted: Any) -> float:
    expected = np.asarray(ours(wanted))
    assert found.shape == expected.shape
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("size", [96, 97])
def test_equals_torchvision(size: int) -> None:
    steps = features()
    port = port_of(steps)
    convolutions = iter(port.convolutions)
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(size))
    whole = jax.jit(lambda module, x: module(x))(port, ours(x))
    assert sorted(whole) == sorted(steps)
    with torch.inference_mode():
        for name, step in steps.items():
            y = step(x)
            alone = pool(ours(x)) if name.startswith("pool") else jax.jit(next(convolutions))(ours(x))
            assert relative_error(alone, y) < 1e-5, name
            assert relative_error(whole[name], y) < 1e-4, name
            x = y
