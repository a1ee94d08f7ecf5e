"""Residual networks against PyTorch with the same random weights."""

from typing import Any

import pytest
from flax import nnx

torch = pytest.importorskip("torch")

from models.architectures.resnet import Basic, Bottleneck, port
from models.port import Port
from tests.models.parity import check_layers, check_modules, images, ported, randomised
from tests.models.reference.resnet import ResNet

# Blocks with and without a downsampling branch, with and without a stride: every kind that deeper networks repeat.
DEPTHS = (2, 1, 1, 2)
NETWORKS = {
    "basic": (lambda: port(Basic, DEPTHS), lambda: ResNet(DEPTHS, 1)),
    "bottleneck": (lambda: port(Bottleneck, DEPTHS), lambda: ResNet(DEPTHS, 4)),
    "grouped": (lambda: port(Bottleneck, DEPTHS, groups=32, base=4), lambda: ResNet(DEPTHS, 4, groups=32, base=4)),
    "wide": (lambda: port(Bottleneck, DEPTHS, base=128), lambda: ResNet(DEPTHS, 4, base=128)),
}


def layers(port: Port) -> dict[str, str]:
    return {layer: layer for layer in (*port.layers, *filter(None, [port.readout]))}


def flattened(layer: str, tensor: Any) -> Any:
    return tensor.flatten(1) if layer == "avgpool" else tensor


@pytest.mark.parametrize(("name", "size", "folded"), [("basic", 64, False), ("bottleneck", 65, True)])
def test_each_module_on_the_same_input(name: str, size: int, folded: bool) -> None:
    build, reference = NETWORKS[name]
    network = randomised(reference())
    module = ported(build(), network, folded=folded)
    check_modules(module, network, images(size), r"layer\d\.\d|fc" if folded else r"conv1|bn1|layer\d\.\d|fc")


@pytest.mark.parametrize(("name", "size"), [("basic", 65), ("bottleneck", 64), ("grouped", 65), ("wide", 64)])
def test_end_to_end(name: str, size: int) -> None:
    build, reference = NETWORKS[name]
    network = randomised(reference())
    check_layers(ported(build(), network, folded=True), network, images(size), layers(build()), flattened)


def test_without_classifier_ends_at_the_average() -> None:
    network = randomised(NETWORKS["basic"][1]())
    trunk = port(Basic, DEPTHS, classifier=False)
    module = ported(trunk, network)
    check_layers(module, network, images(33), {name: name for name in trunk.layers}, flattened)
    assert not [path for path, _ in nnx.iter_modules(module) if "fc" in path]
