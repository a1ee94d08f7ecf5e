"""Swin Transformer as torchvision has it (Liu et al., ICCV 2021).

Attention within windows; every other block shifts them by half a window.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from models.parts.activation import gelu
from models.parts.conv import Conv
from models.parts.linear import Linear
from models.parts.norm import LayerNorm
from models.parts.pool import global_average_pool
from models.parts.windows import attend_with_bias, into_windows, out_of_windows, relative_bias
from models.port import Port
from models.weights.naming import Naming, Tensors

EPSILON = 1e-5
# What is added to the score of two positions that only the cyclic shift brought into one window.
APART = np.float32(-100)


class WindowAttention(nnx.Module):
    """Self-attention within each window; the map is shifted cyclically by ``shift`` before, and back after.

    Where the map is no multiple of the window it is padded with zeros, at the bottom and right, and they take part as
    in the original.
    """

    def __init__(self, channels: int, heads: int, window: int, shift: int, rngs: nnx.Rngs) -> None:
        self.qkv = Linear(channels, 3 * channels, rngs)
        self.proj = Linear(channels, channels, rngs)
        table = nnx.initializers.truncated_normal(0.02)(rngs.params(), ((2 * window - 1) ** 2, heads), jnp.float32)
        self.relative_position_bias_table = nnx.Param(table)
        self.heads, self.window, self.shift = heads, window, shift

    def __call__(self, x: jax.Array) -> jax.Array:
        _, height, width, channels = x.shape
        size = self.window
        x = jnp.pad(x, ((0, 0), (0, -height % size), (0, -width % size), (0, 0)))
        rows, columns = x.shape[1:3]
        # A map of one window has nothing to shift.
        down, right = (self.shift if length > size else 0 for length in (rows, columns))
        windows = into_windows(jnp.roll(x, (-down, -right), (1, 2)), size)
        qkv = self.qkv(windows).reshape(*windows.shape[:3], 3, self.heads, channels // self.heads)
        query, key, value = (qkv[:, :, :, part] for part in range(3))
        bias = relative_bias(self.relative_position_bias_table[...], size)
        if down or right:
            bias = bias + _apart(rows, columns, size, down, right).astype(bias.dtype)
        found = self.proj(attend_with_bias(query * (channels // self.heads) ** -0.5, key, value, bias))
        x = jnp.roll(out_of_windows(found, size, rows, columns), (down, right), (1, 2))
        return x[:, :height, :width]


def _apart(rows: int, columns: int, size: int, down: int, right: int) -> np.ndarray:
    """windows x 1 x size² x size²: APART between positions that came from opposite borders of the map, else 0."""
    wrapped = (np.arange(rows) >= rows - down)[:, None] * 2 + (np.arange(columns) >= columns - right)
    windows = wrapped.reshape(rows // size, size, columns // size, size).transpose(0, 2, 1, 3).reshape(-1, 1, size**2)
    return np.where(windows[..., :, None] != windows[..., None, :], APART, np.float32(0))


class Block(nnx.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)) with a GELU."""

    def __init__(self, channels: int, heads: int, window: int, shift: int, rngs: nnx.Rngs) -> None:
        self.norm1 = LayerNorm(channels, epsilon=EPSILON)
        self.attn = WindowAttention(channels, heads, window, shift, rngs)
        self.norm2 = LayerNorm(channels, epsilon=EPSILON)
        self.mlp: nnx.Dict[Linear] = nnx.Dict()
        self.mlp["0"] = Linear(channels, 4 * channels, rngs)
        self.mlp["3"] = Linear(4 * channels, channels, rngs)

    def steps(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """What the attention adds, the hidden activation of the mlp, and the output."""
        attention = self.attn(self.norm1(x))
        x = x + attention
        hidden = gelu(self.mlp["0"](self.norm2(x)))
        return attention, hidden, x + self.mlp["3"](hidden)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.steps(x)[2]


class Merging(nnx.Module):
    """Every 2 x 2 positions into one of twice the channels; an odd map gets zeros at the bottom and right."""

    def __init__(self, channels: int, rngs: nnx.Rngs) -> None:
        self.reduction = Linear(4 * channels, 2 * channels, rngs, bias=False)
        self.norm = LayerNorm(4 * channels, epsilon=EPSILON)

    def __call__(self, x: jax.Array) -> jax.Array:
        _, height, width, _ = x.shape
        x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(jnp.concatenate(corners, axis=-1)))


class Swin(nnx.Module):
    """Layers: ``patch_embed``; ``layers.0.blocks.0`` ... after each block, ``layers.0.blocks.0.attn`` ... what its
    attention adds (as a map, not as windows), ``layers.0.blocks.0.mlp.act`` ... the hidden activation after the GELU;
    ``layers.1.downsample`` ... between stages; ``norm``; ``avgpool``; and ``logits``."""

    def __init__(
        self, channels: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int, rngs: nnx.Rngs
    ) -> None:
        embedding: nnx.Dict[Conv | LayerNorm] = nnx.Dict()
        embedding["0"] = Conv(3, channels, 4, rngs, stride=4)
        embedding["2"] = LayerNorm(channels, epsilon=EPSILON)
        # Places: 0 the embedding; then in turn blocks (odd) and merging (even).
        features: list[Any] = [embedding]
        for stage, (depth, head) in enumerate(zip(depths, heads, strict=True)):
            if stage > 0:
                features.append(Merging(channels, rngs))
                channels *= 2
            shifts = [0 if index % 2 == 0 else window // 2 for index in range(depth)]
            features.append(nnx.List([Block(channels, head, window, shift, rngs) for shift in shifts]))
        self.features: nnx.List[Any] = nnx.List(features)
        self.norm = LayerNorm(channels, epsilon=EPSILON)
        self.head = Linear(channels, 1000, rngs)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        embedding = self.features[0]
        layers = {"patch_embed": (x := embedding["2"](embedding["0"](x)))}
        for stage, blocks in enumerate(self.features[1::2]):
            if stage > 0:
                layers[f"layers.{stage}.downsample"] = x = self.features[2 * stage](x)
            for index, block in enumerate(blocks):
                name = f"layers.{stage}.blocks.{index}"
                attention, hidden, x = block.steps(x)
                layers |= {f"{name}.attn": attention, f"{name}.mlp.act": hidden, name: x}
        layers["norm"] = x = self.norm(x)
        layers["avgpool"] = x = global_average_pool(x)
        layers["logits"] = self.head(x)
        return layers


def port(channels: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int = 7) -> Port:
    """A network of the family: channels at the first stage, blocks and heads at each, the side of a window."""
    names = ["patch_embed"]
    for stage, depth in enumerate(depths):
        names += [f"layers.{stage}.downsample"] if stage > 0 else []
        for index in range(depth):
            block = f"layers.{stage}.blocks.{index}"
            names += [f"{block}.attn", f"{block}.mlp.act", block]
    return Port(
        build=lambda rngs: Swin(channels, depths, heads, window, rngs),
        layers=(*names, "norm", "avgpool"),
        readout="logits",
        namings=_namings(len(depths)),
        aliases=_aliases(depths),
    )


def _aliases(depths: tuple[int, ...]) -> dict[str, str]:
    timm = {"head.global_pool": "avgpool", "head.fc": "logits", "head": "logits"}
    torchvision = {"features.0": "patch_embed", "flatten": "avgpool"}
    hf = {"embeddings": "patch_embed", "layernorm": "norm", "pooler": "avgpool"}
    for stage, depth in enumerate(depths):
        if stage > 0:
            torchvision[f"features.{2 * stage}"] = f"layers.{stage}.downsample"
            hf[f"encoder.layers.{stage - 1}.downsample"] = f"layers.{stage}.downsample"
        timm[f"layers.{stage}"] = torchvision[f"features.{2 * stage + 1}"] = f"layers.{stage}.blocks.{depth - 1}"
        for index in range(depth):
            block, name = f"layers.{stage}.blocks.{index}", f"features.{2 * stage + 1}.{index}"
            torchvision |= {name: block, f"{name}.attn": f"{block}.attn", f"{name}.mlp.1": f"{block}.mlp.act"}
            # The hidden activation before and since version 5 of transformers.
            hidden = (f"encoder.{block}.intermediate", f"encoder.{block}.mlp.activation_fn")
            hf |= {f"encoder.{block}": block, **dict.fromkeys(hidden, f"{block}.mlp.act")}
    # With and without the classifier around the trunk.
    hf |= {f"swin.{name}": layer for name, layer in hf.items()}
    return timm | torchvision | hf | {"classifier": "logits"}


_MLP = ((r"\.mlp\.fc1\.", ".mlp.0."), (r"\.mlp\.fc2\.", ".mlp.3."))
# Computed here from the sizes.
_BUFFERS = r".*\.(relative_position_index|attn_mask)"


def _namings(stages: int) -> dict[str, Naming]:
    places = range(stages)
    embedding = ((r"^patch_embed\.proj\.", "features.0.0."), (r"^patch_embed\.norm\.", "features.0.2."))
    blocks = tuple((rf"^layers\.{stage}\.blocks\.", f"features.{2 * stage + 1}.") for stage in places)
    merging = tuple((rf"^layers\.{stage}\.downsample\.", f"features.{2 * stage}.") for stage in places)
    # The authors, and older files of timm, count merging to the stage before it.
    merging_last = tuple((rf"^layers\.{stage}\.downsample\.", f"features.{2 * stage + 2}.") for stage in places)
    hf = (
        (r"^swin\.", ""),
        (r"^embeddings\.patch_embeddings\.projection\.", "features.0.0."),
        (r"^embeddings\.norm\.", "features.0.2."),
        (r"^encoder\.", ""),
        *blocks,
        *merging_last,
        (r"\.layernorm_before\.", ".norm1."),
        (r"\.layernorm_after\.", ".norm2."),
        (r"\.attention\.self\.", ".attn."),
        (r"\.attention\.output\.dense\.", ".attn.proj."),
        (r"\.intermediate\.dense\.", ".mlp.0."),
        (r"\.output\.dense\.", ".mlp.3."),
        (r"^layernorm\.", "norm."),
        (r"^classifier\.", "head."),
    )
    return {
        "torchvision": Naming(ignore=_BUFFERS),
        "timm": Naming((*embedding, *blocks, *merging, *_MLP, (r"^head\.fc\.", "head.")), ignore=_BUFFERS),
        "original": Naming((*embedding, *blocks, *merging_last, *_MLP), ignore=_BUFFERS),
        "hf": Naming(hf, ignore=_BUFFERS, convert=_joined),
    }


def _joined(tensors: Tensors) -> Tensors:
    """Query, key and value as one product."""
    joined = dict(tensors)
    for name in tensors:
        if ".attn.query." in name:
            parts = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
            if all(part in joined for part in parts):
                joined[name.replace(".query.", ".qkv.")] = np.concatenate([joined.pop(part) for part in parts])
    return joined


def swin_tiny() -> Port:
    """28,288,354 parameters."""
    return port(96, (2, 2, 6, 2), (3, 6, 12, 24))
