"""SqueezeNet with torchvision's names."""

from typing import Any

import torch
from torch import nn


class Fire(nn.Module):
    def __init__(self, incoming: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze, self.squeeze_activation = nn.Conv2d(incoming, squeezed, 1), nn.ReLU()
        self.expand1x1, self.expand1x1_activation = nn.Conv2d(squeezed, expanded, 1), nn.ReLU()
        self.expand3x3, self.expand3x3_activation = nn.Conv2d(squeezed, expanded, 3, padding=1), nn.ReLU()

    def forward(self, x: Any) -> Any:
        x = self.squeeze_activation(self.squeeze(x))
        halves = [self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))]
        return torch.cat(halves, 1)


class SqueezeNet(nn.Module):
    """``steps``: for each place after the stem, a fire module's two widths, or None for a maximum."""

    def __init__(self, stem: int, kernel: int, steps: tuple[tuple[int, int] | None, ...]) -> None:
        super().__init__()
        features: list[nn.Module] = [nn.Conv2d(3, stem, kernel, 2), nn.ReLU()]
        incoming = stem
        for step in steps:
            if step is None:
                features.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            else:
                features.append(Fire(incoming, *step))
                incoming = 2 * step[1]
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(), nn.Conv2d(incoming, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x)).flatten(1)
