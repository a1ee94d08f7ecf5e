"""Networks of inverted residuals as the publications draw them, with torchvision's names and with others."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from torch import nn
from torch.nn import functional


class Spec(NamedTuple):
    """One block: channels in, of the depthwise convolution and out; its kernel and stride; channels squeezed to."""

    incoming: int
    inner: int
    out: int
    kernel: int
    stride: int
    squeezed: int
    activation: Any


class Kind(NamedTuple):
    """What a whole network shares."""

    stages: tuple[tuple[Spec, ...], ...]
    head: int
    activation: Any
    epsilon: float = 1e-5
    same: bool = False
    squeeze: Any = nn.ReLU
    gate: Any = nn.Sigmoid
    hidden: int = 0

    def conv(self, incoming: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Any:
        if self.same:
            return Same(incoming, out, kernel, stride, groups=groups, bias=False)
        return nn.Conv2d(incoming, out, kernel, stride, kernel // 2, groups=groups, bias=False)

    def norm(self, channels: int) -> Any:
        return nn.BatchNorm2d(channels, eps=self.epsilon)

    def numbered(self) -> Iterator[tuple[int, int, int]]:
        """Number of each block, its stage, its place there."""
        places = [(stage, place) for stage, specs in enumerate(self.stages) for place in range(len(specs))]
        return ((number, *place) for number, place in enumerate(places))


class Same(nn.Conv2d):
    """With TensorFlow's SAME padding."""

    def forward(self, x: Any) -> Any:
        pads: list[int] = []
        for axis in (3, 2):
            size, kernel, stride = x.shape[axis], self.kernel_size[axis - 2], self.stride[axis - 2]
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return functional.conv2d(functional.pad(x, pads), self.weight, None, self.stride, groups=self.groups)


class Excite(nn.Module):
    def __init__(self, channels: int, squeezed: int, names: tuple[str, str], kind: Kind) -> None:
        super().__init__()
        self.names, self.activation, self.gate = names, kind.squeeze(), kind.gate()
        self.add_module(names[0], nn.Conv2d(channels, squeezed, 1))
        self.add_module(names[1], nn.Conv2d(squeezed, channels, 1))

    def forward(self, x: Any) -> Any:
        reduce, expand = (getattr(self, name) for name in self.names)
        return x * self.gate(expand(self.activation(reduce(functional.adaptive_avg_pool2d(x, 1)))))


class Residual(nn.Module):
    """Adds its input where the shapes allow it. The sequence inside has the name ``inside``."""

    def __init__(self, inside: str, spec: Spec, layers: Any) -> None:
        super().__init__()
        self.inside, self.adds = inside, spec.stride == 1 and spec.incoming == spec.out
        self.add_module(inside, layers)

    def forward(self, x: Any) -> Any:
        y = getattr(self, self.inside)(x)
        return x + y if self.adds else y


class Torchvision(nn.Module):
    """``form``: ``stages`` as EfficientNet, ``blocks`` as MobileNet v3, ``conv`` as v2, ``flat`` as its older form."""

    def __init__(self, kind: Kind, form: str, classes: int = 1000) -> None:
        super().__init__()
        self.kind, self.form = kind, form
        first, last = kind.stages[0][0].incoming, kind.stages[-1][-1].out
        stages = [nn.Sequential(*map(self.block, specs)) for specs in kind.stages]
        middle = stages if form == "stages" else chain(*stages)
        self.features = nn.Sequential(
            nn.Sequential(kind.conv(3, first, 3, 2), kind.norm(first), kind.activation()),
            *middle,
            nn.Sequential(kind.conv(last, kind.head), kind.norm(kind.head), kind.activation()),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        if kind.hidden:
            hidden = [nn.Linear(kind.head, kind.hidden), kind.activation()]
            self.classifier = nn.Sequential(*hidden, nn.Dropout(), nn.Linear(kind.hidden, classes))
        else:
            self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(kind.head, classes))

    def block(self, spec: Spec) -> Residual:
        kind, inner = self.kind, spec.inner
        groups = [[kind.conv(spec.incoming, inner), kind.norm(inner), spec.activation()]]
        groups = groups if spec.inner != spec.incoming else []
        depthwise = kind.conv(inner, inner, spec.kernel, spec.stride, inner)
        groups.append([depthwise, kind.norm(inner), spec.activation()])
        project = [kind.conv(inner, spec.out), kind.norm(spec.out)]
        if self.form == "flat":
            return Residual("conv", spec, nn.Sequential(*chain(*groups), *project))
        layers = [nn.Sequential(*group) for group in groups]
        if self.form == "conv":
            return Residual("conv", spec, nn.Sequential(*layers, *project))
        if spec.squeezed:
            layers.append(Excite(inner, spec.squeezed, ("fc1", "fc2"), kind))
        return Residual("block", spec, nn.Sequential(*layers, nn.Sequential(*project)))

    def forward(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))

    def where(self) -> dict[str, str]:
        """Our layer -> the module that computes it."""
        staged = self.form == "stages"
        blocks = {
            f"block{number}": f"features.{stage + 1}.{place}" if staged else f"features.{number + 1}"
            for number, stage, place in self.kind.numbered()
        }
        hidden = {"hidden": "classifier.1"} if self.kind.hidden else {}
        last = f"features.{len(self.features) - 1}"
        return {"stem": "features.0", **blocks, "head": last, "avgpool": "avgpool", **hidden, "logits": "classifier"}


# What timm and EfficientNet-PyTorch call: the expansion, the depthwise and the last convolution of a block, each with
# its norm; the squeeze-and-excitation and the two products in it; then stem, head, classifier and the blocks.
TIMM = {
    "block": ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"),
    "separable": (None, None, "conv_dw", "bn1", "conv_pw", "bn2"),
    "excite": ("se", "conv_reduce", "conv_expand"),
    "outside": ("conv_stem", "bn1", "conv_head", "bn2", "classifier", "blocks"),
}
ORIGINAL = {
    "block": ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2"),
    "separable": (None, None, "_depthwise_conv", "_bn1", "_project_conv", "_bn2"),
    "excite": (None, "_se_reduce", "_se_expand"),
    "outside": ("_conv_stem", "_bn0", "_conv_head", "_bn1", "_fc", "_blocks"),
}


class Block(nn.Module):
    def __init__(self, spec: Spec, kind: Kind, names: dict[str, Any]) -> None:
        super().__init__()
        self.spec, self.names = spec, names["block" if spec.inner != spec.incoming else "separable"]
        expand, norm0, depthwise, norm1, project, norm2 = self.names
        if expand:
            self.add_module(expand, kind.conv(spec.incoming, spec.inner))
            self.add_module(norm0, kind.norm(spec.inner))
        self.add_module(depthwise, kind.conv(spec.inner, spec.inner, spec.kernel, spec.stride, spec.inner))
        self.add_module(norm1, kind.norm(spec.inner))
        self.add_module(project, kind.conv(spec.inner, spec.out))
        self.add_module(norm2, kind.norm(spec.out))
        excite, *parts = names["excite"]
        made = Excite(spec.inner, spec.squeezed, tuple(parts), kind) if spec.squeezed else nn.Identity()
        if spec.squeezed and excite:
            self.add_module(excite, made)
        elif spec.squeezed:  # its products belong to the block itself
            for part in parts:
                self.add_module(part, getattr(made, part))
        self.excite, self.activation = [made], spec.activation()

    def forward(self, x: Any) -> Any:
        expand, norm0, depthwise, norm1, project, norm2 = (name and getattr(self, name) for name in self.names)
        y = self.activation(norm0(expand(x))) if expand else x
        y = self.excite[0](self.activation(norm1(depthwise(y))))
        y = norm2(project(y))
        return x + y if self.spec.stride == 1 and self.spec.incoming == self.spec.out else y


class Named(nn.Module):
    """With the names of ``TIMM``, where blocks stand in stages, or ``ORIGINAL``, where they are counted through."""

    def __init__(self, kind: Kind, names: dict[str, Any], classes: int = 1000) -> None:
        super().__init__()
        self.kind, self.outside = kind, names["outside"]
        stem, norm1, head, norm2, classifier, blocks = self.outside
        first, last = kind.stages[0][0].incoming, kind.stages[-1][-1].out
        self.add_module(stem, kind.conv(3, first, 3, 2))
        self.add_module(norm1, kind.norm(first))
        stages = [nn.Sequential(*(Block(spec, kind, names) for spec in specs)) for specs in kind.stages]
        self.add_module(blocks, nn.Sequential(*(stages if blocks == "blocks" else chain(*stages))))
        self.add_module(head, kind.conv(last, kind.head))
        self.add_module(norm2, kind.norm(kind.head))
        if kind.hidden:
            self.hidden = nn.Linear(kind.head, kind.hidden)
        self.add_module(classifier, nn.Linear(kind.hidden or kind.head, classes))
        self.act1, self.act2, self.act3 = kind.activation(), kind.activation(), kind.activation()
        self.global_pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Any) -> Any:
        stem, norm1, head, norm2, classifier, blocks = (getattr(self, name) for name in self.outside)
        x = blocks(self.act1(norm1(stem(x))))
        x = self.global_pool(self.act2(norm2(head(x)))).flatten(1)
        return classifier(self.act3(self.hidden(x)) if self.kind.hidden else x)

    def where(self) -> dict[str, str]:
        """Our layer -> the module that computes it."""
        *_, classifier, blocks = self.outside
        inside = {
            f"block{number}": f"blocks.{stage}.{place}" if blocks == "blocks" else f"{blocks}.{number}"
            for number, stage, place in self.kind.numbered()
        }
        hidden = {"hidden": "act3"} if self.kind.hidden else {}
        return {"stem": "act1", **inside, "head": "act2", "avgpool": "global_pool", **hidden, "logits": classifier}


def flattened(layer: str, tensor: Any) -> Any:
    """The average as a vector."""
    return tensor.flatten(1) if layer == "avgpool" else tensor


def lite0() -> Named:
    """EfficientNet-Lite0 as published, with the names of its weight file."""
    rows = (
        ((32, 32, 16, 3, 1),),
        ((16, 96, 24, 3, 2), (24, 144, 24, 3, 1)),
        ((24, 144, 40, 5, 2), (40, 240, 40, 5, 1)),
        ((40, 240, 80, 3, 2), *[(80, 480, 80, 3, 1)] * 2),
        ((80, 480, 112, 5, 1), *[(112, 672, 112, 5, 1)] * 2),
        ((112, 672, 192, 5, 2), *[(192, 1152, 192, 5, 1)] * 3),
        ((192, 1152, 320, 3, 1),),
    )
    stages = tuple(tuple(Spec(*sizes, 0, nn.ReLU6) for sizes in stage) for stage in rows)
    return Named(Kind(stages, 1280, nn.ReLU6, epsilon=1e-3, same=True), ORIGINAL)
