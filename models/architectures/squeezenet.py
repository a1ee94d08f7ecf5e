"""SqueezeNet 1.0 and 1.1 as torchvision has them (Iandola et al., arXiv:1602.07360)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from models.parts.conv import Conv
from models.parts.pool import global_average_pool, max_pool
from models.port import Port
from models.weights.naming import Naming

Groups = tuple[tuple[tuple[int, int], ...], ...]
"""Fire modules between two maxima: channels squeezed to, channels of each of the two expansions."""

V1_0: Groups = (((16, 64), (16, 64), (32, 128)), ((32, 128), (48, 192), (48, 192), (64, 256)), ((64, 256),))
V1_1: Groups = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))


class Fire(nnx.Module):
    """A 1x1 convolution to few channels, then 1x1 and 3x3 convolutions of those, side by side."""

    def __init__(self, incoming: int, squeezed: int, expanded: int, rngs: nnx.Rngs) -> None:
        self.squeeze = Conv(incoming, squeezed, 1, rngs)
        self.expand1x1 = Conv(squeezed, expanded, 1, rngs)
        self.expand3x3 = Conv(squeezed, expanded, 3, rngs, padding=1)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = jax.nn.relu(self.squeeze(x))
        return jax.nn.relu(jnp.concatenate([self.expand1x1(x), self.expand3x3(x)], axis=-1))


def _pooled(x: jax.Array) -> jax.Array:
    return max_pool(x, 3, 2, ceil=True)


class SqueezeNet(nnx.Module):
    """Layers: ``relu1`` of the stem, ``pool1``, the output of each fire module (``fire2`` to ``fire9``) and, before
    it, its second half (``fire2.expand3x3``), a pool named after the module before it, ``relu10`` of the last
    convolution; readout ``logits``, its average over positions.

    ``features`` has at each place what torchvision's has there.
    """

    def __init__(self, stem: tuple[int, int], groups: Groups, rngs: nnx.Rngs) -> None:
        incoming, kernel = stem
        steps: list[Callable[[jax.Array], jax.Array]] = [Conv(3, incoming, kernel, rngs, stride=2), jax.nn.relu]
        for group in groups:
            steps.append(_pooled)
            for squeezed, expanded in group:
                steps.append(Fire(incoming, squeezed, expanded, rngs))
                incoming = 2 * expanded
        self.features = nnx.List(steps)
        self.names = tuple(_places(groups))
        self.classifier: nnx.Dict[Conv] = nnx.Dict({"1": Conv(incoming, 1000, 1, rngs)})

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        conv, *steps = self.features
        layers, x = {}, conv(x)
        for name, step in zip(self.names, steps, strict=True):
            x = step(x)
            if name.startswith("fire"):
                layers[f"{name}.expand3x3"] = x[..., x.shape[-1] // 2 :]
            layers[name] = x
        layers["relu10"] = x = jax.nn.relu(self.classifier["1"](x))
        layers["logits"] = global_average_pool(x)
        return layers


def _places(groups: Groups) -> dict[str, int]:
    """Layer -> its place in torchvision's ``features``, in forward order."""
    names, number = ["relu1"], 1
    for group in groups:
        names.append(f"pool{number}")
        names += [f"fire{number + index}" for index, _ in enumerate(group, 1)]
        number += len(group)
    return {name: place for place, name in enumerate(names, 1)}


def port(stem: tuple[int, int], groups: Groups) -> Port:
    """A network of the family; ``stem``: channels and kernel size of the first convolution, of stride 2."""
    layers: list[str] = []
    aliases = {"classifier.2": "relu10", "classifier.3": "logits"}
    for name, place in _places(groups).items():
        aliases[f"features.{place}"] = name
        if name.startswith("fire"):
            layers.append(half := f"{name}.expand3x3")
            # Brain-Score's points: after the ReLU, which torchvision applies before the two halves are joined.
            aliases |= {f"features.{place}.expand3x3_activation": half, f"{name}/concat": name}
        layers.append(name)
    return Port(
        build=lambda rngs: SqueezeNet(stem, groups, rngs),
        layers=(*layers, "relu10"),
        readout="logits",
        namings={"torchvision": Naming()},
        aliases=aliases,
    )


def squeezenet1_0() -> Port:
    """1,248,424 parameters."""
    return port((96, 7), V1_0)


def squeezenet1_1() -> Port:
    """1,235,496 parameters."""
    return port((64, 3), V1_1)
