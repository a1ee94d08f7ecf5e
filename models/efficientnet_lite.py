"""EfficientNet-Lite: EfficientNet (Tan & Le, ICML 2019) without squeeze-and-excitation and with ReLU6 for swish.

As TensorFlow trained it: SAME padding, batch normalisation with epsilon 1e-3. Evaluation mode only.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from models.batch_norm import NormalisedKernel
from models.convolution import PRECISION, dense_few_channels, depthwise, pointwise, same
from models.port import Port
from models.torch_file import read_torch
from models.weights import KERNEL_FROM_TORCH, MATRIX_FROM_TORCH, VECTOR, Slot

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


class Stem(nnx.Module):
    """3x3 convolution of the picture with stride 2, normalised, ReLU6."""

    def __init__(self, channels: int, rngs: nnx.Rngs) -> None:
        self.conv = NormalisedKernel((3, 3, 3, channels), EPSILON, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        padding = same(x, 3, 2)
        return relu6(self.conv.normalise(dense_few_channels(x, self.conv.kernel[...], 2, padding)))


class Block(nnx.Module):
    """Inverted residual: 1x1 to more channels (unless the expansion is 1), depthwise, 1x1 to fewer; no last ReLU6."""

    def __init__(self, incoming: int, channels: int, kernel: int, stride: int, expansion: int, rngs: nnx.Rngs) -> None:
        inner = incoming * expansion
        self.expand = NormalisedKernel((1, 1, incoming, inner), EPSILON, rngs) if expansion > 1 else None
        self.depth = NormalisedKernel((kernel, kernel, 1, inner), EPSILON, rngs)
        self.project = NormalisedKernel((1, 1, inner, channels), EPSILON, rngs)
        self.stride = stride
        self.residual = stride == 1 and incoming == channels

    def __call__(self, x: jax.Array) -> jax.Array:
        y = x
        if self.expand is not None:
            y = relu6(self.expand.normalise(pointwise(y, self.expand.kernel[...])))
        kernel = self.depth.kernel[...]
        padding = same(y, kernel.shape[0], self.stride)
        y = relu6(self.depth.normalise(depthwise(y, kernel, self.stride, padding)))
        y = self.project.normalise(pointwise(y, self.project.kernel[...]))
        return x + y if self.residual else y


class Head(nnx.Module):
    """1x1 convolution, normalised, ReLU6."""

    def __init__(self, incoming: int, channels: int, rngs: nnx.Rngs) -> None:
        self.conv = NormalisedKernel((1, 1, incoming, channels), EPSILON, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return relu6(self.conv.normalise(pointwise(x, self.conv.kernel[...])))


class Classifier(nnx.Module):
    """Mean over positions, then one matrix product."""

    def __init__(self, incoming: int, classes: int, rngs: nnx.Rngs) -> None:
        self.kernel = nnx.Param(nnx.initializers.he_normal()(rngs.params(), (incoming, classes), jnp.float32))
        self.bias = nnx.Param(jnp.zeros(classes, jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        return lax.dot(x.mean((1, 2)), self.kernel[...], precision=PRECISION) + self.bias[...]


class EfficientNetLite(nnx.Module):
    """Layers: ``stem``, ``block0`` ..., ``head`` (each after its last operation), and the readout ``logits``."""

    def __init__(self, stages: tuple[Stage, ...], rngs: nnx.Rngs) -> None:
        self.stem = Stem(STEM_CHANNELS, rngs)
        blocks = []
        channels = STEM_CHANNELS
        for stage in stages:
            for index in range(stage.blocks):
                stride = stage.stride if index == 0 else 1
                blocks.append(Block(channels, stage.channels, stage.kernel, stride, stage.expansion, rngs))
                channels = stage.channels
        self.blocks = nnx.List(blocks)
        self.head = Head(channels, HEAD_CHANNELS, rngs)
        self.classifier = Classifier(HEAD_CHANNELS, CLASSES, rngs)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised pictures (images x height x width x 3) -> layer name -> images x ... ."""
        layers = {"stem": (x := self.stem(x))}
        for index, block in enumerate(self.blocks):
            layers[f"block{index}"] = x = block(x)
        layers["head"] = x = self.head(x)
        layers["logits"] = self.classifier(x)
        return layers


def _table(stages: tuple[Stage, ...]) -> dict[str, Slot | None]:
    table: dict[str, Slot | None] = {
        "_fc.weight": Slot("classifier.kernel", MATRIX_FROM_TORCH),
        "_fc.bias": Slot("classifier.bias", VECTOR),
    }

    def normalised(conv: str, norm: str, path: str) -> None:
        table[f"{conv}.weight"] = Slot(f"{path}.kernel", KERNEL_FROM_TORCH)
        table[f"{norm}.weight"] = Slot(f"{path}.scale", VECTOR)
        table[f"{norm}.bias"] = Slot(f"{path}.bias", VECTOR)
        table[f"{norm}.running_mean"] = Slot(f"{path}.mean", VECTOR)
        table[f"{norm}.running_var"] = Slot(f"{path}.var", VECTOR)
        table[f"{norm}.num_batches_tracked"] = None

    normalised("_conv_stem", "_bn0", "stem.conv")
    normalised("_conv_head", "_bn1", "head.conv")
    expansions = [stage.expansion for stage in stages for _ in range(stage.blocks)]
    for index, expansion in enumerate(expansions):
        source, path = f"_blocks.{index}", f"blocks.{index}"
        if expansion > 1:
            normalised(f"{source}._expand_conv", f"{source}._bn0", f"{path}.expand")
        normalised(f"{source}._depthwise_conv", f"{source}._bn1", f"{path}.depth")
        normalised(f"{source}._project_conv", f"{source}._bn2", f"{path}.project")
    return table


def lite0() -> Port:
    """EfficientNet-Lite0: 16 blocks, 4,652,008 parameters."""
    return Port(
        build=lambda rngs: EfficientNetLite(LITE0, rngs),
        read=read_torch,
        table=_table(LITE0),
        images_at_once=2,
    )
