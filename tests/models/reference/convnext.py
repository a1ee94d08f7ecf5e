"""ConvNeXt with torchvision's names."""

from typing import Any

import torch
from torch import nn


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of a map."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Any) -> Any:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.ones(channels, 1, 1))
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            nn.Identity(),
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
        )

    def forward(self, x: Any) -> Any:
        y = self.block[0](x).movedim(1, -1)
        return x + self.layer_scale * self.block[1:](y).movedim(-1, 1)


class ConvNeXt(nn.Module):
    def __init__(self, channels: tuple[int, ...], depths: tuple[int, ...]) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, channels[0], 4, 4), ChannelNorm(channels[0]))]
        for stage, depth in enumerate(depths):
            if stage:
                before, after = channels[stage - 1 : stage + 1]
                parts.append(nn.Sequential(ChannelNorm(before), nn.Conv2d(before, after, 2, 2)))
            parts.append(nn.Sequential(*(Block(channels[stage]) for _ in range(depth))))
        self.features, self.avgpool = nn.Sequential(*parts), nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(ChannelNorm(channels[-1]), nn.Flatten(), nn.Linear(channels[-1], 1000))

    def forward(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.features(x)))
