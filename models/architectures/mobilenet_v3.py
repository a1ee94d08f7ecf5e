"""MobileNet v3 (Howard et al., ICCV 2019) as torchvision has it: kernel // 2 zeros on each side, epsilon 1e-3.

timm's weights of the same architecture were trained with another epsilon or padding and are not read here.
"""

from typing import NamedTuple

import jax

from models.parts.inverted_residual import InvertedResiduals, Plan, Row, divisible
from models.parts.inverted_residual_names import aliases, renames, torchvision
from models.port import Port
from models.weights.naming import Naming


class Bottleneck(NamedTuple):
    """One row of the publication's tables 1 and 2: squeeze-and-excitation or not, hard swish or ReLU."""

    kernel: int
    inner: int
    out: int
    squeeze: bool
    hard: bool
    stride: int


STEM = 16
LARGE = (
    (Bottleneck(3, 16, 16, False, False, 1),),
    (Bottleneck(3, 64, 24, False, False, 2), Bottleneck(3, 72, 24, False, False, 1)),
    (
        Bottleneck(5, 72, 40, True, False, 2),
        Bottleneck(5, 120, 40, True, False, 1),
        Bottleneck(5, 120, 40, True, False, 1),
    ),
    (
        Bottleneck(3, 240, 80, False, True, 2),
        Bottleneck(3, 200, 80, False, True, 1),
        Bottleneck(3, 184, 80, False, True, 1),
        Bottleneck(3, 184, 80, False, True, 1),
    ),
    (Bottleneck(3, 480, 112, True, True, 1), Bottleneck(3, 672, 112, True, True, 1)),
    (
        Bottleneck(5, 672, 160, True, True, 2),
        Bottleneck(5, 960, 160, True, True, 1),
        Bottleneck(5, 960, 160, True, True, 1),
    ),
)
SMALL = (
    (Bottleneck(3, 16, 16, True, False, 2),),
    (Bottleneck(3, 72, 24, False, False, 2), Bottleneck(3, 88, 24, False, False, 1)),
    (
        Bottleneck(5, 96, 40, True, True, 2),
        Bottleneck(5, 240, 40, True, True, 1),
        Bottleneck(5, 240, 40, True, True, 1),
    ),
    (Bottleneck(5, 120, 48, True, True, 1), Bottleneck(5, 144, 48, True, True, 1)),
    (
        Bottleneck(5, 288, 96, True, True, 2),
        Bottleneck(5, 576, 96, True, True, 1),
        Bottleneck(5, 576, 96, True, True, 1),
    ),
)


def plan(stages: tuple[tuple[Bottleneck, ...], ...], hidden: int) -> Plan:
    """The network; ``hidden`` features before the classifier."""
    rows, incoming = [], STEM
    for stage in stages:
        blocks = []
        for kernel, inner, out, squeeze, hard, stride in stage:
            activation = jax.nn.hard_swish if hard else jax.nn.relu
            squeezed = divisible(inner // 4) if squeeze else 0
            blocks.append(Row(incoming, inner, out, kernel, stride, activation, squeezed))
            incoming = out
        rows.append(tuple(blocks))
    return Plan(
        stages=tuple(rows),
        head=6 * incoming,
        activation=jax.nn.hard_swish,
        epsilon=1e-3,
        gate=jax.nn.hard_sigmoid,
        hidden=hidden,
    )


def port(network: Plan) -> Port:
    blocks = sum(map(len, network.stages))
    head = f"features.{blocks + 1}"
    outside = {
        "features.0.0": "conv_stem",
        "features.0.1": "bn1",
        f"{head}.0": "conv_head",
        f"{head}.1": "bn2",
        "classifier.0": "hidden",
        "classifier.3": "classifier",
    }
    names = renames(network, outside, lambda number, *_: f"features.{number + 1}.block.", torchvision)
    stages = len(network.stages)
    return Port(
        build=lambda rngs: InvertedResiduals(network, rngs),
        layers=network.layers(),
        readout="logits",
        namings={"torchvision": Naming(names)},
        aliases=aliases(network, lambda number, *_: f"features.{number + 1}")
        | {"features.0": "stem", "features.0.2": "stem", head: "head", f"{head}.2": "head"}
        | {"classifier.1": "hidden", "classifier.3": "logits", "classifier": "logits"}
        # timm's, which counts the last convolution among the blocks
        | aliases(network, lambda _, stage, place: f"blocks.{stage}.{place}")
        | aliases(network, lambda _, stage, __: f"blocks.{stage}")
        | {"bn1": "stem", f"blocks.{stages}": "head", f"blocks.{stages}.0": "head"}
        | {"global_pool": "avgpool", "act2": "hidden"},
    )


def large() -> Port:
    """5,483,032 parameters."""
    return port(plan(LARGE, 1280))


def small() -> Port:
    """2,542,856 parameters."""
    return port(plan(SMALL, 1024))
