"""Swin Transformer with torchvision's names. Between modules maps are images x channels x height x width."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tests.models.reference.windows import attention, relative_bias


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of a map."""

    def forward(self, x: Any) -> Any:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class WindowAttention(nn.Module):
    """images x height x width x channels -> the same."""

    def __init__(self, channels: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", torch.zeros(window**4, dtype=torch.long))
        self.heads, self.window, self.shift = heads, window, shift

    def forward(self, x: Any) -> Any:
        _, height, width, channels = x.shape
        size = self.window
        x = functional.pad(x, (0, 0, 0, -width % size, 0, -height % size))
        rows, columns = x.shape[1:3]
        down, right = (self.shift if length > size else 0 for length in (rows, columns))
        # Where each position of the shifted map comes from; those that were moved around a border.
        source_rows = (torch.arange(rows) + down) % rows
        source_columns = (torch.arange(columns) + right) % columns
        bias = relative_bias(self.relative_position_bias_table, size)
        out = torch.zeros_like(x)
        for i in range(0, rows, size):
            for j in range(0, columns, size):
                here_rows, here_columns = source_rows[i : i + size], source_columns[j : j + size]
                group = x[:, here_rows][:, :, here_columns].flatten(1, 2)
                region = 2 * (here_rows < i)[:, None] + (here_columns < j)[None, :].long()
                apart = region.flatten()[:, None] != region.flatten()[None, :]
                found = attention(group, self.qkv, self.heads, bias - 100.0 * apart, (channels // self.heads) ** -0.5)
                found = self.proj(found).unflatten(1, (size, size))
                out[:, here_rows[:, None], here_columns[None, :]] = found
        return out[:, :height, :width]


class Block(nn.Module):
    def __init__(self, channels: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads, window, shift)
        hidden = 4 * channels
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, channels), nn.Identity()
        )

    def forward(self, x: Any) -> Any:
        x = x.movedim(1, -1)
        x = x + self.attn(self.norm1(x))
        return (x + self.mlp(self.norm2(x))).movedim(-1, 1)


class Merging(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction, self.norm = nn.Linear(4 * channels, 2 * channels, bias=False), nn.LayerNorm(4 * channels)

    def forward(self, x: Any) -> Any:
        x = functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        corners = [x[:, :, 0::2, 0::2], x[:, :, 1::2, 0::2], x[:, :, 0::2, 1::2], x[:, :, 1::2, 1::2]]
        return self.reduction(self.norm(torch.cat(corners, dim=1).movedim(1, -1))).movedim(-1, 1)


class Swin(nn.Module):
    def __init__(self, channels: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, channels, 4, 4), nn.Identity(), ChannelNorm(channels))]
        for stage, depth in enumerate(depths):
            if stage:
                parts.append(Merging(channels))
                channels *= 2
            blocks = [Block(channels, heads[stage], window, index % 2 * (window // 2)) for index in range(depth)]
            parts.append(nn.Sequential(*blocks))
        self.features, self.norm = nn.Sequential(*parts), ChannelNorm(channels)
        self.avgpool, self.flatten, self.head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)

    def forward(self, x: Any) -> Any:
        return self.head(self.flatten(self.avgpool(self.norm(self.features(x)))))
