"""AlexNet's trunk against the same layers in PyTorch, layer by layer and end to end."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from models import zoo
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


def test_weights_are_those_of_an_edge_detector() -> None:
    """The real first layer, as torchvision's: bounded, centred kernels, many of them oriented and colour-opponent."""
    model = zoo.load("alexnet")
    kernel = np.asarray(model.params["convolutions"][0]["kernel"])
    assert kernel.shape == (11, 11, 3, 64)
    spectrum = np.abs(np.fft.fft2(kernel.mean(2), axes=(0, 1)))
    assert (spectrum[0, 0] < spectrum.reshape(121, 64).max(0)).mean() > 0.5


def test_untrained_network_is_alive() -> None:
    layers = AlexNet(nnx.Rngs(0))(jnp.ones((1, 64, 64, 3)))
    assert all(np.ptp(np.asarray(layer)) > 0 for layer in layers.values())
