"""The residual image tower of CLIP (Radford et al., ICML 2021), with OpenAI's names.

A ResNet-50 with three convolutions in its stem, average pooling for every stride after the first, and attention in
place of the last pooling.
"""

from typing import ClassVar

import jax
from flax import nnx

from models.parts.attention import AttentionPool
from models.parts.conv import Conv
from models.parts.norm import BatchNorm, ConvNorm
from models.parts.pool import average_pool
from models.port import Port
from models.weights.naming import Naming

EXPANSION = 4
HEAD_WIDTH = 64


class Bottleneck(nnx.Module):
    """1x1 to fewer channels, 3x3, average over ``stride`` x ``stride``, 1x1 to more."""

    FOLDS: ClassVar[dict[str, str]] = {"bn1": "conv1", "bn2": "conv2", "bn3": "conv3"}

    def __init__(self, incoming: int, width: int, stride: int, rngs: nnx.Rngs) -> None:
        out = width * EXPANSION
        self.conv1 = Conv(incoming, width, 1, rngs, bias=False)
        self.bn1 = BatchNorm(width)
        self.conv2 = Conv(width, width, 3, rngs, padding=1, bias=False)
        self.bn2 = BatchNorm(width)
        self.conv3 = Conv(width, out, 1, rngs, bias=False)
        self.bn3 = BatchNorm(out)
        shortcut = stride > 1 or incoming != out
        self.downsample = ConvNorm([Conv(incoming, out, 1, rngs, bias=False), BatchNorm(out)]) if shortcut else None
        self.stride = stride

    def __call__(self, x: jax.Array) -> jax.Array:
        y = jax.nn.relu(self.bn1(self.conv1(x)))
        y = jax.nn.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(self._pooled(y)))
        return jax.nn.relu(y + (x if self.downsample is None else self.downsample(self._pooled(x))))

    def _pooled(self, x: jax.Array) -> jax.Array:
        return average_pool(x, self.stride, self.stride) if self.stride > 1 else x


class ClipResNet(nnx.Module):
    """Layers: ``relu1``, ``relu2``, ``relu3`` and ``avgpool`` of the stem, ``layer1.0`` ... after each block's last
    ReLU, and ``embedding``, the vector that CLIP compares with that of a text (before it is scaled to length one)."""

    FOLDS: ClassVar[dict[str, str]] = {"bn1": "conv1", "bn2": "conv2", "bn3": "conv3"}

    def __init__(self, depths: tuple[int, ...], width: int, out: int, size: int, rngs: nnx.Rngs) -> None:
        self.conv1 = Conv(3, width // 2, 3, rngs, stride=2, padding=1, bias=False)
        self.bn1 = BatchNorm(width // 2)
        self.conv2 = Conv(width // 2, width // 2, 3, rngs, padding=1, bias=False)
        self.bn2 = BatchNorm(width // 2)
        self.conv3 = Conv(width // 2, width, 3, rngs, padding=1, bias=False)
        self.bn3 = BatchNorm(width)
        incoming = width
        for stage, depth in enumerate(depths):
            blocks = []
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(Bottleneck(incoming, width * 2**stage, stride, rngs))
                incoming = width * 2**stage * EXPANSION
            setattr(self, f"layer{stage + 1}", nnx.List(blocks))
        self.attnpool = AttentionPool(incoming, out, incoming // HEAD_WIDTH, size // 32, rngs)
        self.stages = len(depths)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers = {}
        for number in (1, 2, 3):
            x = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x))
            layers[f"relu{number}"] = x = jax.nn.relu(x)
        layers["avgpool"] = x = average_pool(x, 2, 2)
        for stage in range(1, self.stages + 1):
            for index, block in enumerate(getattr(self, f"layer{stage}")):
                layers[f"layer{stage}.{index}"] = x = block(x)
        layers["embedding"] = self.attnpool(x)
        return layers


def port(depths: tuple[int, ...], width: int, out: int, *, size: int = 224) -> Port:
    """A tower of the family: blocks in each stage, channels of the stem, of the embedding, side of a picture."""
    blocks = {
        f"layer{stage}.{index}": f"layer{stage}" for stage, depth in enumerate(depths, 1) for index in range(depth)
    }
    layers = ("relu1", "relu2", "relu3", "avgpool", *blocks, "embedding")
    timm = {f"stem.conv{number}": f"relu{number}" for number in (1, 2, 3)}
    timm |= {"stem.pool": "avgpool", "stem": "avgpool", "head": "embedding"}
    for block, name in blocks.items():
        stage, index = int(name.removeprefix("layer")) - 1, block.split(".")[1]
        timm |= {f"stages.{stage}.{index}": block, f"stages.{stage}": block}
    aliases = (
        {"attnpool": "embedding"}
        | {f"{block}.relu3": block for block in blocks}
        | {stage: block for block, stage in blocks.items()}  # the last block of each
    )
    return Port(
        build=lambda rngs: ClipResNet(depths, width, out, size, rngs),
        layers=layers,
        namings={
            # Files of the whole model hold the text tower too, without the prefix.
            "original": Naming(((r"^visual\.", ""),), ignore=r"(?!visual\.).*|.*\.num_batches_tracked"),
            "timm": Naming(_timm(len(depths))),
        },
        aliases=timm
        | aliases
        | {f"visual.{theirs}": ours for theirs, ours in aliases.items()}
        | {f"visual.{layer}": layer for layer in layers if layer != "embedding"}
        | {"visual": "embedding"},
    )


def _timm(stages: int) -> tuple[tuple[str, str], ...]:
    """From the names of timm's ``resnet50_clip``."""
    return (
        (r"^stem\.conv(\d)\.conv\.", r"conv\1."),
        (r"^stem\.conv(\d)\.bn\.", r"bn\1."),
        *((rf"^stages\.{stage}\.", f"layer{stage + 1}.") for stage in range(stages)),
        (r"\.conv(\d)_(?:1x1|kxk)\.conv\.", r".conv\1."),
        (r"\.conv(\d)_(?:1x1|kxk)\.bn\.", r".bn\1."),
        (r"\.shortcut\.conv\.conv\.", ".downsample.0."),
        (r"\.shortcut\.conv\.bn\.", ".downsample.1."),
        (r"^head\.pos_embed$", "attnpool.positional_embedding"),
        (r"^head\.([qkv])\.", r"attnpool.\1_proj."),
        (r"^head\.proj\.", "attnpool.c_proj."),
    )


def rn50() -> Port:
    """Image tower of CLIP RN50: 38,316,896 parameters."""
    return port((3, 4, 6, 3), 64, 1024)
