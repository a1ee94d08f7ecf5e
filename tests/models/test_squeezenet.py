"""SqueezeNet against PyTorch with the same random weights."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from models.architectures.squeezenet import squeezenet1_0, squeezenet1_1
from tests.models.parity import check_layers, check_modules, images, ported, randomised
from tests.models.reference.squeezenet import SqueezeNet

A, B, C, D = (16, 64), (32, 128), (48, 192), (64, 256)
NETWORKS = {
    "1.0": (squeezenet1_0, lambda: SqueezeNet(96, 7, (None, A, A, B, None, B, C, C, D, None, D))),
    "1.1": (squeezenet1_1, lambda: SqueezeNet(64, 3, (None, A, A, None, B, B, None, C, C, D, D))),
}


def in_torchvision(aliases: dict[str, str]) -> dict[str, str]:
    """Layer -> the module of torchvision that it is said to equal."""
    return {layer: name for name, layer in aliases.items() if name.startswith(("features.", "classifier."))}


def flattened(layer: str, tensor: Any) -> Any:
    return tensor.flatten(1) if layer == "logits" else tensor


def test_each_module_on_the_same_input() -> None:
    build, reference = NETWORKS["1.0"]
    network = randomised(reference())
    check_modules(ported(build(), network), network, images(65), r"features\.(3|7)|classifier\.1")


# 65 and 64 leave pools of both networks a last window that is cut off by the picture's edge (ceil mode).
@pytest.mark.parametrize(("name", "size"), [("1.0", 64), ("1.1", 65)])
def test_end_to_end(name: str, size: int) -> None:
    build, reference = NETWORKS[name]
    network = randomised(reference())
    check_layers(ported(build(), network), network, images(size), in_torchvision(dict(build().aliases)), flattened)


def test_layers_and_their_other_names() -> None:
    first, second = squeezenet1_0(), squeezenet1_1()
    assert [layer for layer in first.layers if layer.startswith("pool")] == ["pool1", "pool4", "pool8"]
    assert [layer for layer in second.layers if layer.startswith("pool")] == ["pool1", "pool3", "pool5"]
    assert first.layers[-4:] == ("pool8", "fire9.expand3x3", "fire9", "relu10")
    # As Brain-Score lists them.
    halves = [f"fire{number}.expand3x3" for number in range(2, 10)]
    for port, places in ((first, (3, 4, 5, 7, 8, 9, 10, 12)), (second, (3, 4, 6, 7, 9, 10, 11, 12))):
        assert [port.aliases[f"features.{place}.expand3x3_activation"] for place in places] == halves
