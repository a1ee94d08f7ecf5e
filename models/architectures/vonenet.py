"""VOneNets: a fixed model of V1 in front of a network (Dapello, Marques et al., NeurIPS 2020).

The front end's noise is off (the authors' ``noise_mode=None``), so that the same picture always gives the same
activations. Under their neuronal noise the rectified mean of a weakly driven cell lies a little higher.

Parameter names are those of the authors' files, which carry the Gabor filters. Untrained (``weights=random``) it has
the filters of :mod:`models.architectures.vonenet_gabors`.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from models.architectures import cornet_s
from models.architectures.resnet import Bottleneck
from models.architectures.vonenet_gabors import KERNEL, filters
from models.parts.activation import root
from models.parts.conv import Conv
from models.parts.convolution import dense
from models.parts.linear import FixedKernel, Linear
from models.parts.pool import global_average_pool
from models.port import Port
from models.weights.naming import Naming

SIMPLE = COMPLEX = 256
STRIDE = 4
GAIN = 25.0
WIDTH = 64
"""Channels that the network behind gets."""

# The adversarially trained file also has two tensors that the authors' code drops.
_NAMINGS = {"original": Naming(ignore=r".*\.num_batches_tracked|vone_block\.div_[ut]\.weight")}


class Bank(nnx.Module):
    """``weight``: 25 x 25 x 3 x cells; each filter sees one of red, green and blue."""

    def __init__(self, rngs: nnx.Rngs, *, quadrature: bool) -> None:
        cells = SIMPLE + COMPLEX
        colour = jax.nn.one_hot(jax.random.randint(rngs.params(), (cells,), 0, 3), 3, axis=0, dtype=jnp.float32)
        self.weight = FixedKernel(filters(cells, quadrature)[:, :, None] * colour)

    def __call__(self, x: jax.Array, first: int = 0) -> jax.Array:
        """The cells from ``first`` on."""
        zeros = (KERNEL // 2, KERNEL // 2)
        return dense(x, self.weight[..., first:].astype(x.dtype), STRIDE, (zeros, zeros))


class VOneBlock(nnx.Module):
    """256 simple cells, rectified, then 256 complex cells, the energy of two filters in quadrature.

    As the authors have it, the two filters of a complex cell need not see the same colour.
    """

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.simple_conv_q0 = Bank(rngs, quadrature=False)
        self.simple_conv_q1 = Bank(rngs, quadrature=True)

    def __call__(self, x: jax.Array) -> jax.Array:
        linear, ahead = self.simple_conv_q0(x), self.simple_conv_q1(x, SIMPLE)
        simple = jax.nn.relu(linear[..., :SIMPLE])
        energy = root((linear[..., SIMPLE:] ** 2 + ahead**2) / 2)
        return GAIN * jnp.concatenate([simple, energy], -1)


class ResNetBehind(nnx.Module):
    """A residual network of bottlenecks without its stem."""

    def __init__(self, depths: tuple[int, ...], rngs: nnx.Rngs) -> None:
        incoming = WIDTH
        for stage, depth in enumerate(depths):
            blocks = []
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(Bottleneck(incoming, 64 * 2**stage, stride, rngs, groups=1, base=64))
                incoming = 64 * 2**stage * Bottleneck.EXPANSION
            setattr(self, f"layer{stage + 1}", nnx.List(blocks))
        self.fc = Linear(incoming, 1000, rngs)
        self.stages = len(depths)

    def after(self, x: jax.Array) -> dict[str, jax.Array]:
        """The bottleneck's output -> layer name -> images x ... ."""
        layers = {}
        for stage in range(1, self.stages + 1):
            for index, block in enumerate(getattr(self, f"layer{stage}")):
                layers[f"layer{stage}.{index}"] = x = block(x)
        layers["avgpool"] = x = global_average_pool(x)
        layers["fc"] = self.fc(x)
        return layers


class VOneNet(nnx.Module):
    """Layers: ``vone_block.output``, ``bottleneck`` (a 1x1 convolution to 64 channels), both with ``step`` after
    their names; then those of the network behind, with ``model.`` before theirs."""

    def __init__(
        self,
        behind: type[ResNetBehind] | type[cornet_s.AreasAndDecoder],
        depths: tuple[int, ...],
        step: str,
        rngs: nnx.Rngs,
    ) -> None:
        self.vone_block = VOneBlock(rngs)
        self.bottleneck = Conv(SIMPLE + COMPLEX, WIDTH, 1, rngs, bias=False)
        self.model = behind(depths, rngs)
        self.step = step

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        cells = self.vone_block(x)
        fewer = self.bottleneck(cells)
        layers = {f"vone_block.output{self.step}": cells, f"bottleneck{self.step}": fewer}
        return layers | {f"model.{name}": layer for name, layer in self.model.after(fewer).items()}


def resnet_port(depths: tuple[int, ...]) -> Port:
    """The front end before bottlenecks in four stages."""
    stages = {f"model.layer{stage}": depth for stage, depth in enumerate(depths, 1)}
    return Port(
        build=lambda rngs: VOneNet(ResNetBehind, depths, "", rngs),
        layers=(
            "vone_block.output",
            "bottleneck",
            *(f"{stage}.{index}" for stage, depth in stages.items() for index in range(depth)),
            "model.avgpool",
        ),
        readout="model.fc",
        namings=_NAMINGS,
        aliases={"vone_block": "vone_block.output", "vone_block.gabors": "vone_block.output", "model": "model.fc"}
        | {stage: f"{stage}.{depth - 1}" for stage, depth in stages.items()},
    )


def cornet_port(widths: tuple[int, ...]) -> Port:
    """The front end before CORnet-S's areas; ``widths`` of the bottleneck, V2, V4 and IT."""
    return Port(
        build=lambda rngs: VOneNet(cornet_s.AreasAndDecoder, widths, "-t0", rngs),
        layers=("vone_block.output-t0", "bottleneck-t0", *(f"model.{layer}" for layer in cornet_s.BEHIND_V1)),
        readout="model.logits",
        namings=_NAMINGS,
        aliases=dict.fromkeys(("vone_block", "vone_block.output", "vone_block.gabors"), "vone_block.output-t0")
        | {"bottleneck": "bottleneck-t0", "model": "model.logits"}
        | {f"model.{name}": f"model.{layer}" for name, layer in cornet_s.ALIASES_BEHIND_V1.items()},
    )


def vone_resnet50() -> Port:
    """27,500,264 parameters, of which the 1,920,000 of the Gabor filters are not trained."""
    return resnet_port((3, 4, 6, 3))


def vone_cornet_s() -> Port:
    """55,322,856 parameters, of which the 1,920,000 of the Gabor filters are not trained."""
    return cornet_port(cornet_s.WIDTHS)
