"""Residual networks as torchvision has them (He et al., CVPR 2016), wide and with grouped convolutions.

The stride of a bottleneck is in its 3x3 convolution (version 1.5).
"""

from typing import ClassVar

import jax
from flax import nnx

from models.parts.conv import Conv
from models.parts.linear import Linear
from models.parts.norm import BatchNorm, ConvNorm
from models.parts.pool import global_average_pool, max_pool
from models.port import Port
from models.weights.naming import Naming


class Basic(nnx.Module):
    """Two 3x3 convolutions."""

    EXPANSION: ClassVar[int] = 1
    FOLDS: ClassVar[dict[str, str]] = {"bn1": "conv1", "bn2": "conv2"}

    def __init__(self, incoming: int, width: int, stride: int, rngs: nnx.Rngs, *, groups: int, base: int) -> None:
        assert (groups, base) == (1, 64), "torchvision has none"
        self.conv1 = Conv(incoming, width, 3, rngs, stride=stride, padding=1, bias=False)
        self.bn1 = BatchNorm(width)
        self.conv2 = Conv(width, width, 3, rngs, padding=1, bias=False)
        self.bn2 = BatchNorm(width)
        self.downsample = _downsample(incoming, width, stride, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = jax.nn.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return jax.nn.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nnx.Module):
    """1x1 to fewer channels, 3x3, 1x1 to more."""

    EXPANSION: ClassVar[int] = 4
    FOLDS: ClassVar[dict[str, str]] = {"bn1": "conv1", "bn2": "conv2", "bn3": "conv3"}

    def __init__(self, incoming: int, width: int, stride: int, rngs: nnx.Rngs, *, groups: int, base: int) -> None:
        inner, out = width * base // 64 * groups, width * self.EXPANSION
        self.conv1 = Conv(incoming, inner, 1, rngs, bias=False)
        self.bn1 = BatchNorm(inner)
        self.conv2 = Conv(inner, inner, 3, rngs, stride=stride, padding=1, groups=groups, bias=False)
        self.bn2 = BatchNorm(inner)
        self.conv3 = Conv(inner, out, 1, rngs, bias=False)
        self.bn3 = BatchNorm(out)
        self.downsample = _downsample(incoming, out, stride, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = jax.nn.relu(self.bn1(self.conv1(x)))
        y = jax.nn.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return jax.nn.relu(y + (x if self.downsample is None else self.downsample(x)))


def _downsample(incoming: int, out: int, stride: int, rngs: nnx.Rngs) -> ConvNorm | None:
    if stride == 1 and incoming == out:
        return None
    return ConvNorm([Conv(incoming, out, 1, rngs, stride=stride, bias=False), BatchNorm(out)])


class ResNet(nnx.Module):
    """Layers: ``relu`` and ``maxpool`` of the stem, ``layer1.0`` ... after each block's last ReLU, ``avgpool``; and
    ``fc``, the logits. Without ``classifier`` it ends at ``avgpool``, as self-supervised weights do."""

    FOLDS: ClassVar[dict[str, str]] = {"bn1": "conv1"}

    def __init__(
        self,
        block: type[Basic] | type[Bottleneck],
        depths: tuple[int, ...],
        rngs: nnx.Rngs,
        *,
        groups: int,
        base: int,
        classifier: bool,
    ) -> None:
        self.conv1 = Conv(3, 64, 7, rngs, stride=2, padding=3, bias=False)
        self.bn1 = BatchNorm(64)
        incoming = 64
        for stage, depth in enumerate(depths):
            blocks = []
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(block(incoming, 64 * 2**stage, stride, rngs, groups=groups, base=base))
                incoming = 64 * 2**stage * block.EXPANSION
            setattr(self, f"layer{stage + 1}", nnx.List(blocks))
        self.fc = Linear(incoming, 1000, rngs) if classifier else None

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers = {"relu": (x := jax.nn.relu(self.bn1(self.conv1(x))))}
        layers["maxpool"] = x = max_pool(x, 3, 2, 1)
        for stage in range(1, 5):
            for index, block in enumerate(getattr(self, f"layer{stage}")):
                layers[f"layer{stage}.{index}"] = x = block(x)
        layers["avgpool"] = x = global_average_pool(x)
        if self.fc is not None:
            layers["fc"] = self.fc(x)
        return layers


def port(
    block: type[Basic] | type[Bottleneck],
    depths: tuple[int, ...],
    *,
    groups: int = 1,
    base: int = 64,
    classifier: bool = True,
) -> Port:
    """A network of the family: blocks in each of four stages, channels per group at the first stage (``base``)."""
    stages = {f"layer{stage}": depth for stage, depth in enumerate(depths, 1)}
    return Port(
        build=lambda rngs: ResNet(block, depths, rngs, groups=groups, base=base, classifier=classifier),
        layers=(
            "relu",
            "maxpool",
            *(f"{stage}.{index}" for stage, depth in stages.items() for index in range(depth)),
            "avgpool",
        ),
        readout="fc" if classifier else None,
        # timm kept torchvision's names.
        namings={"torchvision": Naming() if classifier else Naming(ignore=r".*\.num_batches_tracked|fc\..*")},
        aliases={"act1": "relu", "global_pool": "avgpool"}
        | {stage: f"{stage}.{depth - 1}" for stage, depth in stages.items()},
    )


def resnet18() -> Port:
    return port(Basic, (2, 2, 2, 2))


def resnet34() -> Port:
    return port(Basic, (3, 4, 6, 3))


def resnet50() -> Port:
    return port(Bottleneck, (3, 4, 6, 3))


def resnet50_trunk() -> Port:
    """ResNet-50 up to the average pooling, for weights without a classifier of ImageNet's classes."""
    return port(Bottleneck, (3, 4, 6, 3), classifier=False)


def resnet101() -> Port:
    return port(Bottleneck, (3, 4, 23, 3))


def resnet152() -> Port:
    return port(Bottleneck, (3, 8, 36, 3))


def wide_resnet50_2() -> Port:
    return port(Bottleneck, (3, 4, 6, 3), base=128)


def resnext50_32x4d() -> Port:
    return port(Bottleneck, (3, 4, 6, 3), groups=32, base=4)


def resnext101_32x8d() -> Port:
    return port(Bottleneck, (3, 4, 23, 3), groups=32, base=8)
