"""CORnet-S: a shallow recurrent network (Kubilius, Schrimpf et al., NeurIPS 2019).

Parameter names are those of the authors' file. Layers are named as Brain-Score names them: ``V4.output-t2`` is what
area V4 puts out at time step 2. Each area finishes all its steps before the next starts.
"""

from typing import ClassVar

import jax
from flax import nnx

from models.parts.conv import Conv
from models.parts.convolution import dense
from models.parts.linear import Linear
from models.parts.norm import BatchNorm
from models.parts.pool import global_average_pool, max_pool
from models.port import Port
from models.weights.naming import Naming

STEPS = {"V2": 2, "V4": 4, "IT": 2}
"""Of each recurrent area."""
WIDTHS = (64, 128, 256, 512)
"""Of V1, V2, V4 and IT."""
INNER = 4
"""Times as many channels inside an area."""


class V1(nnx.Module):
    """7x7 convolution, maximum, 3x3 convolution; each convolution with batch normalisation and ReLU."""

    FOLDS: ClassVar[dict[str, str]] = {"norm1": "conv1", "norm2": "conv2"}

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        self.conv1 = Conv(3, width, 7, rngs, stride=2, padding=3, bias=False)
        self.norm1 = BatchNorm(width)
        self.conv2 = Conv(width, width, 3, rngs, padding=1, bias=False)
        self.norm2 = BatchNorm(width)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        nonlin1 = jax.nn.relu(self.norm1(self.conv1(x)))
        pool = max_pool(nonlin1, 3, 2, 1)
        output = jax.nn.relu(self.norm2(self.conv2(pool)))
        return {"V1.nonlin1-t0": nonlin1, "V1.pool-t0": pool, "V1.output-t0": output}


class Area(nnx.Module):
    """A bottleneck applied to its own output, with the same convolutions at every step but batch normalisation of
    its own for each (so it cannot be folded into them). Only the first step halves height and width."""

    FOLDS: ClassVar[dict[str, str]] = {"norm_skip": "skip"}

    def __init__(self, incoming: int, out: int, steps: int, rngs: nnx.Rngs) -> None:
        inner = out * INNER
        self.conv_input = Conv(incoming, out, 1, rngs, bias=False)
        self.skip = Conv(out, out, 1, rngs, stride=2, bias=False)
        self.norm_skip = BatchNorm(out)
        self.conv1 = Conv(out, inner, 1, rngs, bias=False)
        self.conv2 = Conv(inner, inner, 3, rngs, padding=1, bias=False)
        self.conv3 = Conv(inner, out, 1, rngs, bias=False)
        for step in range(steps):
            setattr(self, f"norm1_{step}", BatchNorm(inner))
            setattr(self, f"norm2_{step}", BatchNorm(inner))
            setattr(self, f"norm3_{step}", BatchNorm(out))
        self.steps = steps

    def __call__(self, x: jax.Array) -> list[jax.Array]:
        """The output at each step."""
        outputs = []
        x = self.conv_input(x)
        for step in range(self.steps):
            norm1, norm2, norm3 = (getattr(self, f"norm{number}_{step}") for number in (1, 2, 3))
            skip, stride = (x, 1) if step else (self.norm_skip(self.skip(x)), 2)
            y = jax.nn.relu(norm1(self.conv1(x)))
            y = jax.nn.relu(norm2(dense(y, self.conv2.weight[...], stride, ((1, 1), (1, 1)))))
            outputs.append(x := jax.nn.relu(norm3(self.conv3(y)) + skip))
        return outputs


class AreasAndDecoder(nnx.Module):
    """V2, V4, IT and the classifier: what stands behind V1, whatever that is."""

    def __init__(self, widths: tuple[int, ...], rngs: nnx.Rngs) -> None:
        incoming, *later = widths
        for (area, steps), width in zip(STEPS.items(), later, strict=True):
            setattr(self, area, Area(incoming, width, steps, rngs))
            incoming = width
        self.decoder = nnx.Dict(linear=Linear(incoming, 1000, rngs))

    def after(self, x: jax.Array) -> dict[str, jax.Array]:
        """V1's output -> layer name -> images x ... ."""
        layers: dict[str, jax.Array] = {}
        for area in STEPS:
            outputs = getattr(self, area)(x)
            layers |= {f"{area}.output-t{step}": output for step, output in enumerate(outputs)}
            x = outputs[-1]
        layers["decoder.avgpool-t0"] = x = global_average_pool(x)
        layers["logits"] = self.decoder["linear"](x)
        return layers


class CORnetS(AreasAndDecoder):
    """Layers: ``V1.nonlin1-t0`` and ``V1.pool-t0`` inside V1, ``V1.output-t0``, ``V2.output-t0`` ... ``IT.output-t1``,
    ``decoder.avgpool-t0``; and ``logits``."""

    def __init__(self, widths: tuple[int, ...], rngs: nnx.Rngs) -> None:
        self.V1 = V1(widths[0], rngs)
        super().__init__(widths, rngs)

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers = self.V1(x)
        return layers | self.after(layers["V1.output-t0"])


BEHIND_V1 = (
    *(f"{area}.output-t{step}" for area, steps in STEPS.items() for step in range(steps)),
    "decoder.avgpool-t0",
)

ALIASES_BEHIND_V1 = (
    {area: f"{area}.output-t{steps - 1}" for area, steps in STEPS.items()}
    | {f"{area}.output": f"{area}.output-t{steps - 1}" for area, steps in STEPS.items()}
    | {"decoder.avgpool": "decoder.avgpool-t0"}
    | dict.fromkeys(("decoder", "decoder.linear", "decoder.output"), "logits")
)
"""Names of modules of the original; a recurrent one holds its last step's output in the end."""


def port(widths: tuple[int, ...]) -> Port:
    """A network of the kind of CORnet-S, with these channels in its areas."""
    inside_v1 = ("nonlin1", "pool", "output")
    return Port(
        build=lambda rngs: CORnetS(widths, rngs),
        layers=(*(f"V1.{point}-t0" for point in inside_v1), *BEHIND_V1),
        readout="logits",
        namings={"original": Naming()},
        aliases={f"V1.{point}": f"V1.{point}-t0" for point in inside_v1}
        | {"V1": "V1.output-t0", "V1.nonlin2": "V1.output-t0"}
        | ALIASES_BEHIND_V1,
    )


def cornet_s() -> Port:
    """53,416,616 parameters."""
    return port(WIDTHS)
