"""Densely connected networks as torchvision has them (Huang et al., CVPR 2017): DenseNet-BC."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from models.parts.conv import Conv
from models.parts.linear import Linear
from models.parts.norm import BatchNorm
from models.parts.pool import average_pool, global_average_pool, max_pool
from models.port import Port
from models.weights.naming import Naming

# Channels of the bottleneck of a dense layer, in units of what the layer adds.
WIDTH = 4


class DenseLayer(nnx.Module):
    """What a layer adds to the channels it is given: normalised, 1x1 to a bottleneck, 3x3 to ``growth`` channels."""

    FOLDS: ClassVar[dict[str, str]] = {"norm2": "conv1"}

    def __init__(self, incoming: int, growth: int, rngs: nnx.Rngs) -> None:
        self.norm1 = BatchNorm(incoming)
        self.conv1 = Conv(incoming, WIDTH * growth, 1, rngs, bias=False)
        self.norm2 = BatchNorm(WIDTH * growth)
        self.conv2 = Conv(WIDTH * growth, growth, 3, rngs, padding=1, bias=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.conv1(jax.nn.relu(self.norm1(x)))
        return self.conv2(jax.nn.relu(self.norm2(y)))


class Transition(nnx.Module):
    """To half the channels at half the resolution."""

    def __init__(self, incoming: int, rngs: nnx.Rngs) -> None:
        self.norm = BatchNorm(incoming)
        self.conv = Conv(incoming, incoming // 2, 1, rngs, bias=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        # The original averages after its 1x1 convolution; both are linear, and this way round costs a quarter.
        return self.conv(average_pool(jax.nn.relu(self.norm(x)), 2, 2))


class Features(nnx.Dict):
    """torchvision's ``features``, by name."""

    FOLDS: ClassVar[dict[str, str]] = {"norm0": "conv0"}


class DenseNet(nnx.Module):
    """Layers: ``relu0`` and ``pool0`` of the stem; ``denseblock1.denselayer1`` ... what each dense layer adds;
    ``denseblock1`` ... all channels after a block; ``transition1`` ... after its average; ``norm5`` and ``relu5``
    after the last block; ``avgpool``; readout ``logits``."""

    def __init__(self, growth: int, blocks: tuple[int, ...], stem: int, rngs: nnx.Rngs) -> None:
        self.features = Features({"conv0": Conv(3, stem, 7, rngs, stride=2, padding=3, bias=False)})
        self.features["norm0"] = BatchNorm(stem)
        self.blocks, channels = blocks, stem
        for number, depth in enumerate(blocks, 1):
            block = {}
            for index in range(1, depth + 1):
                block[f"denselayer{index}"] = DenseLayer(channels, growth, rngs)
                channels += growth
            self.features[f"denseblock{number}"] = nnx.Dict(block)
            if number < len(blocks):
                self.features[f"transition{number}"] = Transition(channels, rngs)
                channels //= 2
        self.features["norm5"] = BatchNorm(channels)
        self.classifier = Linear(channels, 1000, rngs)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        features = self.features
        layers = {"relu0": (x := jax.nn.relu(features["norm0"](features["conv0"](x))))}
        layers["pool0"] = x = max_pool(x, 3, 2, 1)
        for number, depth in enumerate(self.blocks, 1):
            name = f"denseblock{number}"
            for index in range(1, depth + 1):
                layer = f"denselayer{index}"
                layers[f"{name}.{layer}"] = added = features[name][layer](x)
                x = jnp.concatenate([x, added], axis=-1)
            layers[name] = x
            if number < len(self.blocks):
                layers[f"transition{number}"] = x = features[f"transition{number}"](x)
        layers["norm5"] = x = features["norm5"](x)
        layers["relu5"] = x = jax.nn.relu(x)
        layers["avgpool"] = x = global_average_pool(x)
        layers["logits"] = self.classifier(x)
        return layers


def port(growth: int, blocks: tuple[int, ...], stem: int = 64) -> Port:
    """A network of the family: channels that a layer adds, layers of each block, channels of the first convolution."""
    layers, keras = ["relu0", "pool0"], {"relu0": ("conv1_relu", "conv1/relu"), "pool0": ("pool1",)}
    for number, depth in enumerate(blocks, 1):
        block = f"denseblock{number}"
        for index in range(1, depth + 1):
            layers.append(layer := f"{block}.denselayer{index}")
            keras[layer] = (f"conv{number + 1}_block{index}_2_conv",)
        layers.append(block)
        keras[block] = (f"conv{number + 1}_block{depth}_concat",)
        if number < len(blocks):
            layers.append(transition := f"transition{number}")
            keras[transition] = (f"pool{number + 1}_pool",)
    torchvision = {f"features.{layer}": layer for layer in (*layers, "norm5")}
    pools = {f"features.{layer}.pool": layer for layer in layers if layer.startswith("transition")}
    return Port(
        build=lambda rngs: DenseNet(growth, blocks, stem, rngs),
        layers=(*layers, "norm5", "relu5", "avgpool"),
        readout="logits",
        # The files of torchvision write ``norm.1`` where its modules, and the files of timm, have ``norm1``.
        namings={"torchvision": Naming(rename=((r"(\.denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2."),))},
        aliases=torchvision
        | pools
        | {name: layer for layer, names in keras.items() for name in names}
        | {"bn": "norm5", "relu": "relu5", "avg_pool": "avgpool", "global_pool": "avgpool", "classifier": "logits"},
    )


def densenet121() -> Port:
    """7,978,856 parameters."""
    return port(32, (6, 12, 24, 16))


def densenet169() -> Port:
    """14,149,480 parameters."""
    return port(32, (6, 12, 32, 32))


def densenet201() -> Port:
    """20,013,928 parameters."""
    return port(32, (6, 12, 48, 32))
