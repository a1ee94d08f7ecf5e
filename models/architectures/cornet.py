"""CORnet-Z and CORnet-RT: four cortical areas in a row (Kubilius et al., bioRxiv 408385, 2018).

Parameter names are those of the authors' files. Layers are named as Brain-Score names them: ``V1.output-t0`` is what
area V1 puts out at time step 0.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from models.parts.conv import Conv
from models.parts.group_norm import GroupNorm
from models.parts.linear import Linear
from models.parts.pool import global_average_pool, max_pool
from models.port import Port
from models.weights.naming import Naming

AREAS = ("V1", "V2", "V4", "IT")
WIDTHS = (64, 128, 256, 512)
GROUPS = 32
STEPS = 5


class AreaZ(nnx.Module):
    """Convolution, ReLU, 3x3 maximum with stride 2."""

    def __init__(self, incoming: int, out: int, kernel: int, stride: int, rngs: nnx.Rngs) -> None:
        self.conv = Conv(incoming, out, kernel, rngs, stride=stride, padding=kernel // 2)

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Before and after the maximum."""
        x = jax.nn.relu(self.conv(x))
        return x, max_pool(x, 3, 2, 1)


class CORnetZ(nnx.Module):
    """Layers: ``V1.nonlin-t0`` after the ReLU and ``V1.output-t0`` after the maximum, so for each area;
    ``decoder.avgpool-t0``; and ``logits``."""

    def __init__(self, widths: tuple[int, ...], rngs: nnx.Rngs) -> None:
        incoming = 3
        for area, width in zip(AREAS, widths, strict=True):
            kernel, stride = (7, 2) if area == "V1" else (3, 1)
            setattr(self, area, AreaZ(incoming, width, kernel, stride, rngs))
            incoming = width
        self.decoder = nnx.Dict(linear=Linear(incoming, 1000, rngs))

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers = {}
        for area in AREAS:
            layers[f"{area}.nonlin-t0"], layers[f"{area}.output-t0"] = _, x = getattr(self, area)(x)
        layers["decoder.avgpool-t0"] = x = global_average_pool(x)
        layers["logits"] = self.decoder["linear"](x)
        return layers


class AreaRT(nnx.Module):
    """Takes what the area below put out at the step before (``drive``), adds its own output of then (``settle``)."""

    def __init__(self, incoming: int, out: int, kernel: int, stride: int, rngs: nnx.Rngs) -> None:
        self.conv_input = Conv(incoming, out, kernel, rngs, stride=stride, padding=kernel // 2)
        self.norm_input = GroupNorm(GROUPS, out)
        self.conv1 = Conv(out, out, 3, rngs, padding=1, bias=False)
        self.norm1 = GroupNorm(GROUPS, out)

    def drive(self, below: jax.Array) -> jax.Array:
        return jax.nn.relu(self.norm_input(self.conv_input(below)))

    def settle(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu(self.norm1(self.conv1(x)))


class CORnetRT(nnx.Module):
    """Layers: ``V1.output-t0`` to ``IT.output-t4``, ``decoder.avgpool-t0`` of IT's last output, and ``logits``.

    The image needs one step per area: V2 has it from step 1, V4 from step 2, IT from step 3. Their earlier outputs
    are the same for every image, and though they count in what follows, they are not layers.
    """

    def __init__(self, widths: tuple[int, ...], rngs: nnx.Rngs) -> None:
        incoming = 3
        for area, width in zip(AREAS, widths, strict=True):
            kernel, stride = (7, 4) if area == "V1" else (3, 2)
            setattr(self, area, AreaRT(incoming, width, kernel, stride, rngs))
            incoming = width
        self.decoder = nnx.Dict(linear=Linear(incoming, 1000, rngs))

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers = {}
        areas: dict[str, AreaRT] = {area: getattr(self, area) for area in AREAS}
        image = areas["V1"].drive(x)
        drives = {"V1": image} | self._silence(image)
        outputs = {area: module.settle(drives[area]) for area, module in areas.items()}
        layers["V1.output-t0"] = outputs["V1"]
        for step in range(1, STEPS):
            below = dict(zip(AREAS[1:], AREAS, strict=False))
            drives = {"V1": image} | {area: areas[area].drive(outputs[below[area]]) for area in AREAS[1:]}
            outputs = {area: module.settle(drives[area] + outputs[area]) for area, module in areas.items()}
            layers |= {f"{area}.output-t{step}": outputs[area] for area in AREAS[: step + 1]}
        layers["decoder.avgpool-t0"] = pooled = global_average_pool(outputs["IT"])
        layers["logits"] = self.decoder["linear"](pooled)
        return layers

    def _silence(self, image: jax.Array) -> dict[str, jax.Array]:
        """What reaches the areas above V1 at step 0: zeros, one image of them for all (until an image gets there)."""
        height, width = image.shape[1:3]
        drives = {}
        for area in AREAS[1:]:
            height, width = -(-height // 2), -(-width // 2)
            channels = getattr(self, area).conv1.weight[...].shape[-1]
            drives[area] = jnp.zeros((1, height, width, channels), image.dtype)
        return drives


_DECODER = {"decoder.avgpool": "decoder.avgpool-t0"} | dict.fromkeys(("decoder", "decoder.linear"), "logits")


def port_z(widths: tuple[int, ...]) -> Port:
    """A network of the kind of CORnet-Z, with these channels in its areas."""
    return Port(
        build=lambda rngs: CORnetZ(widths, rngs),
        layers=(*(f"{area}.{point}-t0" for area in AREAS for point in ("nonlin", "output")), "decoder.avgpool-t0"),
        readout="logits",
        namings={"original": Naming()},
        aliases={f"{area}.{point}": f"{area}.{point}-t0" for area in AREAS for point in ("nonlin", "output")}
        | {f"{area}.pool": f"{area}.output-t0" for area in AREAS}
        | {area: f"{area}.output-t0" for area in AREAS}
        | _DECODER
        | {"decoder.output": "logits"},
    )


def port_rt(widths: tuple[int, ...]) -> Port:
    """A network of the kind of CORnet-RT, with these channels in its areas (multiples of 32)."""
    last = {area: f"{area}.output-t{STEPS - 1}" for area in AREAS}
    return Port(
        build=lambda rngs: CORnetRT(widths, rngs),
        layers=(
            *(f"{area}.output-t{step}" for step in range(STEPS) for area in AREAS[: step + 1]),
            "decoder.avgpool-t0",
        ),
        readout="logits",
        namings={"original": Naming()},
        aliases=last | {f"{area}.output": layer for area, layer in last.items()} | _DECODER,
    )


def cornet_z() -> Port:
    """2,071,656 parameters."""
    return port_z(WIDTHS)


def cornet_rt() -> Port:
    """5,208,936 parameters; 5 time steps."""
    return port_rt(WIDTHS)
