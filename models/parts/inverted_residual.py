"""Networks of inverted residuals (Sandler et al., CVPR 2018): MobileNet v2 and v3, and EfficientNet.

Parameters have timm's names: ``conv_stem``, ``bn1``, ``blocks.<stage>.<place>.conv_dw`` ..., ``conv_head``, ``bn2``,
``classifier``.
"""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import jax
from flax import nnx

from models.parts.conv import Conv
from models.parts.linear import Linear
from models.parts.norm import BatchNorm
from models.parts.pool import global_average_pool
from models.parts.squeeze_excite import Activation, SqueezeExcite


def divisible(channels: float) -> int:
    """The nearest multiple of 8, but not under nine tenths of the channels."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


class Row(NamedTuple):
    """One block.

    Attributes:
        incoming, inner, out: channels that come in, that the depthwise convolution has, and that go out.
        kernel, stride: of the depthwise convolution.
        activation: after all but the last convolution.
        squeezed: channels inside the squeeze-and-excitation; 0 for none.
    """

    incoming: int
    inner: int
    out: int
    kernel: int
    stride: int
    activation: Activation
    squeezed: int = 0

    @property
    def expanded(self) -> bool:
        """Whether a 1x1 convolution makes more channels first."""
        return self.inner != self.incoming

    @property
    def residual(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.incoming == self.out


class Plan(NamedTuple):
    """A whole network.

    Attributes:
        stages: blocks in a row.
        head: channels after the last convolution.
        activation: of stem and head.
        same: TensorFlow's padding, which depends on the images' size; else kernel // 2 zeros on each side.
        epsilon: of batch normalisation.
        squeeze: activation inside the squeeze-and-excitations.
        gate: activation at their end.
        hidden: features between the average and the classifier; 0 for none.
        classes: 0 for no classifier.
    """

    stages: tuple[tuple[Row, ...], ...]
    head: int
    activation: Activation
    same: bool = False
    epsilon: float = 1e-5
    squeeze: Activation = jax.nn.relu
    gate: Activation = jax.nn.sigmoid
    hidden: int = 0
    classes: int = 1000

    def places(self) -> Iterator[tuple[int, int, int, Row]]:
        """Number of a block, its stage, its place in the stage, and the block."""
        places = [(stage, place, row) for stage, rows in enumerate(self.stages) for place, row in enumerate(rows)]
        return ((number, *place) for number, place in enumerate(places))

    def layers(self) -> tuple[str, ...]:
        """The public names, in forward order."""
        hidden = ("hidden",) if self.hidden else ()
        return ("stem", *(f"block{number}" for number, *_ in self.places()), "head", "avgpool", *hidden)

    def conv(
        self, incoming: int, out: int, kernel: int, rngs: nnx.Rngs, *, stride: int = 1, depthwise: bool = False
    ) -> Conv:
        """A convolution, padded as this network is."""
        padding = "same" if self.same else kernel // 2
        groups = incoming if depthwise else 1
        return Conv(incoming, out, kernel, rngs, stride=stride, padding=padding, groups=groups, bias=False)

    def norm(self, channels: int) -> BatchNorm:
        return BatchNorm(channels, epsilon=self.epsilon)

    def excite(self, row: Row, rngs: nnx.Rngs) -> SqueezeExcite | None:
        if not row.squeezed:
            return None
        return SqueezeExcite(row.inner, row.squeezed, rngs, activation=self.squeeze, gate=self.gate)


class Separable(nnx.Module):
    """Depthwise, 1x1 without activation: the block that does not expand."""

    FOLDS: ClassVar[dict[str, str]] = {"bn1": "conv_dw", "bn2": "conv_pw"}

    def __init__(self, row: Row, plan: Plan, rngs: nnx.Rngs) -> None:
        self.conv_dw = plan.conv(row.inner, row.inner, row.kernel, rngs, stride=row.stride, depthwise=True)
        self.bn1 = plan.norm(row.inner)
        self.se = plan.excite(row, rngs)
        self.conv_pw = plan.conv(row.inner, row.out, 1, rngs)
        self.bn2 = plan.norm(row.out)
        self.activation, self.residual = row.activation, row.residual

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.activation(self.bn1(self.conv_dw(x)))
        if self.se is not None:
            y = self.se(y)
        y = self.bn2(self.conv_pw(y))
        return x + y if self.residual else y


class Inverted(nnx.Module):
    """1x1 to more channels, depthwise, 1x1 to fewer without activation."""

    FOLDS: ClassVar[dict[str, str]] = {"bn1": "conv_pw", "bn2": "conv_dw", "bn3": "conv_pwl"}

    def __init__(self, row: Row, plan: Plan, rngs: nnx.Rngs) -> None:
        self.conv_pw = plan.conv(row.incoming, row.inner, 1, rngs)
        self.bn1 = plan.norm(row.inner)
        self.conv_dw = plan.conv(row.inner, row.inner, row.kernel, rngs, stride=row.stride, depthwise=True)
        self.bn2 = plan.norm(row.inner)
        self.se = plan.excite(row, rngs)
        self.conv_pwl = plan.conv(row.inner, row.out, 1, rngs)
        self.bn3 = plan.norm(row.out)
        self.activation, self.residual = row.activation, row.residual

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.activation(self.bn1(self.conv_pw(x)))
        y = self.activation(self.bn2(self.conv_dw(y)))
        if self.se is not None:
            y = self.se(y)
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.residual else y


class InvertedResiduals(nnx.Module):
    """Layers: ``stem``, ``block0`` ..., ``head`` (each after its last operation), ``avgpool``, ``hidden`` where there
    is such a layer; and ``logits`` unless it is a trunk."""

    FOLDS: ClassVar[dict[str, str]] = {"bn1": "conv_stem", "bn2": "conv_head"}

    def __init__(self, plan: Plan, rngs: nnx.Rngs) -> None:
        first, last = plan.stages[0][0], plan.stages[-1][-1]
        self.conv_stem = plan.conv(3, first.incoming, 3, rngs, stride=2)
        self.bn1 = plan.norm(first.incoming)
        self.blocks = nnx.List(
            nnx.List((Inverted if row.expanded else Separable)(row, plan, rngs) for row in rows) for rows in plan.stages
        )
        self.conv_head = plan.conv(last.out, plan.head, 1, rngs)
        self.bn2 = plan.norm(plan.head)
        self.hidden = Linear(plan.head, plan.hidden, rngs) if plan.hidden else None
        self.classifier = Linear(plan.hidden or plan.head, plan.classes, rngs) if plan.classes else None
        self.activation = plan.activation

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3) -> layer name -> images x ... ."""
        layers = {"stem": (x := self.activation(self.bn1(self.conv_stem(x))))}
        for number, block in enumerate(block for stage in self.blocks for block in stage):
            layers[f"block{number}"] = x = block(x)
        layers["head"] = x = self.activation(self.bn2(self.conv_head(x)))
        layers["avgpool"] = x = global_average_pool(x)
        if self.hidden is not None:
            layers["hidden"] = x = self.activation(self.hidden(x))
        if self.classifier is not None:
            layers["logits"] = self.classifier(x)
        return layers
