"""LeViT as timm has it (Graham et al., ICCV 2021).

A convolutional stem, then three stages of attention at a falling resolution; batch normalisation after every product.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from engine.errors import InputError
from models.architectures.levit_names import aliases, namings
from models.parts.conv import Conv
from models.parts.linear import Linear
from models.parts.norm import BatchNorm
from models.parts.windows import attend_with_bias
from models.port import Port

ATTENTION_RATIO, DOWNSAMPLING_RATIO, MLP_RATIO = 2, 4, 2


class Normed(nnx.Module):
    """A convolution or matrix product without bias, then batch normalisation."""

    FOLDS: ClassVar[dict[str, str]] = {"bn": "linear"}

    def __init__(self, linear: Conv | Linear, out: int) -> None:
        self.linear = linear
        self.bn = BatchNorm(out)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.bn(self.linear(x))


def _product(incoming: int, out: int, rngs: nnx.Rngs) -> Normed:
    return Normed(Linear(incoming, out, rngs, bias=False), out)


def _stem(channels: int, rngs: nnx.Rngs) -> nnx.Dict[Normed]:
    """Four 3x3 convolutions, each with stride 2 and twice the channels of the one before."""
    stem: nnx.Dict[Normed] = nnx.Dict()
    incoming = 3
    for number in range(1, 5):
        out = channels // 2 ** (4 - number)
        stem[f"conv{number}"] = Normed(Conv(incoming, out, 3, rngs, stride=2, padding=1, bias=False), out)
        incoming = out
    return stem


class Attention(nnx.Module):
    """Self-attention among all positions, with a learned bias for every absolute offset in rows and columns."""

    def __init__(self, channels: int, key: int, heads: int, resolution: int, rngs: nnx.Rngs) -> None:
        self.splits = (key, 2 * key)
        self.qkv = _product(channels, heads * (2 + ATTENTION_RATIO) * key, rngs)
        self.proj = nnx.Dict(ln=_product(heads * ATTENTION_RATIO * key, channels, rngs))
        self.attention_biases = nnx.Param(jnp.zeros((heads, resolution**2), jnp.float32))
        self.heads, self.scale = heads, key**-0.5

    def __call__(self, x: jax.Array) -> jax.Array:
        query, key, value = jnp.split(_heads(self.qkv(x), self.heads), self.splits, axis=-1)
        bias = self.attention_biases[...][:, _offsets(x.shape[1], 1)]
        found = attend_with_bias(query * self.scale, key, value, bias)
        return self.proj["ln"](jax.nn.hard_swish(found)).reshape(x.shape)


class AttentionDownsample(nnx.Module):
    """The same with queries from every other position only: the map shrinks, and gets other channels."""

    def __init__(self, incoming: int, out: int, key: int, resolution: int, rngs: nnx.Rngs) -> None:
        heads = incoming // key
        self.splits = (key,)
        self.kv = _product(incoming, heads * (1 + DOWNSAMPLING_RATIO) * key, rngs)
        self.q = nnx.Dict(ln=_product(incoming, heads * key, rngs))
        self.proj = nnx.Dict(ln=_product(heads * DOWNSAMPLING_RATIO * key, out, rngs))
        self.attention_biases = nnx.Param(jnp.zeros((heads, resolution**2), jnp.float32))
        self.heads, self.scale = heads, key**-0.5

    def __call__(self, x: jax.Array) -> jax.Array:
        kept = x[:, ::2, ::2]
        key, value = jnp.split(_heads(self.kv(x), self.heads), self.splits, axis=-1)
        bias = self.attention_biases[...][:, _offsets(x.shape[1], 2)]
        found = attend_with_bias(_heads(self.q["ln"](kept), self.heads) * self.scale, key, value, bias)
        return self.proj["ln"](jax.nn.hard_swish(found)).reshape(*kept.shape[:3], -1)


def _heads(x: jax.Array, heads: int) -> jax.Array:
    """images x height x width x channels -> images x positions x heads x channels of a head."""
    return x.reshape(len(x), -1, heads, x.shape[-1] // heads)


def _offsets(resolution: int, stride: int) -> np.ndarray:
    """Which bias belongs to every query (each ``stride``-th row and column) and key: queries x keys."""
    rows, columns = np.divmod(np.arange(resolution**2, dtype=np.int32), resolution)
    asked = (rows % stride == 0) & (columns % stride == 0)
    down = np.abs(rows[asked][:, None] - rows[None, :])
    right = np.abs(columns[asked][:, None] - columns[None, :])
    return down * resolution + right


class Mlp(nnx.Module):
    """To twice the channels and back, a hard swish between."""

    def __init__(self, channels: int, rngs: nnx.Rngs) -> None:
        self.ln1 = _product(channels, MLP_RATIO * channels, rngs)
        self.ln2 = _product(MLP_RATIO * channels, channels, rngs)

    def steps(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The hidden activation, and the output."""
        hidden = jax.nn.hard_swish(self.ln1(x))
        return hidden, self.ln2(hidden)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.steps(x)[1]


class Block(nnx.Module):
    """x + attention(x), then x + mlp(x)."""

    def __init__(self, channels: int, key: int, heads: int, resolution: int, rngs: nnx.Rngs) -> None:
        self.attn = Attention(channels, key, heads, resolution, rngs)
        self.mlp = Mlp(channels, rngs)

    def layers(self, x: jax.Array, name: str) -> dict[str, jax.Array]:
        """What the attention adds, the hidden activation of the mlp, and the output, under the block's name."""
        attention = self.attn(x)
        hidden, y = self.mlp.steps(x + attention)
        return {f"{name}.attn": attention, f"{name}.mlp.act": hidden, name: x + attention + y}


class Downsample(nnx.Module):
    """Attention that shrinks the map, then x + mlp(x)."""

    def __init__(self, incoming: int, out: int, key: int, resolution: int, rngs: nnx.Rngs) -> None:
        self.attn_downsample = AttentionDownsample(incoming, out, key, resolution, rngs)
        self.mlp = Mlp(out, rngs)

    def layers(self, x: jax.Array, name: str) -> dict[str, jax.Array]:
        """The output of the attention, the hidden activation of the mlp, and the output, under this one's name."""
        x = self.attn_downsample(x)
        hidden, y = self.mlp.steps(x)
        return {f"{name}.attn_downsample": x, f"{name}.mlp.act": hidden, name: x + y}


class Stage(nnx.Module):
    """Downsampling, except at the first stage; then blocks."""

    def __init__(self, downsample: Downsample | None, blocks: list[Block]) -> None:
        self.downsample = downsample
        self.blocks = nnx.List(blocks)


class Head(nnx.Module):
    """Batch normalisation of the average, then a matrix product."""

    def __init__(self, channels: int, rngs: nnx.Rngs) -> None:
        self.bn = BatchNorm(channels)
        self.linear = Linear(channels, 1000, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.linear(self.bn(x))


class LeViT(nnx.Module):
    """Layers: ``stem``; ``stages.0.blocks.0`` ... after each block, ``stages.0.blocks.0.attn`` ... what its attention
    adds, ``stages.0.blocks.0.mlp.act`` ... its hidden activation; ``stages.1.downsample`` ... between stages, with
    ``.attn_downsample`` and ``.mlp.act`` inside; ``avgpool``; and ``logits``, of both classifiers where it was
    distilled."""

    def __init__(
        self,
        channels: tuple[int, ...],
        depths: tuple[int, ...],
        heads: tuple[int, ...],
        key: int,
        resolution: int,
        rngs: nnx.Rngs,
        *,
        distilled: bool,
    ) -> None:
        self.resolution = resolution
        self.stem = _stem(channels[0], rngs)
        stages = []
        for stage, (out, depth) in enumerate(zip(channels, depths, strict=True)):
            downsample = None
            if stage > 0:
                downsample = Downsample(channels[stage - 1], out, key, resolution, rngs)
                resolution = (resolution + 1) // 2
            stages.append(Stage(downsample, [Block(out, key, heads[stage], resolution, rngs) for _ in range(depth)]))
        self.stages = nnx.List(stages)
        self.head = Head(channels[-1], rngs)
        self.head_dist = Head(channels[-1], rngs) if distilled else None

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... .

        Raises:
            InputError: the images are not of the size that the attention biases were made for.
        """
        size = x.shape[1:3]
        for number in range(1, 5):
            x = self.stem[f"conv{number}"](x)
            x = x if number == 4 else jax.nn.hard_swish(x)
        if x.shape[1:3] != (self.resolution, self.resolution):
            side = 16 * self.resolution
            raise InputError(f"this LeViT takes images of {side} x {side} pixels, not {size[0]} x {size[1]}")
        layers = {"stem": x}
        for number, stage in enumerate(self.stages):
            if stage.downsample is not None:
                name = f"stages.{number}.downsample"
                layers |= stage.downsample.layers(x, name)
                x = layers[name]
            for index, block in enumerate(stage.blocks):
                name = f"stages.{number}.blocks.{index}"
                layers |= block.layers(x, name)
                x = layers[name]
        layers["avgpool"] = x = x.mean((1, 2))
        logits = self.head(x)
        layers["logits"] = logits if self.head_dist is None else (logits + self.head_dist(x)) / 2
        return layers


def port(
    channels: tuple[int, ...],
    depths: tuple[int, ...],
    heads: tuple[int, ...],
    key: int,
    *,
    resolution: int = 14,
    distilled: bool = True,
) -> Port:
    """A network of the family: channels, blocks and heads at each stage, channels of a key, side of the first map."""
    names = ["stem"]
    for stage, depth in enumerate(depths):
        if stage > 0:
            name = f"stages.{stage}.downsample"
            names += [f"{name}.attn_downsample", f"{name}.mlp.act", name]
        for index in range(depth):
            name = f"stages.{stage}.blocks.{index}"
            names += [f"{name}.attn", f"{name}.mlp.act", name]
    return Port(
        build=lambda rngs: LeViT(channels, depths, heads, key, resolution, rngs, distilled=distilled),
        layers=(*names, "avgpool"),
        readout="logits",
        namings=namings(depths, distilled),
        aliases=aliases(depths, distilled),
    )


def levit_256() -> Port:
    """With both its classifiers; about 18.9 million parameters."""
    return port((256, 384, 512), (4, 4, 4), (4, 6, 8), 32)


def levit_128() -> Port:
    """With both its classifiers: 9,213,936 parameters."""
    return port((128, 256, 384), (4, 4, 4), (4, 8, 12), 16)


def levit_small() -> Port:
    """LeViT-128 with one classifier, as the harmonized models have it: 8,828,168 parameters."""
    return port((128, 256, 384), (4, 4, 4), (4, 8, 12), 16, distilled=False)
