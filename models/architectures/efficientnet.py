"""EfficientNet (Tan & Le, ICML 2019) and EfficientNet-Lite, which has ReLU6 for swish and no squeeze-and-excitation.

Two conventions of the same layers exist. Networks trained in PyTorch (timm's, which torchvision took over) put
kernel // 2 zeros on each side and have epsilon 1e-5 in batch normalisation; those trained in TensorFlow (all of Lite)
have its SAME padding and epsilon 1e-3. A weight file does not tell which one it needs.
"""

import math
from typing import NamedTuple

import jax

from models.parts.inverted_residual import InvertedResiduals, Plan, Row, divisible
from models.parts.inverted_residual_names import Parts, Renames, aliases, renames, timm_aliases, torchvision
from models.port import Port
from models.weights.naming import Naming, Tensors


class Stage(NamedTuple):
    """Blocks in a row; only the first has the stride and changes the channels."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


# Width and depth factor 1.
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280


def plan(
    width: float = 1.0,
    depth: float = 1.0,
    *,
    lite: bool = False,
    tensorflow: bool = False,
    stages: tuple[Stage, ...] = STAGES,
) -> Plan:
    """The network with its channels times ``width`` and its blocks times ``depth``.

    Lite scales neither stem and head nor the depth of the first and the last stage.
    """
    rows = []
    incoming = STEM if lite else divisible(STEM * width)
    for number, (blocks, kernel, stride, expansion, channels) in enumerate(stages):
        fixed = lite and number in (0, len(stages) - 1)
        out, stage = divisible(channels * width), []
        for place in range(blocks if fixed else math.ceil(blocks * depth)):
            squeezed = 0 if lite else incoming // 4
            activation = jax.nn.relu6 if lite else jax.nn.silu
            step = stride if place == 0 else 1
            stage.append(Row(incoming, incoming * expansion, out, kernel, step, activation, squeezed))
            incoming = out
        rows.append(tuple(stage))
    return Plan(
        stages=tuple(rows),
        head=HEAD if lite else divisible(HEAD * width),
        activation=activation,
        same=tensorflow,
        epsilon=1e-3 if tensorflow else 1e-5,
        squeeze=jax.nn.silu,
    )


def port(network: Plan) -> Port:
    """The files it can be filled from are those of networks with its convention of padding."""
    last = len(network.stages) + 1
    if network.same:
        namings = {"original": Naming(_original(network)), "timm": Naming(), "keras": _keras(network)}
        others = aliases(network, lambda number, *_: f"_blocks.{number}") | {"_fc": "logits"} | _keras_aliases(network)
    else:
        namings = {"torchvision": Naming(_torchvision(network)), "timm": Naming()}
        others = (
            aliases(network, lambda _, stage, place: f"features.{stage + 1}.{place}")
            | aliases(network, lambda _, stage, __: f"features.{stage + 1}")
            | {"features.0": "stem", "features.0.2": "stem", f"features.{last}": "head", f"features.{last}.2": "head"}
            | {"classifier.0": "avgpool", "classifier.1": "logits"}
        )
    return Port(
        build=lambda rngs: InvertedResiduals(network, rngs),
        layers=network.layers(),
        readout="logits",
        namings=namings,
        aliases=timm_aliases(network) | others,
    )


def _torchvision(network: Plan) -> Renames:
    last = len(network.stages) + 1
    outside = {
        "features.0.0": "conv_stem",
        "features.0.1": "bn1",
        f"features.{last}.0": "conv_head",
        f"features.{last}.1": "bn2",
        "classifier.1": "classifier",
    }
    return renames(network, outside, lambda _, stage, place: f"features.{stage + 1}.{place}.block.", torchvision)


def _original(network: Plan) -> Renames:
    """As the first ports from TensorFlow to PyTorch have it (EfficientNet-PyTorch)."""
    outside = {
        "_conv_stem": "conv_stem",
        "_bn0": "bn1",
        "_conv_head": "conv_head",
        "_bn1": "bn2",
        "_fc": "classifier",
    }
    parts = Parts(
        *("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_se_reduce", "_se_expand", "_project_conv", "_bn2")
    )
    return renames(network, outside, lambda number, *_: f"_blocks.{number}.", lambda _: parts)


def _letter(_: int, stage: int, place: int) -> str:
    return f"block{stage + 1}{chr(ord('a') + place)}_"


def _keras(network: Plan) -> Naming:
    """As Keras has it, and the package ``efficientnet``, which calls the classifier ``probs``."""
    outside = {
        "stem_conv": "conv_stem",
        "stem_bn": "bn1",
        "top_conv": "conv_head",
        "top_bn": "bn2",
        "predictions": "classifier",
        "probs": "classifier",
    }
    parts = Parts("expand_conv", "expand_bn", "dwconv", "bn", "se_reduce", "se_expand", "project_conv", "project_bn")
    return Naming(
        rename=(
            *renames(network, outside, _letter, lambda _: parts),
            (r"\.(?:kernel|depthwise_kernel|gamma)$", ".weight"),
            (r"\.beta$", ".bias"),
            (r"\.moving_mean$", ".running_mean"),
            (r"\.moving_variance$", ".running_var"),
        ),
        outputs_first=False,
        convert=_depthwise_last,
    )


def _depthwise_last(tensors: Tensors) -> Tensors:
    """Keras has depthwise kernels height x width x channels x 1."""
    return {
        name: tensor.swapaxes(2, 3) if name.endswith("conv_dw.weight") and tensor.ndim == 4 else tensor
        for name, tensor in tensors.items()
    }


def _keras_aliases(network: Plan) -> dict[str, str]:
    ends = {number: "add" if row.residual else "project_bn" for number, *_, row in network.places()}
    outside = {"stem_activation": "stem", "top_activation": "head", "avg_pool": "avgpool"}
    return aliases(network, lambda number, *place: _letter(number, *place) + ends[number]) | outside


def b0() -> Port:
    """5,288,548 parameters, 224 pixels."""
    return port(plan())


def b0_tensorflow() -> Port:
    """EfficientNet-B0 as TensorFlow and Keras train it: 5,288,548 parameters, 224 pixels."""
    return port(plan(tensorflow=True))


def b1() -> Port:
    """7,794,184 parameters, 240 pixels."""
    return port(plan(1.0, 1.1))


def b2() -> Port:
    """9,109,994 parameters, 288 pixels (260 in the publication)."""
    return port(plan(1.1, 1.2))


def b3() -> Port:
    """12,233,232 parameters, 300 pixels."""
    return port(plan(1.2, 1.4))


def b4() -> Port:
    """19,341,616 parameters, 380 pixels."""
    return port(plan(1.4, 1.8))


def lite0() -> Port:
    """4,652,008 parameters, 224 pixels."""
    return port(plan(lite=True, tensorflow=True))


def lite1() -> Port:
    """5,416,680 parameters, 240 pixels."""
    return port(plan(1.0, 1.1, lite=True, tensorflow=True))


def lite2() -> Port:
    """6,092,072 parameters, 260 pixels."""
    return port(plan(1.1, 1.2, lite=True, tensorflow=True))
