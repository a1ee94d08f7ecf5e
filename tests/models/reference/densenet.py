"""Densely connected networks with torchvision's names."""

from typing import Any

import torch
from torch import nn


class DenseLayer(nn.Module):
    def __init__(self, incoming: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(incoming)
        self.conv1 = nn.Conv2d(incoming, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Any) -> Any:
        return self.conv2(torch.relu(self.norm2(self.conv1(torch.relu(self.norm1(x))))))


class DenseBlock(nn.Module):
    def __init__(self, depth: int, incoming: int, growth: int) -> None:
        super().__init__()
        for index in range(depth):
            self.add_module(f"denselayer{index + 1}", DenseLayer(incoming + index * growth, growth))

    def forward(self, x: Any) -> Any:
        for layer in self.children():
            x = torch.cat([x, layer(x)], 1)
        return x


class Transition(nn.Sequential):
    def __init__(self, incoming: int) -> None:
        super().__init__()
        self.norm, self.relu = nn.BatchNorm2d(incoming), nn.ReLU()
        self.conv, self.pool = nn.Conv2d(incoming, incoming // 2, 1, bias=False), nn.AvgPool2d(2, 2)


class DenseNet(nn.Module):
    def __init__(self, growth: int, blocks: tuple[int, ...], stem: int) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.conv0 = nn.Conv2d(3, stem, 7, 2, 3, bias=False)
        self.features.norm0, self.features.relu0 = nn.BatchNorm2d(stem), nn.ReLU()
        self.features.pool0 = nn.MaxPool2d(3, 2, 1)
        channels = stem
        for number, depth in enumerate(blocks, 1):
            self.features.add_module(f"denseblock{number}", DenseBlock(depth, channels, growth))
            channels += depth * growth
            if number < len(blocks):
                self.features.add_module(f"transition{number}", Transition(channels))
                channels //= 2
        self.features.norm5, self.relu5 = nn.BatchNorm2d(channels), nn.ReLU()
        self.avgpool, self.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(channels, 1000)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.relu5(self.features(x))).flatten(1))
