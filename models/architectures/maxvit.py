"""MaxViT as torchvision has it (Tu et al., MaxViT: Multi-Axis Vision Transformer, ECCV 2022).

Each layer is an inverted residual with squeeze and excitation, then attention within windows, then attention among
the positions that have the same place in a grid laid over the map.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from engine.errors import InputError
from models.parts.activation import gelu
from models.parts.conv import Conv
from models.parts.linear import Linear
from models.parts.norm import BatchNorm, ConvNorm, LayerNorm
from models.parts.pool import average_pool, global_average_pool
from models.parts.squeeze_excite import SqueezeExcite
from models.parts.windows import attend_with_bias, into_windows, out_of_windows, relative_bias
from models.port import Port
from models.weights.naming import Naming

BATCH_EPSILON, LAYER_EPSILON = 1e-3, 1e-5
EXPANSION, SQUEEZE, MLP_RATIO = 4, 0.25, 4


class MBConv(nnx.Module):
    """Inverted residual after a normalisation; where it has a stride, the input is averaged and projected beside it."""

    def __init__(self, incoming: int, out: int, stride: int, rngs: nnx.Rngs) -> None:
        inner = out * EXPANSION
        self.stride = stride
        # torchvision's place 0 is the average.
        self.proj = nnx.Dict({"1": Conv(incoming, out, 1, rngs)}) if stride > 1 else None
        narrow, wide = (BatchNorm(channels, epsilon=BATCH_EPSILON) for channels in (incoming, inner))
        self.layers: nnx.Dict[Any] = nnx.Dict(
            pre_norm=narrow,
            conv_a=ConvNorm([Conv(incoming, inner, 1, rngs, bias=False), wide]),
            conv_b=ConvNorm(
                [
                    Conv(inner, inner, 3, rngs, stride=stride, padding=1, groups=inner, bias=False),
                    BatchNorm(inner, epsilon=BATCH_EPSILON),
                ]
            ),
            squeeze_excitation=SqueezeExcite(
                inner, int(out * SQUEEZE), rngs, activation=jax.nn.silu, gate=jax.nn.sigmoid
            ),
            conv_c=Conv(inner, out, 1, rngs),
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        beside = x if self.proj is None else self.proj["1"](average_pool(x, 3, self.stride, 1))
        y = gelu(self.layers["conv_a"](self.layers["pre_norm"](x)))
        y = self.layers["squeeze_excitation"](gelu(self.layers["conv_b"](y)))
        return beside + self.layers["conv_c"](y)


class Attention(nnx.Module):
    """Self-attention within each group of size² positions, with a learned bias for every relative position.

    The scores are scaled by the channels of all heads together, as torchvision does, not by those of one.
    """

    def __init__(self, channels: int, head: int, size: int, rngs: nnx.Rngs) -> None:
        self.to_qkv = Linear(channels, 3 * channels, rngs)
        self.merge = Linear(channels, channels, rngs)
        shape = ((2 * size - 1) ** 2, channels // head)
        table = nnx.initializers.truncated_normal(0.02)(rngs.params(), shape, jnp.float32)
        self.relative_position_bias_table = nnx.Param(table)
        self.head, self.size = head, size

    def __call__(self, x: jax.Array) -> jax.Array:
        """images x groups x size² x channels -> the same."""
        query, key, value = (
            part.reshape(*part.shape[:-1], -1, self.head) for part in jnp.split(self.to_qkv(x), 3, axis=-1)
        )
        bias = relative_bias(self.relative_position_bias_table[...], self.size)
        return self.merge(attend_with_bias(query, key * x.shape[-1] ** -0.5, value, bias))


class PartitionAttention(nnx.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), within windows of neighbours or (``grid``) among positions that
    are an equal number of rows and columns apart."""

    def __init__(self, channels: int, head: int, size: int, grid: bool, rngs: nnx.Rngs) -> None:
        self.attn_layer: nnx.Dict[Any] = nnx.Dict()
        self.attn_layer["0"] = LayerNorm(channels, epsilon=LAYER_EPSILON)
        self.attn_layer["1"] = Attention(channels, head, size, rngs)
        self.mlp_layer: nnx.Dict[Any] = nnx.Dict()
        self.mlp_layer["0"] = LayerNorm(channels, epsilon=LAYER_EPSILON)
        self.mlp_layer["1"] = Linear(channels, MLP_RATIO * channels, rngs)
        self.mlp_layer["3"] = Linear(MLP_RATIO * channels, channels, rngs)
        self.size, self.grid = size, grid

    def steps(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """What the attention adds, the hidden activation of the mlp, and the output.

        Raises:
            InputError: the map is no multiple of the partitions.
        """
        _, height, width, _ = x.shape
        if height != width or height % self.size:
            raise InputError(
                f"a map of {height} x {width} positions cannot be parted into {self.size} x {self.size}: "
                "give MaxViT square images of a size that it was made for"
            )
        # A grid's groups are what windows of the other size have at the same place.
        side = height // self.size if self.grid else self.size
        attend_within = self.attn_layer["1"]
        parted = into_windows(self.attn_layer["0"](x), side)
        parted = attend_within(parted.swapaxes(1, 2)).swapaxes(1, 2) if self.grid else attend_within(parted)
        attention = out_of_windows(parted, side, height, width)
        x = x + attention
        hidden = gelu(self.mlp_layer["1"](self.mlp_layer["0"](x)))
        return attention, hidden, x + self.mlp_layer["3"](hidden)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.steps(x)[2]


class Layer(nnx.Module):
    """An inverted residual, then attention within windows, then across the grid."""

    def __init__(self, incoming: int, out: int, stride: int, head: int, size: int, rngs: nnx.Rngs) -> None:
        self.layers: nnx.Dict[Any] = nnx.Dict(
            MBconv=MBConv(incoming, out, stride, rngs),
            window_attention=PartitionAttention(out, head, size, False, rngs),
            grid_attention=PartitionAttention(out, head, size, True, rngs),
        )


class Stage(nnx.Module):
    """Layers, of which the first halves the map."""

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = nnx.List(layers)


class MaxViT(nnx.Module):
    """Layers: ``stem``; ``blocks.0.layers.0.MBconv`` ... after each inverted residual, and likewise after each
    ``window_attention`` and ``grid_attention`` (which ends the layer), with ``.attn`` what the attention adds and
    ``.mlp.act`` the hidden activation; ``avgpool``, ``norm`` and ``tanh`` in the classifier; and ``logits``."""

    def __init__(
        self, stem: int, channels: tuple[int, ...], depths: tuple[int, ...], head: int, size: int, rngs: nnx.Rngs
    ) -> None:
        norm = BatchNorm(stem, epsilon=BATCH_EPSILON)
        first = ConvNorm([Conv(3, stem, 3, rngs, stride=2, padding=1, bias=False), norm])
        self.stem: nnx.List[Any] = nnx.List([first, nnx.List([Conv(stem, stem, 3, rngs, padding=1)])])
        stages = []
        incoming = stem
        for out, depth in zip(channels, depths, strict=True):
            layers = []
            for index in range(depth):
                layers.append(Layer(incoming, out, 2 if index == 0 else 1, head, size, rngs))
                incoming = out
            stages.append(Stage(layers))
        self.blocks = nnx.List(stages)
        self.classifier: nnx.Dict[Any] = nnx.Dict()
        self.classifier["2"] = LayerNorm(incoming, epsilon=LAYER_EPSILON)
        self.classifier["3"] = Linear(incoming, incoming, rngs)
        self.classifier["5"] = Linear(incoming, 1000, rngs, bias=False)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... .

        Raises:
            InputError: the images' size does not fit the partitions.
        """
        x = gelu(self.stem[0](x))
        layers = {"stem": (x := self.stem[1][0](x))}
        for number, stage in enumerate(self.blocks):
            for index, layer in enumerate(stage.layers):
                name = f"blocks.{number}.layers.{index}"
                layers[f"{name}.MBconv"] = x = layer.layers["MBconv"](x)
                for part in ("window_attention", "grid_attention"):
                    attention, hidden, x = layer.layers[part].steps(x)
                    layers |= {f"{name}.{part}.attn": attention, f"{name}.{part}.mlp.act": hidden}
                    layers[f"{name}.{part}"] = x
        layers["avgpool"] = x = global_average_pool(x)
        layers["norm"] = x = self.classifier["2"](x)
        layers["tanh"] = x = jnp.tanh(self.classifier["3"](x))
        layers["logits"] = self.classifier["5"](x)
        return layers


_SQUEEZE = (
    (r"\.squeeze_excitation\.fc1\.", ".squeeze_excitation.conv_reduce."),
    (r"\.squeeze_excitation\.fc2\.", ".squeeze_excitation.conv_expand."),
)


def port(stem: int, channels: tuple[int, ...], depths: tuple[int, ...], head: int, size: int) -> Port:
    """A network of the family: channels of the stem and each stage, layers of each, channels of a head, and the side of
    a window, which is also the number of rows and columns of the grid."""
    names = ["stem"]
    aliases = {"stem.1": "stem", "stem.1.0": "stem"}
    aliases |= {"classifier.0": "avgpool", "classifier.1": "avgpool", "classifier.2": "norm", "classifier.4": "tanh"}
    aliases |= {"classifier.5": "logits", "classifier": "logits"}
    for stage, depth in enumerate(depths):
        for index in range(depth):
            name = f"blocks.{stage}.layers.{index}"
            names.append(f"{name}.MBconv")
            aliases[f"{name}.layers.MBconv"] = f"{name}.MBconv"
            for part in ("window_attention", "grid_attention"):
                names += [f"{name}.{part}.attn", f"{name}.{part}.mlp.act", f"{name}.{part}"]
                aliases[f"{name}.layers.{part}"] = f"{name}.{part}"
            aliases[name] = aliases[f"{name}.layers"] = f"{name}.grid_attention"
        aliases[f"blocks.{stage}"] = aliases[name]
    return Port(
        build=lambda rngs: MaxViT(stem, channels, depths, head, size, rngs),
        layers=(*names, "avgpool", "norm", "tanh"),
        readout="logits",
        namings={"torchvision": Naming(_SQUEEZE, ignore=r".*\.(num_batches_tracked|relative_position_index)")},
        aliases=aliases,
    )


def maxvit_tiny() -> Port:
    """30,919,624 parameters."""
    return port(64, (64, 128, 256, 512), (2, 2, 5, 2), 32, 7)
