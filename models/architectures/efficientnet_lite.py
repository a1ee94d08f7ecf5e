"""EfficientNet-Lite: EfficientNet (Tan & Le, ICML 2019) without squeeze-and-excitation and with ReLU6 for swish.

As TensorFlow trained it: SAME padding, batch normalisation with epsilon 1e-3. Evaluation mode only.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from models.parts.conv import Conv
from models.parts.linear import Linear
from models.parts.norm import BatchNorm
from models.parts.pool import global_average_pool
from models.port import Port
from models.weights.naming import Naming

EPSILON = 1e-3


class Stage(NamedTuple):
    """Blocks in a row; only the first has the stride and changes the channels."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


# Width and depth factor 1.
LITE0 = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM_CHANNELS, HEAD_CHANNELS, CLASSES = 32, 1280, 1000


def relu6(x: jax.Array) -> jax.Array:
    """min(max(x, 0), 6)."""
    return jnp.clip(x, 0, 6)


class Block(nnx.Module):
    """Inverted residual: 1x1 to more channels (unless the expansion is 1), depthwise, 1x1 to fewer; no last ReLU6."""

    FOLDS: ClassVar[dict[str, str]] = {"_bn0": "_expand_conv", "_bn1": "_depthwise_conv", "_bn2": "_project_conv"}

    def __init__(self, incoming: int, channels: int, kernel: int, stride: int, expansion: int, rngs: nnx.Rngs) -> None:
        inner = incoming * expansion
        self._expand_conv = _conv(incoming, inner, 1, rngs) if expansion > 1 else None
        self._bn0 = BatchNorm(inner, epsilon=EPSILON) if expansion > 1 else None
        self._depthwise_conv = _conv(inner, inner, kernel, rngs, stride=stride, groups=inner)
        self._bn1 = BatchNorm(inner, epsilon=EPSILON)
        self._project_conv = _conv(inner, channels, 1, rngs)
        self._bn2 = BatchNorm(channels, epsilon=EPSILON)
        self.residual = stride == 1 and incoming == channels

    def __call__(self, x: jax.Array) -> jax.Array:
        y = x
        if self._expand_conv is not None and self._bn0 is not None:
            y = relu6(self._bn0(self._expand_conv(y)))
        y = relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.residual else y


def _conv(incoming: int, out: int, kernel: int, rngs: nnx.Rngs, *, stride: int = 1, groups: int = 1) -> Conv:
    return Conv(incoming, out, kernel, rngs, stride=stride, padding="same", groups=groups, bias=False)


class EfficientNetLite(nnx.Module):
    """Layers: ``stem``, ``block0`` ..., ``head`` (each after its last operation), and the readout ``logits``."""

    FOLDS: ClassVar[dict[str, str]] = {"_bn0": "_conv_stem", "_bn1": "_conv_head"}

    def __init__(self, stages: tuple[Stage, ...], rngs: nnx.Rngs) -> None:
        self._conv_stem = _conv(3, STEM_CHANNELS, 3, rngs, stride=2)
        self._bn0 = BatchNorm(STEM_CHANNELS, epsilon=EPSILON)
        blocks = []
        channels = STEM_CHANNELS
        for stage in stages:
            for index in range(stage.blocks):
                stride = stage.stride if index == 0 else 1
                blocks.append(Block(channels, stage.channels, stage.kernel, stride, stage.expansion, rngs))
                channels = stage.channels
        self._blocks = nnx.List(blocks)
        self._conv_head = _conv(channels, HEAD_CHANNELS, 1, rngs)
        self._bn1 = BatchNorm(HEAD_CHANNELS, epsilon=EPSILON)
        self._fc = Linear(HEAD_CHANNELS, CLASSES, rngs)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers = {"stem": (x := relu6(self._bn0(self._conv_stem(x))))}
        for index, block in enumerate(self._blocks):
            layers[f"block{index}"] = x = block(x)
        layers["head"] = x = relu6(self._bn1(self._conv_head(x)))
        layers["logits"] = self._fc(global_average_pool(x))
        return layers


def lite0() -> Port:
    """EfficientNet-Lite0: 16 blocks, 4,652,008 parameters."""
    return Port(
        build=lambda rngs: EfficientNetLite(LITE0, rngs),
        layers=("stem", *(f"block{index}" for index in range(16)), "head"),
        readout="logits",
        namings={"original": Naming()},
    )
