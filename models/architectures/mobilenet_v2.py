"""MobileNet v2 (Sandler et al., CVPR 2018) as torchvision and timm have it: kernel // 2 zeros on each side."""

from typing import NamedTuple

import jax

from models.parts.inverted_residual import InvertedResiduals, Plan, Row
from models.parts.inverted_residual_names import Parts, aliases, renames, timm_aliases
from models.port import Port
from models.weights.naming import Naming


class Stage(NamedTuple):
    """Blocks in a row, all 3x3; only the first has the stride and changes the channels."""

    expansion: int
    channels: int
    blocks: int
    stride: int


STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)
STEM, HEAD = 32, 1280

# Names in a block that expands and in one that does not.
_TORCHVISION = (Parts("0.0", "0.1", "1.0", "1.1", "", "", "2", "3"), Parts("", "", "0.0", "0.1", "", "", "1", "2"))
# The same where each block is one plain sequence, its activations counted.
_SEQUENTIAL = (Parts("0", "1", "3", "4", "", "", "6", "7"), Parts("", "", "0", "1", "", "", "3", "4"))


def plan(stages: tuple[Stage, ...] = STAGES, *, classes: int = 1000) -> Plan:
    """The network; without classes a trunk that ends at the average."""
    rows, incoming = [], STEM
    for expansion, channels, blocks, stride in stages:
        stage = []
        for place in range(blocks):
            step = stride if place == 0 else 1
            stage.append(Row(incoming, incoming * expansion, channels, 3, step, jax.nn.relu6))
            incoming = channels
        rows.append(tuple(stage))
    return Plan(stages=tuple(rows), head=HEAD, activation=jax.nn.relu6, classes=classes)


def port(network: Plan) -> Port:
    blocks = sum(map(len, network.stages))
    head = f"features.{blocks + 1}"
    outside = {
        "features.0.0": "conv_stem",
        "features.0.1": "bn1",
        f"{head}.0": "conv_head",
        f"{head}.1": "bn2",
        "classifier.1": "classifier",
    }
    ignore = r".*\.num_batches_tracked" + ("" if network.classes else r"|classifier\..*")

    def named(expanded: Parts, separable: Parts) -> Naming:
        names = renames(
            network,
            outside,
            lambda number, *_: f"features.{number + 1}.conv.",
            lambda row: expanded if row.expanded else separable,
        )
        return Naming(names, ignore)

    readout = {"classifier.0": "avgpool", "classifier.1": "logits", "classifier": "logits"}
    trunk = {name: layer for name, layer in timm_aliases(network).items() if layer != "logits"}
    return Port(
        build=lambda rngs: InvertedResiduals(network, rngs),
        layers=network.layers(),
        readout="logits" if network.classes else None,
        namings={
            "torchvision": named(*_TORCHVISION),
            "timm": Naming(ignore=ignore),
            "sequential": named(*_SEQUENTIAL),
        },
        aliases=trunk
        | aliases(network, lambda number, *_: f"features.{number + 1}")
        | {"features.0": "stem", "features.0.2": "stem", head: "head", f"{head}.2": "head"}
        | (readout if network.classes else {}),
    )


def mobilenet_v2() -> Port:
    """3,504,872 parameters."""
    return port(plan())


def trunk() -> Port:
    """MobileNet v2 up to the average: 2,223,872 parameters."""
    return port(plan(classes=0))
