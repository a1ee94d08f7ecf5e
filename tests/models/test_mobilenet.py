"""MobileNet v2 and v3 against the same networks in PyTorch, with random weights."""

from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from models.architectures import mobilenet_v2 as v2
from models.architectures import mobilenet_v3 as v3
from models.port import Port
from models.weights.naming import Naming
from tests.models.parity import check_layers, check_modules, images, ported, randomised
from tests.models.reference.inverted_residual import (
    TIMM,
    Kind,
    Named,
    Spec,
    Torchvision,
    flattened,
)

nn = torch.nn


def small_v2(*, classes: int = 1000) -> Port:
    return v2.port(v2.plan((v2.Stage(1, 16, 1, 1), v2.Stage(6, 24, 2, 2), v2.Stage(6, 32, 1, 2)), classes=classes))


def small_v3() -> Port:
    """Both activations, with and without squeeze-and-excitation, expansion, stride and residual."""
    stages = (
        (v3.Bottleneck(3, 16, 16, True, False, 2),),
        (v3.Bottleneck(3, 72, 24, False, False, 1), v3.Bottleneck(3, 88, 24, False, True, 1)),
        (v3.Bottleneck(5, 96, 40, True, True, 2),),
    )
    return v3.port(v3.plan(stages, 64))


# The same tables, worked out by hand. Squeezed to a quarter of the depthwise channels, in multiples of 8.
_V2 = (
    ((32, 32, 16, 3, 1),),
    ((16, 96, 24, 3, 2), (24, 144, 24, 3, 1)),
    ((24, 144, 32, 3, 2),),
)
KIND_V2 = Kind(
    stages=tuple(tuple(Spec(*sizes, 0, nn.ReLU6) for sizes in stage) for stage in _V2),
    head=1280,
    activation=nn.ReLU6,
)
KIND_V3 = Kind(
    stages=(
        (Spec(16, 16, 16, 3, 2, 8, nn.ReLU),),
        (Spec(16, 72, 24, 3, 1, 0, nn.ReLU), Spec(24, 88, 24, 3, 1, 0, nn.Hardswish)),
        (Spec(24, 96, 40, 5, 2, 24, nn.Hardswish),),
    ),
    head=240,
    activation=nn.Hardswish,
    epsilon=1e-3,
    gate=nn.Hardsigmoid,
    hidden=64,
)


@pytest.mark.parametrize(
    ("build", "kind", "size", "folded"),
    [(small_v2, KIND_V2, 65, False), (small_v3, KIND_V3, 64, True)],
    ids=["v2", "v3"],
)
def test_each_module_on_the_same_input(build: Any, kind: Kind, size: int, folded: bool) -> None:
    network = randomised(Named(kind, TIMM))
    made = replace(build(), namings={"own": Naming()})
    pattern = r"blocks\.\d\.\d(\.se)?|hidden|classifier" if folded else r"conv_stem|bn2|blocks\.\d\.\d|conv_head"
    check_modules(ported(made, network, folded=folded), network, images(size), pattern)


@pytest.mark.parametrize(
    ("build", "kind", "form", "size"),
    [(small_v2, KIND_V2, "conv", 64), (small_v3, KIND_V3, "blocks", 65)],
    ids=["v2", "v3"],
)
def test_end_to_end_with_torchvision_names(build: Any, kind: Kind, form: str, size: int) -> None:
    network = randomised(Torchvision(kind, form))
    module = ported(build(), network, "torchvision", folded=True)
    check_layers(module, network, images(size), network.where(), flattened)


def test_trunk_from_plain_sequences_ends_at_the_average() -> None:
    network = randomised(Torchvision(KIND_V2, "flat"))
    where = {layer: name for layer, name in network.where().items() if layer != "logits"}
    trunk = small_v2(classes=0)
    assert trunk.readout is None
    assert tuple(where) == trunk.layers
    check_layers(ported(trunk, network, "sequential", folded=True), network, images(65), where, flattened)
    assert "logits" not in trunk.aliases.values()


@pytest.mark.parametrize(
    ("port", "aliases"),
    [
        (
            v2.mobilenet_v2(),
            {"features.1": "block0", "features.17": "block16", "features.18": "head", "blocks.6.0": "block16"},
        ),
        (v3.large(), {"features.15": "block14", "features.16": "head", "blocks.6.0": "head", "blocks.5": "block14"}),
        (v3.small(), {"features.11": "block10", "features.12": "head", "blocks.5": "head", "classifier.1": "hidden"}),
    ],
    ids=["v2", "v3-large", "v3-small"],
)
def test_names_of_the_originals(port: Port, aliases: dict[str, str]) -> None:
    """Numbers as in the publications' tables, counting the stem as 0."""
    assert port.aliases.items() >= aliases.items()
