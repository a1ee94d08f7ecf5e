"""CORnet-Z, -RT and -S with the authors' tensor names; what an area puts out at each time step passes a module of its
own (``V4.output.2``), so that it can be observed."""

from collections import OrderedDict
from typing import Any

import torch
from torch import nn
from torch.nn import functional

AREAS = ("V1", "V2", "V4", "IT")


def steps(count: int) -> nn.Sequential:
    """One identity per time step."""
    return nn.Sequential(*(nn.Identity() for _ in range(count)))


class Decoder(nn.Module):
    def __init__(self, incoming: int) -> None:
        super().__init__()
        self.avgpool, self.linear = nn.AdaptiveAvgPool2d(1), nn.Linear(incoming, 1000)

    def forward(self, x: Any) -> Any:
        return self.linear(self.avgpool(x).flatten(1))


class Z(nn.Sequential):
    def __init__(self, widths: tuple[int, ...]) -> None:
        areas, incoming = OrderedDict[str, nn.Module](), 3
        for area, width in zip(AREAS, widths, strict=True):
            kernel, stride = (7, 2) if area == "V1" else (3, 1)
            areas[area] = nn.Sequential(
                OrderedDict(
                    conv=nn.Conv2d(incoming, width, kernel, stride, kernel // 2),
                    nonlin=nn.ReLU(),
                    pool=nn.MaxPool2d(3, 2, 1),
                    output=steps(1),
                )
            )
            incoming = width
        super().__init__(areas | {"decoder": Decoder(incoming)})


class AreaRT(nn.Module):
    def __init__(self, incoming: int, out: int, kernel: int, stride: int, count: int) -> None:
        super().__init__()
        self.output = steps(count)
        self.conv_input = nn.Conv2d(incoming, out, kernel, stride, kernel // 2)
        self.norm_input = nn.GroupNorm(32, out)
        self.conv1 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(32, out)

    def forward(self, below: Any, before: Any, step: int, silent: bool) -> Any:
        driven = torch.relu(self.norm_input(self.conv_input(below)))
        if silent:
            driven = torch.zeros_like(driven)
        return self.output[step](torch.relu(self.norm1(self.conv1(driven + before))))


class RT(nn.Module):
    def __init__(self, widths: tuple[int, ...], count: int = 5) -> None:
        super().__init__()
        self.count, incoming = count, 3
        for area, width in zip(AREAS, widths, strict=True):
            kernel, stride = (7, 4) if area == "V1" else (3, 2)
            setattr(self, area, AreaRT(incoming, width, kernel, stride, count))
            incoming = width
        self.decoder = Decoder(incoming)

    def forward(self, image: Any) -> Any:
        outputs: list[Any] = [0, 0, 0, 0]
        for step in range(self.count):
            # At step 0 nothing has been put out: an area above V1 is given something of the right shape and ignores it.
            below = [image, *outputs[:-1]]
            for index, area in enumerate(AREAS):
                silent = step == 0 and index > 0
                given = outputs[index - 1] if silent else below[index]
                outputs[index] = getattr(self, area)(given, outputs[index], step, silent)
        return self.decoder(outputs[-1])


class AreaS(nn.Module):
    def __init__(self, incoming: int, out: int, count: int) -> None:
        super().__init__()
        self.output = steps(count)
        inner = out * 4
        self.conv_input = nn.Conv2d(incoming, out, 1, bias=False)
        self.skip, self.norm_skip = nn.Conv2d(out, out, 1, 2, bias=False), nn.BatchNorm2d(out)
        self.conv1 = nn.Conv2d(out, inner, 1, bias=False)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        for step in range(count):
            for number, channels in ((1, inner), (2, inner), (3, out)):
                setattr(self, f"norm{number}_{step}", nn.BatchNorm2d(channels))

    def forward(self, x: Any) -> Any:
        x = self.conv_input(x)
        for step, identity in enumerate(self.output):
            beside = x if step else self.norm_skip(self.skip(x))
            x = torch.relu(getattr(self, f"norm1_{step}")(self.conv1(x)))
            x = functional.conv2d(x, self.conv2.weight, stride=1 if step else 2, padding=1)
            x = torch.relu(getattr(self, f"norm2_{step}")(x))
            x = identity(torch.relu(getattr(self, f"norm3_{step}")(self.conv3(x)) + beside))
        return x


class S(nn.Sequential):
    def __init__(self, widths: tuple[int, ...]) -> None:
        first, second, third, fourth = widths
        v1 = OrderedDict[str, nn.Module](
            conv1=nn.Conv2d(3, first, 7, 2, 3, bias=False),
            norm1=nn.BatchNorm2d(first),
            nonlin1=nn.ReLU(),
            pool=nn.MaxPool2d(3, 2, 1),
            conv2=nn.Conv2d(first, first, 3, 1, 1, bias=False),
            norm2=nn.BatchNorm2d(first),
            nonlin2=nn.ReLU(),
            output=steps(1),
        )
        super().__init__(
            OrderedDict(
                V1=nn.Sequential(v1),
                V2=AreaS(first, second, 2),
                V4=AreaS(second, third, 4),
                IT=AreaS(third, fourth, 2),
                decoder=Decoder(fourth),
            )
        )
