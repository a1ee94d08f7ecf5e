"""VOneNets with the authors' tensor names, noise off."""

from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from tests.models.reference.cornet import AreaS, Decoder
from tests.models.reference.resnet import Block


class Front(nn.Module):
    """``output`` stands where the authors add noise."""

    def __init__(self, simple: int = 256, complex_: int = 256) -> None:
        super().__init__()
        self.simple = simple
        self.simple_conv_q0 = nn.Conv2d(3, simple + complex_, 25, 4, 12, bias=False)
        self.simple_conv_q1 = nn.Conv2d(3, simple + complex_, 25, 4, 12, bias=False)
        self.output = nn.ReLU()

    def forward(self, x: Any) -> Any:
        even, odd = self.simple_conv_q0(x), self.simple_conv_q1(x)
        rectified = torch.relu(even[:, : self.simple])
        energy = torch.hypot(even[:, self.simple :], odd[:, self.simple :]) / 2**0.5
        return self.output(25 * torch.cat([rectified, energy], 1))


class ResNetBehind(nn.Module):
    def __init__(self, depths: tuple[int, ...]) -> None:
        super().__init__()
        incoming = 64
        for stage, depth in enumerate(depths):
            width, blocks = 64 * 2**stage, []
            for index in range(depth):
                blocks.append(Block(incoming, width, 2 if stage and not index else 1, 4, 1, 64))
                incoming = width * 4
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.stages = len(depths)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(incoming, 1000)

    def forward(self, x: Any) -> Any:
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(self.avgpool(x).flatten(1))


def vonenet(behind: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(vone_block=Front(), bottleneck=nn.Conv2d(512, 64, 1, bias=False), model=behind))


def cornet_behind(widths: tuple[int, ...]) -> nn.Sequential:
    first, second, third, fourth = widths
    return nn.Sequential(
        OrderedDict(
            V2=AreaS(first, second, 2),
            V4=AreaS(second, third, 4),
            IT=AreaS(third, fourth, 2),
            decoder=Decoder(fourth),
        )
    )
