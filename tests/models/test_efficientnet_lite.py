"""EfficientNet-Lite0 against the same network in PyTorch, with random weights: layer by layer and end to end."""

import io
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from engine.errors import InputError
from models.batch_norm import fold
from models.efficientnet_lite import EfficientNetLite, lite0
from models.port import assemble
from models.torch_file import read_torch

torch = pytest.importorskip("torch")
functional = torch.nn.functional


def convolution(x: Any, module: Any, stride: int = 1) -> Any:
    """With TensorFlow's SAME padding."""
    kernel = module.weight.shape[-1]
    height, width = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:])
    x = functional.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
    return functional.conv2d(x, module.weight, stride=stride, groups=module.groups)


def conv(incoming: int, out: int, kernel: int, groups: int = 1) -> Any:
    return torch.nn.Conv2d(incoming, out, kernel, groups=groups, bias=False)


def norm(channels: int) -> Any:
    return torch.nn.BatchNorm2d(channels, eps=1e-3)


class Block(torch.nn.Module):
    def __init__(self, incoming: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = incoming * expansion
        if expansion > 1:
            self._expand_conv, self._bn0 = conv(incoming, inner, 1), norm(inner)
        self._depthwise_conv, self._bn1 = conv(inner, inner, kernel, groups=inner), norm(inner)
        self._project_conv, self._bn2 = conv(inner, out, 1), norm(out)
        self.stride, self.expanded, self.skip = stride, expansion > 1, stride == 1 and incoming == out

    def forward(self, x: Any) -> Any:
        y = functional.relu6(self._bn0(convolution(x, self._expand_conv))) if self.expanded else x
        y = functional.relu6(self._bn1(convolution(y, self._depthwise_conv, self.stride)))
        y = self._bn2(convolution(y, self._project_conv))
        return x + y if self.skip else y


class TorchLite0(torch.nn.Module):
    """Written from the published table; tensor names as in the weight file."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = conv(3, 32, 3), norm(32)
        self._blocks = torch.nn.ModuleList(
            [Block(32, 16, 3, 1, 1)]
            + [Block(16, 24, 3, 2, 6), Block(24, 24, 3, 1, 6)]
            + [Block(24, 40, 5, 2, 6), Block(40, 40, 5, 1, 6)]
            + [Block(40, 80, 3, 2, 6), Block(80, 80, 3, 1, 6), Block(80, 80, 3, 1, 6)]
            + [Block(80, 112, 5, 1, 6), Block(112, 112, 5, 1, 6), Block(112, 112, 5, 1, 6)]
            + [Block(112, 192, 5, 2, 6)]
            + [Block(192, 192, 5, 1, 6) for _ in range(3)]
            + [Block(192, 320, 3, 1, 6)]
        )
        self._conv_head, self._bn1 = conv(320, 1280, 1), norm(1280)
        self._fc = torch.nn.Linear(1280, 1000)

    def steps(self) -> dict[str, Callable[[Any], Any]]:
        """Layer name -> from the layer before to this one."""
        steps: dict[str, Callable[[Any], Any]] = {
            "stem": lambda x: functional.relu6(self._bn0(convolution(x, self._conv_stem, 2)))
        }
        steps |= {f"block{index}": block for index, block in enumerate(self._blocks)}
        steps["head"] = lambda x: functional.relu6(self._bn1(convolution(x, self._conv_head)))
        steps["logits"] = lambda x: self._fc(x.mean((2, 3)))
        return steps


@pytest.fixture(scope="module")
def original() -> Any:
    """Random weights; random scales, biases and statistics, so that no term is invisible."""
    torch.manual_seed(0)
    network = TorchLite0().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.5)
            torch.nn.init.normal_(module.running_mean, std=0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network


def port_of(network: Any) -> nnx.Module:
    stream = io.BytesIO()
    torch.save(network.state_dict(), stream)
    return assemble(lite0(), read_torch(stream.getvalue(), "random weights"), "random weights")


@pytest.fixture(scope="module")
def plain(original: Any) -> EfficientNetLite:
    return port_of(original)


@pytest.fixture(scope="module")
def folded(original: Any) -> EfficientNetLite:
    module = port_of(original)
    fold(module)
    return module


def random_input(size: int) -> Any:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(size))


def ours(x: Any) -> jax.Array:
    return jnp.asarray(x.permute(0, 2, 3, 1).numpy()) if x.ndim == 4 else jnp.asarray(x.numpy())


def relative_error(found: jax.Array, wanted: Any) -> float:
    expected = np.asarray(ours(wanted))
    assert found.shape == expected.shape
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(("form", "size"), [("plain", 64), ("folded", 65)])
def test_each_layer_on_the_same_input(form: str, size: int, original: Any, request: pytest.FixtureRequest) -> None:
    port = request.getfixturevalue(form)
    steps = [port.stem, *port.blocks, port.head, port.classifier]
    x = random_input(size)
    with torch.inference_mode():
        for (name, original_step), step in zip(original.steps().items(), steps, strict=True):
            y = original_step(x)
            assert relative_error(jax.jit(step)(ours(x)), y) < 1e-5, name
            x = y


@pytest.mark.parametrize("size", [64, 65])
@pytest.mark.parametrize("platform", ["cpu", "default"])
def test_end_to_end(
    platform: str, size: int, original: Any, folded: EfficientNetLite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the form for CPUs and in the one for accelerators, both run here."""
    monkeypatch.setattr("jax.lax.platform_dependent", lambda *args, **forms: forms[platform](*args))
    x = random_input(size)
    found = jax.jit(lambda module, x: module(x))(folded, ours(x))
    with torch.inference_mode():
        for name, step in original.steps().items():
            x = step(x)
            assert relative_error(found[name], x) < 1e-4, name
    assert set(found) == set(original.steps())


def test_weights_that_do_not_fit_are_all_listed(original: Any) -> None:
    tensors = {name: tensor.numpy() for name, tensor in original.state_dict().items()}
    del tensors["_blocks.3._depthwise_conv.weight"]
    tensors["_blocks.16._project_conv.weight"] = np.zeros((320, 1152, 1, 1), np.float32)
    tensors["_fc.weight"] = np.zeros((10, 1280), np.float32)
    with pytest.raises(InputError) as error:
        assemble(lite0(), tensors, "lite0.pth")
    for problem in (
        "missing: _blocks.3._depthwise_conv.weight (144, 1, 5, 5)",
        "unexpected: _blocks.16._project_conv.weight (320, 1152, 1, 1)",
        "wrong shape: _fc.weight is (10, 1280), wanted (1000, 1280)",
        "3 place(s)",
    ):
        assert problem in str(error.value)
