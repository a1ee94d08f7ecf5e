"""AlexNet against PyTorch's operations, with random weights."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.architectures.alexnet import alexnet, trunk
from models.port import assemble
from tests.models.parity import check_layers, check_modules, images, ported, randomised, state_of


class AlexNet(torch.nn.Module):
    """torchvision's layout, written from the published table."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            *(nn.Dropout(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU()),
            *(nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()),
            nn.Linear(4096, 1000),
        )

    def forward(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


@pytest.fixture(scope="module")
def network() -> Any:
    return randomised(AlexNet())


def test_each_module_on_the_same_input(network: Any) -> None:
    check_modules(ported(alexnet(), network), network, images(96), r"features\.(0|3|6|8|10)|classifier\.[146]")


@pytest.mark.parametrize("size", [96, 97])
def test_whole_network(network: Any, size: int) -> None:
    port = alexnet()
    where = {layer: name for name, layer in port.aliases.items()}
    check_layers(ported(port, network), network, images(size), where)


def test_trunk_from_both_kinds_of_file(network: Any) -> None:
    port = trunk()
    where = {layer: name for name, layer in port.aliases.items()}
    check_layers(ported(port, network, "torchvision"), network, images(97), where)
    state = state_of(network)
    tensors = {f"NetLinLayer_{index}/Conv_0/kernel": np.zeros((1, 1, 1, 1)) for index in range(5)}
    for index, place in enumerate((0, 3, 6, 8, 10)):
        tensors[f"AlexNet_0/Conv_{index}/kernel"] = state[f"features.{place}.weight"].transpose(2, 3, 1, 0)
        tensors[f"AlexNet_0/Conv_{index}/bias"] = state[f"features.{place}.bias"]
    flax = {name.replace("/", "."): tensor for name, tensor in tensors.items()}
    check_layers(assemble(port, flax, "random weights"), network, images(97), where)
