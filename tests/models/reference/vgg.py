"""VGG networks with torchvision's names."""

from typing import Any

from torch import nn


class VGG(nn.Module):
    def __init__(self, stages: tuple[tuple[int, ...], ...], hidden: int, *, norm: bool) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        incoming = 3
        for widths in stages:
            for width in widths:
                steps.append(nn.Conv2d(incoming, width, 3, padding=1))
                if norm:
                    steps.append(nn.BatchNorm2d(width))
                steps.append(nn.ReLU())
                incoming = width
            steps.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*steps)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(incoming * 49, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, 1000),
        )

    def forward(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))
