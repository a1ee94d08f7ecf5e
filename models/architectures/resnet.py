"""Residual networks as torchvision has them (He et al., CVPR 2016), wide and with grouped convolutions.

The stride of a bottleneck is in its 3x3 convolution (version 1.5). Two sets of self-supervised weights come from the
same network with TensorFlow's padding, which at even sizes puts zeros only after the picture.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from models.parts.conv import Conv
from models.parts.convolution import same
from models.parts.linear import Linear
from models.parts.norm import BatchNorm, ConvNorm
from models.parts.pool import global_average_pool, max_pool
from models.port import Port
from models.weights.naming import Naming


class Basic(nnx.Module):
    """Two 3x3 convolutions."""

    EXPANSION: ClassVar[int] = 1
    FOLDS: ClassVar[dict[str, str]] = {"bn1": "conv1", "bn2": "conv2"}

    def __init__(
        self, incoming: int, width: int, stride: int, rngs: nnx.Rngs, *, groups: int, base: int, padding: int | str = 1
    ) -> None:
        assert (groups, base, padding) == (1, 64, 1), "torchvision has none"
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

    def __init__(
        self, incoming: int, width: int, stride: int, rngs: nnx.Rngs, *, groups: int, base: int, padding: int | str = 1
    ) -> None:
        inner, out = width * base // 64 * groups, width * self.EXPANSION
        self.conv1 = Conv(incoming, inner, 1, rngs, bias=False)
        self.bn1 = BatchNorm(inner)
        self.conv2 = Conv(inner, inner, 3, rngs, stride=stride, padding=padding, groups=groups, bias=False)
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
    ``fc``, the logits. Without ``classifier`` it ends at ``avgpool``, as self-supervised weights do. ``same_pool`` and
    ``same_convolutions`` pad by TensorFlow's rule."""

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
        same_pool: bool = False,
        same_convolutions: bool = False,
    ) -> None:
        self.conv1 = Conv(3, 64, 7, rngs, stride=2, padding="same" if same_convolutions else 3, bias=False)
        self.bn1 = BatchNorm(64)
        incoming = 64
        for stage, depth in enumerate(depths):
            blocks = []
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                padding = "same" if same_convolutions else 1
                width = 64 * 2**stage
                blocks.append(block(incoming, width, stride, rngs, groups=groups, base=base, padding=padding))
                incoming = 64 * 2**stage * block.EXPANSION
            setattr(self, f"layer{stage + 1}", nnx.List(blocks))
        self.fc = Linear(incoming, 1000, rngs) if classifier else None
        self.same_pool = same_pool

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers = {"relu": (x := jax.nn.relu(self.bn1(self.conv1(x))))}
        layers["maxpool"] = x = self._pooled(x)
        for stage in range(1, 5):
            for index, block in enumerate(getattr(self, f"layer{stage}")):
                layers[f"layer{stage}.{index}"] = x = block(x)
        layers["avgpool"] = x = global_average_pool(x)
        if self.fc is not None:
            layers["fc"] = self.fc(x)
        return layers

    def _pooled(self, x: jax.Array) -> jax.Array:
        if not self.same_pool:
            return max_pool(x, 3, 2, 1)
        return max_pool(jnp.pad(x, ((0, 0), *same(x, 3, 2), (0, 0))), 3, 2)  # after a ReLU zeros win nothing


_COUNTS = r".*\.num_batches_tracked"
_TRANSFORMERS = (
    (r"^resnet\.", ""),
    (r"^embedder\.embedder\.convolution\.", "conv1."),
    (r"^embedder\.embedder\.normalization\.", "bn1."),
    *((rf"^encoder\.stages\.{index}\.layers\.", f"layer{index + 1}.") for index in range(4)),
    *((rf"\.layer\.{index}\.convolution\.", f".conv{index + 1}.") for index in range(3)),
    *((rf"\.layer\.{index}\.normalization\.", f".bn{index + 1}.") for index in range(3)),
    (r"\.shortcut\.convolution\.", ".downsample.0."),
    (r"\.shortcut\.normalization\.", ".downsample.1."),
    (r"^classifier\.1\.", "fc."),
)
_NAMINGS = {
    "torchvision": Naming(),
    "timm": Naming(),  # kept torchvision's names
    "hf": Naming(rename=_TRANSFORMERS),
}
# Of trunks: what lies beside the trunk in a file has no use here.
_VISSL = r"classy_state_dict\.base_model\.model\.trunk\._feature_blocks\."
_TRUNK_NAMINGS = {
    "torchvision": Naming(ignore=rf"{_COUNTS}|fc\..*"),
    "timm": Naming(ignore=rf"{_COUNTS}|fc\..*"),
    "hf": Naming(rename=_TRANSFORMERS, ignore=rf"{_COUNTS}|classifier\..*"),
    # facebookresearch/moco: the network trained by gradients, and the one that follows it
    "moco": Naming(rename=((r"^encoder_q\.", ""),), ignore=rf"{_COUNTS}|encoder_q\.fc\..*|encoder_k\..*|queue(_ptr)?"),
    "swav": Naming(ignore=rf"{_COUNTS}|projection_head\..*|prototypes\..*"),  # facebookresearch/swav
    # facebookresearch/vissl: also its heads, optimiser and loss
    "vissl": Naming(rename=((rf"^{_VISSL}", ""),), ignore=rf"{_COUNTS}|(?!{_VISSL})(classy_state_dict|loss)\..*"),
}


def port(
    block: type[Basic] | type[Bottleneck],
    depths: tuple[int, ...],
    *,
    groups: int = 1,
    base: int = 64,
    classifier: bool = True,
    same_pool: bool = False,
    same_convolutions: bool = False,
) -> Port:
    """A network of the family: blocks in each of four stages, channels per group at the first stage (``base``)."""
    stages = {f"layer{stage}": depth for stage, depth in enumerate(depths, 1)}
    return Port(
        build=lambda rngs: ResNet(
            block,
            depths,
            rngs,
            groups=groups,
            base=base,
            classifier=classifier,
            same_pool=same_pool,
            same_convolutions=same_convolutions,
        ),
        layers=(
            "relu",
            "maxpool",
            *(f"{stage}.{index}" for stage, depth in stages.items() for index in range(depth)),
            "avgpool",
        ),
        readout="fc" if classifier else None,
        namings=_NAMINGS if classifier else _TRUNK_NAMINGS,
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
    """ResNet-50 up to the average pooling, for weights without a classifier of ImageNet's classes: 23,508,032
    parameters (25,557,032 less the classifier's 2,049,000)."""
    return port(Bottleneck, (3, 4, 6, 3), classifier=False)


def resnet50_trunk_same_pool() -> Port:
    """The same with TensorFlow's padding of the maximum, but symmetric zeros at convolutions, as SimCLR's."""
    return port(Bottleneck, (3, 4, 6, 3), classifier=False, same_pool=True)


def resnet50_trunk_same() -> Port:
    """The same with TensorFlow's padding everywhere, as BYOL's."""
    return port(Bottleneck, (3, 4, 6, 3), classifier=False, same_pool=True, same_convolutions=True)


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
