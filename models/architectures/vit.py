"""Vision transformers as timm has them (Dosovitskiy et al., ICLR 2021), with their descendants' differences.

DeiT (Touvron et al., ICML 2021) is the same network trained differently, its distilled form with one token and one
classifier more; DeiT III (Touvron et al., ECCV 2022) scales each branch per channel and gives the class token no
position. DINO's are in ``dino.py``, CLIP's in ``clip_vit.py``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from models.architectures.vit_names import aliases, clip_aliases, clip_namings, namings
from models.parts.activation import gelu, quick_gelu, tanh_gelu
from models.parts.attention import Attention
from models.parts.conv import Conv
from models.parts.linear import Linear
from models.parts.norm import LayerNorm
from models.port import Port


class Size(NamedTuple):
    """Width of a token, number of blocks, heads in each."""

    channels: int
    depth: int
    heads: int


TINY, SMALL, BASE, LARGE = Size(192, 12, 3), Size(384, 12, 6), Size(768, 12, 12), Size(1024, 24, 16)


@dataclass(frozen=True)
class Form:
    """What the members of the family differ in.

    Attributes:
        size: of the transformer.
        patch: side of a patch, in pixels.
        image: side of a picture, in pixels.
        outputs: of the classifier, or of CLIP's projection; None for a trunk without either.
        epsilon: of layer normalisation.
        layer_scale: what the scales of the branches start from; None where there are none.
        class_position: whether the class token has a position embedding too.
        clip: normalisation before the blocks, quick GELU, no bias in the embedding of patches and the projection.
        distilled: a second token after the class token, with a classifier of its own; the two are averaged.
        tanh: GELU approximated by tanh, as in the package vit-keras.
    """

    size: Size
    patch: int
    image: int = 224
    outputs: int | None = 1000
    epsilon: float = 1e-6
    layer_scale: float | None = None
    class_position: bool = True
    clip: bool = False
    distilled: bool = False
    tanh: bool = False

    @property
    def activation(self) -> Callable[[jax.Array], jax.Array]:
        """Of the MLPs."""
        return quick_gelu if self.clip else tanh_gelu if self.tanh else gelu

    @property
    def grid(self) -> int:
        """Patches along a side of the picture."""
        return self.image // self.patch

    @property
    def images_at_once(self) -> int:
        """About 800 tokens: enough for long matrix products, few enough for the cache; a power of two, as batches."""
        return min(8, 2 ** max(0, (800 // (self.grid**2 + 1)).bit_length() - 1))


class LayerScale(nnx.Module):
    """One factor per channel."""

    def __init__(self, channels: int, start: float) -> None:
        self.gamma = nnx.Param(jnp.full(channels, start, jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        return x * self.gamma[...]


class Mlp(nnx.Module):
    """To four times the channels and back."""

    def __init__(self, channels: int, activation: Callable[[jax.Array], jax.Array], rngs: nnx.Rngs) -> None:
        self.fc1 = Linear(channels, 4 * channels, rngs)
        self.fc2 = Linear(4 * channels, channels, rngs)
        self.activation = activation

    def hidden(self, x: jax.Array) -> jax.Array:
        """After the activation."""
        return self.activation(self.fc1(x))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.fc2(self.hidden(x))


class Block(nnx.Module):
    """x + attention(norm1(x)), then + mlp(norm2( )); each branch scaled per channel in DeiT III and DINOv2."""

    def __init__(self, form: Form, rngs: nnx.Rngs) -> None:
        channels, _, heads = form.size
        self.norm1 = LayerNorm(channels, epsilon=form.epsilon)
        self.attn = Attention(channels, heads, rngs)
        self.ls1 = LayerScale(channels, form.layer_scale) if form.layer_scale is not None else None
        self.norm2 = LayerNorm(channels, epsilon=form.epsilon)
        self.mlp = Mlp(channels, form.activation, rngs)
        self.ls2 = LayerScale(channels, form.layer_scale) if form.layer_scale is not None else None

    def steps(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Output of the attention, hidden activation of the MLP, output of the block."""
        attended = self.attn(self.norm1(x))
        x = x + (attended if self.ls1 is None else self.ls1(attended))
        hidden = self.mlp.hidden(self.norm2(x))
        y = self.mlp.fc2(hidden)
        return attended, hidden, x + (y if self.ls2 is None else self.ls2(y))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.steps(x)[-1]


class PatchEmbed(nnx.Module):
    """Pictures to images x patches x channels, row by row."""

    def __init__(self, form: Form, rngs: nnx.Rngs) -> None:
        self.proj = Conv(3, form.size.channels, form.patch, rngs, stride=form.patch, bias=not form.clip)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.proj(x)
        return y.reshape(len(y), -1, y.shape[-1])


class VisionTransformer(nnx.Module):
    """Layers are tokens x channels, the class token first (then DeiT's distillation token), then the patches by row.

    ``tokens`` before the first block; of each block ``blocks.N.attn`` (output of the attention, not yet scaled or
    added), ``blocks.N.mlp.act`` (hidden activation) and ``blocks.N`` (its output); ``norm``, the last normalised;
    ``pooled``, the class token of these (the mean of both tokens where there are two); then ``logits``, or CLIP's
    ``embedding``, its projection of ``pooled``.
    """

    def __init__(self, form: Form, rngs: nnx.Rngs) -> None:
        channels, depth, _ = form.size
        normal = nnx.initializers.normal(0.02)
        self.cls_token = nnx.Param(normal(rngs.params(), (1, 1, channels), jnp.float32))
        self.dist_token = nnx.data(
            nnx.Param(normal(rngs.params(), (1, 1, channels), jnp.float32)) if form.distilled else None
        )
        positions = form.grid**2 + form.class_position + form.distilled
        self.pos_embed = nnx.Param(normal(rngs.params(), (1, positions, channels), jnp.float32))
        self.patch_embed = PatchEmbed(form, rngs)
        self.norm_pre = LayerNorm(channels, epsilon=form.epsilon) if form.clip else None
        self.blocks = nnx.List([Block(form, rngs) for _ in range(depth)])
        self.norm = LayerNorm(channels, epsilon=form.epsilon)
        self.head = Linear(channels, form.outputs, rngs, bias=not form.clip) if form.outputs is not None else None
        second = form.distilled and form.outputs is not None
        self.head_dist = Linear(channels, form.outputs or 0, rngs) if second else None
        self.form = form

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers = {"tokens": (x := self._tokens(x))}
        for index, block in enumerate(self.blocks):
            attended, hidden, x = block.steps(x)
            layers |= {f"blocks.{index}.attn": attended, f"blocks.{index}.mlp.act": hidden, f"blocks.{index}": x}
        layers["norm"] = x = self.norm(x)
        layers["pooled"] = x[:, :2].mean(1) if self.form.distilled else x[:, 0]
        if self.head is not None:
            read = self.head(x[:, 0])
            if self.head_dist is not None:
                read = (read + self.head_dist(x[:, 1])) / 2
            layers["embedding" if self.form.clip else "logits"] = read
        return layers

    def _tokens(self, images: jax.Array) -> jax.Array:
        patches, token, positions = self.patch_embed(images), self.cls_token[...], self.pos_embed[...]
        if self.dist_token is not None:
            token = jnp.concatenate([token, self.dist_token[...]], axis=1)
        if self.form.class_position:
            count = token.shape[1]
            token, positions = token + positions[:, :count], positions[:, count:]
        token = jnp.broadcast_to(token, (len(images), *token.shape[1:]))
        x = jnp.concatenate([token, patches + positions], axis=1)
        return x if self.norm_pre is None else self.norm_pre(x)


def port(form: Form, *, interpolate: bool = False) -> Port:
    """A member of the family; ``interpolate``: positions of another image size are accepted, as DINOv2 does."""
    depth = form.size.depth
    blocks = (f"blocks.{index}{part}" for index in range(depth) for part in (".attn", ".mlp.act", ""))
    layers = ("tokens", *blocks, "norm", "pooled")
    if form.clip:
        return Port(
            build=lambda rngs: VisionTransformer(form, rngs),
            layers=(*layers, "embedding"),
            namings=clip_namings(),
            aliases=clip_aliases(depth),
            images_at_once=form.images_at_once,
        )
    classifier = form.outputs is not None
    # Of a distilled network each classifier is half of the logits.
    names = () if form.distilled else ("head", "heads", "heads.head", "classifier")
    heads: Mapping[str, str] = dict.fromkeys(names, "logits")
    return Port(
        build=lambda rngs: VisionTransformer(form, rngs),
        layers=layers,
        readout="logits" if classifier else None,
        namings=namings(classifier=classifier, grid=form.grid if interpolate else None),
        aliases={**aliases(depth), **(heads if classifier else {})},
        images_at_once=form.images_at_once,
    )


def tiny16() -> Port:
    """ViT-Ti/16 and DeiT-Ti: 5,717,416 parameters."""
    return port(Form(TINY, 16))


def small16() -> Port:
    """ViT-S/16 and DeiT-S: 22,050,664 parameters."""
    return port(Form(SMALL, 16))


def small32() -> Port:
    """ViT-S/32: 22,878,952 parameters."""
    return port(Form(SMALL, 32))


def base16() -> Port:
    """ViT-B/16 and DeiT-B: 86,567,656 parameters."""
    return port(Form(BASE, 16))


def base32() -> Port:
    """ViT-B/32: 88,224,232 parameters."""
    return port(Form(BASE, 32))


def large16() -> Port:
    """ViT-L/16: 304,326,632 parameters."""
    return port(Form(LARGE, 16))


def large32() -> Port:
    """ViT-L/32: 306,535,400 parameters."""
    return port(Form(LARGE, 32))


def base16_keras() -> Port:
    """ViT-B/16 as the package vit-keras has it: 86,567,656 parameters."""
    return port(Form(BASE, 16, tanh=True))


def distilled_tiny16() -> Port:
    """DeiT-Ti, distilled: 5,910,800 parameters."""
    return port(Form(TINY, 16, distilled=True))


def distilled_small16() -> Port:
    """DeiT-S, distilled: 22,436,432 parameters."""
    return port(Form(SMALL, 16, distilled=True))


def distilled_base16() -> Port:
    """DeiT-B, distilled: 87,338,192 parameters."""
    return port(Form(BASE, 16, distilled=True))


def deit3_small16() -> Port:
    """DeiT III S/16: 22.06 million parameters."""
    return port(Form(SMALL, 16, layer_scale=1e-6, class_position=False))


def deit3_base16() -> Port:
    """DeiT III B/16: 86.59 million parameters."""
    return port(Form(BASE, 16, layer_scale=1e-6, class_position=False))


def deit3_large16() -> Port:
    """DeiT III L/16: 304.37 million parameters."""
    return port(Form(LARGE, 16, layer_scale=1e-6, class_position=False))
