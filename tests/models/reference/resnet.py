"""Residual networks with torchvision's names."""

from typing import Any

import torch
from torch import nn


class Block(nn.Module):
    """Basic where ``expansion`` is 1, else a bottleneck with the stride in its 3x3 convolution."""

    def __init__(self, incoming: int, width: int, stride: int, expansion: int, groups: int, base: int) -> None:
        super().__init__()
        out = width * expansion
        if expansion == 1:
            sizes = [(incoming, width, 3, stride, 1), (width, width, 3, 1, 1)]
        else:
            inner = width * base // 64 * groups
            sizes = [(incoming, inner, 1, 1, 1), (inner, inner, 3, stride, groups), (inner, out, 1, 1, 1)]
        for number, (before, after, kernel, step, parts) in enumerate(sizes, 1):
            conv = nn.Conv2d(before, after, kernel, step, padding=kernel // 2, groups=parts, bias=False)
            setattr(self, f"conv{number}", conv)
            setattr(self, f"bn{number}", nn.BatchNorm2d(after))
        self.count, self.downsample = len(sizes), None
        if stride != 1 or incoming != out:
            self.downsample = nn.Sequential(nn.Conv2d(incoming, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Any) -> Any:
        y = x
        for number in range(1, self.count + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            if number < self.count:
                y = torch.relu(y)
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, depths: tuple[int, ...], expansion: int, groups: int = 1, base: int = 64) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        incoming = 64
        for stage, depth in enumerate(depths):
            width = 64 * 2**stage
            blocks = []
            for index in range(depth):
                stride = 2 if stage and not index else 1
                blocks.append(Block(incoming, width, stride, expansion, groups, base))
                incoming = width * expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(incoming, 1000)

    def forward(self, x: Any) -> Any:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))
