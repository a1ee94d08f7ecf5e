"""ResNet-50 as keras-applications has it, version 1 (He et al., CVPR 2016) and 2 (He et al., ECCV 2016).

They differ from torchvision's: convolutions have biases; version 1 takes a bottleneck's stride in its first 1x1
convolution, version 2 in the last block of a stage. Read from ``keras/src/applications/resnet.py``.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from models.parts.conv import Conv
from models.parts.linear import Linear
from models.parts.norm import BatchNorm
from models.parts.pool import global_average_pool, max_pool
from models.port import Port
from models.weights.naming import Naming, Tensors

EPSILON = 1.001e-5
DEPTHS = (3, 4, 6, 3)


class BlockV1(nnx.Module):
    """Bottleneck with a projection (``conv0``) in the first block of a stage."""

    FOLDS: ClassVar[dict[str, str]] = {f"bn{number}": f"conv{number}" for number in range(4)}

    def __init__(self, incoming: int, width: int, stride: int, rngs: nnx.Rngs, *, first: bool) -> None:
        out = 4 * width
        self.conv0 = Conv(incoming, out, 1, rngs, stride=stride) if first else None
        self.bn0 = BatchNorm(out, epsilon=EPSILON) if first else None
        self.conv1 = Conv(incoming, width, 1, rngs, stride=stride)
        self.bn1 = BatchNorm(width, epsilon=EPSILON)
        self.conv2 = Conv(width, width, 3, rngs, padding=1)
        self.bn2 = BatchNorm(width, epsilon=EPSILON)
        self.conv3 = Conv(width, out, 1, rngs)
        self.bn3 = BatchNorm(out, epsilon=EPSILON)

    def __call__(self, x: jax.Array) -> jax.Array:
        shortcut = x if self.conv0 is None or self.bn0 is None else self.bn0(self.conv0(x))
        y = jax.nn.relu(self.bn1(self.conv1(x)))
        y = jax.nn.relu(self.bn2(self.conv2(y)))
        return jax.nn.relu(shortcut + self.bn3(self.conv3(y)))


class BlockV2(nnx.Module):
    """Normalisation and ReLU before the convolutions; nothing after the sum."""

    FOLDS: ClassVar[dict[str, str]] = {"bn1": "conv1", "bn2": "conv2"}

    def __init__(self, incoming: int, width: int, stride: int, rngs: nnx.Rngs, *, first: bool) -> None:
        out = 4 * width
        self.preact_bn = BatchNorm(incoming, epsilon=EPSILON)
        self.conv0 = Conv(incoming, out, 1, rngs, stride=stride) if first else None
        self.conv1 = Conv(incoming, width, 1, rngs, bias=False)
        self.bn1 = BatchNorm(width, epsilon=EPSILON)
        self.conv2 = Conv(width, width, 3, rngs, stride=stride, padding=1, bias=False)
        self.bn2 = BatchNorm(width, epsilon=EPSILON)
        self.conv3 = Conv(width, out, 1, rngs)
        self.stride = stride

    def __call__(self, x: jax.Array) -> jax.Array:
        y = jax.nn.relu(self.preact_bn(x))
        # Keras subsamples by a maximum over 1x1.
        shortcut = x[:, :: self.stride, :: self.stride] if self.conv0 is None else self.conv0(y)
        y = jax.nn.relu(self.bn1(self.conv1(y)))
        y = jax.nn.relu(self.bn2(self.conv2(y)))
        return shortcut + self.conv3(y)


class _ResNet(nnx.Module):
    """The stem's convolution, the blocks by Keras's names, the classifier."""

    def __init__(
        self, block: type[BlockV1] | type[BlockV2], strides: dict[str, int], rngs: nnx.Rngs, *, width: int
    ) -> None:
        self.conv1_conv = Conv(3, 64, 7, rngs, stride=2, padding=3)
        incoming = 64
        for name, stride in strides.items():
            inner = width * 2 ** (_stage(name) - 2)
            setattr(self, name, block(incoming, inner, stride, rngs, first=name.endswith("_block1")))
            incoming = 4 * inner
        self.predictions = Linear(incoming, 1000, rngs)
        self.blocks = tuple(strides)
        self.features = incoming

    def _pooled_and_blocks(self, x: jax.Array, layers: dict[str, jax.Array]) -> jax.Array:
        # Keras pads with zeros: they count in a maximum over negative values, which version 2 has here.
        layers["pool1_pool"] = x = max_pool(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), 3, 2)
        for name in self.blocks:
            layers[f"{name}_out"] = x = getattr(self, name)(x)
        return x

    def _classified(self, x: jax.Array, layers: dict[str, jax.Array]) -> dict[str, jax.Array]:
        layers["avg_pool"] = x = global_average_pool(x)
        layers["predictions"] = self.predictions(x)
        return layers


class ResNetV1(_ResNet):
    """Layers under Keras's names: ``conv1_relu``, ``pool1_pool``, ``conv2_block1_out`` ... after each block's last
    ReLU, ``avg_pool``; and ``predictions``, before Keras's softmax."""

    FOLDS: ClassVar[dict[str, str]] = {"conv1_bn": "conv1_conv"}

    def __init__(self, depths: tuple[int, ...], rngs: nnx.Rngs, *, width: int = 64) -> None:
        super().__init__(BlockV1, _strides_v1(depths), rngs, width=width)
        self.conv1_bn = BatchNorm(64, epsilon=EPSILON)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers = {"conv1_relu": (x := jax.nn.relu(self.conv1_bn(self.conv1_conv(x))))}
        return self._classified(self._pooled_and_blocks(x, layers), layers)


class ResNetV2(_ResNet):
    """Layers under Keras's names: ``conv1_conv``, ``pool1_pool``, ``conv2_block1_out`` ... the sum that ends each
    block, ``post_relu``, ``avg_pool``; and ``predictions``, before Keras's softmax."""

    def __init__(self, depths: tuple[int, ...], rngs: nnx.Rngs, *, width: int = 64) -> None:
        super().__init__(BlockV2, _strides_v2(depths), rngs, width=width)
        self.post_bn = BatchNorm(self.features, epsilon=EPSILON)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers = {"conv1_conv": (x := self.conv1_conv(x))}
        x = self._pooled_and_blocks(x, layers)
        layers["post_relu"] = x = jax.nn.relu(self.post_bn(x))
        return self._classified(x, layers)


def _stage(block: str) -> int:
    return int(block[len("conv")])


def _strides_v1(depths: tuple[int, ...]) -> dict[str, int]:
    """Block -> stride: 2 in the first of each stage but the first stage."""
    return {
        f"conv{stage}_block{index}": 2 if index == 1 and stage > 2 else 1
        for stage, depth in enumerate(depths, 2)
        for index in range(1, depth + 1)
    }


def _strides_v2(depths: tuple[int, ...]) -> dict[str, int]:
    """Block -> stride: 2 in the last of each stage but the last stage."""
    last = len(depths) + 1
    return {
        f"conv{stage}_block{index}": 2 if index == depth and stage < last else 1
        for stage, depth in enumerate(depths, 2)
        for index in range(1, depth + 1)
    }


_LEAVES = (
    (r"\.(kernel|gamma)$", ".weight"),
    (r"\.beta$", ".bias"),
    (r"\.moving_mean$", ".running_mean"),
    (r"\.moving_variance$", ".running_var"),
)
_KERAS = (
    (r"/", "."),  # where somebody took the tensors out of an .h5 file
    (r"^(conv\d_block\d+)_(preact_bn)\.", r"\1.\2."),
    (r"^(conv\d_block\d+)_(\d)_(conv|bn)\.", r"\1.\3\2."),
    *_LEAVES,
)
# Of the first ResNet-50 of Keras (2016 to 2019), as in Caffe: res2a_branch2b, bn2a_branch1, blocks by letters.
_KERAS_BEFORE = (
    (r"^conv1\.", "conv1_conv."),
    (r"^bn_conv1\.", "conv1_bn."),
    (r"^fc1000\.", "predictions."),
    (r"^res(\d\w)_branch", r"conv\1.conv"),
    (r"^bn(\d\w)_branch", r"conv\1.bn"),
    (r"^(conv\d\w\.(?:conv|bn))1\.", r"\g<1>0."),
    *((rf"^(conv\d\w\.(?:conv|bn))2{letter}\.", rf"\g<1>{number}.") for number, letter in enumerate("abc", 1)),
    *((rf"^conv(\d){letter}\.", rf"conv\1_block{number}.") for number, letter in enumerate("abcdef", 1)),
)


def _red_first(tensors: Tensors) -> Tensors:
    """Our images are red, green, blue; Keras's version 1 was trained on blue, green, red."""
    stem = tensors.get("conv1_conv.weight", np.empty(0))
    return tensors | {"conv1_conv.weight": stem[:, :, ::-1]} if stem.ndim == 4 else tensors


def port_v1(depths: tuple[int, ...], *, width: int = 64) -> Port:
    """A network of version 1: blocks in each stage, channels inside the blocks of the first."""
    blocks = tuple(_strides_v1(depths))
    stages = {f"layer{stage}": f"conv{stage + 1}_block{depth}_out" for stage, depth in enumerate(depths, 1)}
    return Port(
        build=lambda rngs: ResNetV1(depths, rngs, width=width),
        layers=("conv1_relu", "pool1_pool", *(f"{name}_out" for name in blocks), "avg_pool"),
        readout="predictions",
        namings={"keras": Naming(rename=(*_KERAS, *_KERAS_BEFORE), outputs_first=False, convert=_red_first)},
        aliases=stages | {"relu": "conv1_relu", "maxpool": "pool1_pool", "avgpool": "avg_pool", "fc": "predictions"},
    )


def port_v2(depths: tuple[int, ...], *, width: int = 64) -> Port:
    """The same of version 2."""
    return Port(
        build=lambda rngs: ResNetV2(depths, rngs, width=width),
        layers=("conv1_conv", "pool1_pool", *(f"{name}_out" for name in _strides_v2(depths)), "post_relu", "avg_pool"),
        readout="predictions",
        namings={"keras": Naming(rename=_KERAS, outputs_first=False)},
    )


def resnet50_v1() -> Port:
    """25,583,592 parameters, as Keras counts the trainable ones."""
    return port_v1(DEPTHS)


def resnet50_v2() -> Port:
    """25,568,360 parameters, as Keras counts the trainable ones."""
    return port_v2(DEPTHS)
