"""MaxViT with torchvision's names."""

from typing import Any

import torch
from torch import nn

from tests.models.reference.windows import attention, relative_bias


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Excitation(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Any) -> Any:
        squeezed = nn.functional.silu(self.fc1(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.fc2(squeezed))


class MBConv(nn.Module):
    def __init__(self, incoming: int, out: int, stride: int) -> None:
        super().__init__()
        inner = 4 * out
        self.proj: nn.Module = nn.Identity()
        if stride == 2:
            self.proj = nn.Sequential(nn.AvgPool2d(3, 2, 1), nn.Conv2d(incoming, out, 1))
        self.layers = nn.ModuleDict(
            {
                "pre_norm": norm(incoming),
                "conv_a": nn.Sequential(nn.Conv2d(incoming, inner, 1, bias=False), norm(inner), nn.GELU()),
                "conv_b": nn.Sequential(
                    nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), norm(inner), nn.GELU()
                ),
                "squeeze_excitation": Excitation(inner, out // 4),
                "conv_c": nn.Conv2d(inner, out, 1),
            }
        )

    def forward(self, x: Any) -> Any:
        y = x
        for layer in self.layers.values():
            y = layer(y)
        return self.proj(x) + y


class Attention(nn.Module):
    """Self-attention of images x positions x channels."""

    def __init__(self, channels: int, head: int, size: int) -> None:
        super().__init__()
        self.to_qkv, self.merge = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * size - 1) ** 2, channels // head))
        self.register_buffer("relative_position_index", torch.zeros(size**2, size**2, dtype=torch.long))
        self.heads, self.size = channels // head, size

    def forward(self, x: Any) -> Any:
        bias = relative_bias(self.relative_position_bias_table, self.size)
        return self.merge(attention(x, self.to_qkv, self.heads, bias, x.shape[-1] ** -0.5))


class Partition(nn.Module):
    """One group of positions at a time: neighbours, or (``grid``) those an equal number of positions apart."""

    def __init__(self, channels: int, head: int, size: int, grid: bool) -> None:
        super().__init__()
        self.attn_layer = nn.Sequential(nn.LayerNorm(channels), Attention(channels, head, size))
        self.mlp_layer = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )
        self.added, self.size, self.grid = nn.Identity(), size, grid

    def forward(self, x: Any) -> Any:
        x = x.movedim(1, -1)
        size, apart = self.size, x.shape[1] // self.size
        added = torch.zeros_like(x)
        for i in range(apart):
            for j in range(apart):
                rows, columns = slice(i * size, (i + 1) * size), slice(j * size, (j + 1) * size)
                if self.grid:
                    rows, columns = slice(i, None, apart), slice(j, None, apart)
                found = self.attn_layer(x[:, rows, columns].flatten(1, 2))
                added[:, rows, columns] = found.unflatten(1, (size, size))
        x = x + self.added(added)
        return (x + self.mlp_layer(x)).movedim(-1, 1)


class Layer(nn.Module):
    def __init__(self, incoming: int, out: int, stride: int, head: int, size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        self.layers.add_module("MBconv", MBConv(incoming, out, stride))
        self.layers.add_module("window_attention", Partition(out, head, size, False))
        self.layers.add_module("grid_attention", Partition(out, head, size, True))

    def forward(self, x: Any) -> Any:
        return self.layers(x)


class Stage(nn.Module):
    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


class MaxViT(nn.Module):
    def __init__(self, stem: int, channels: tuple[int, ...], depths: tuple[int, ...], head: int, size: int) -> None:
        super().__init__()
        first = nn.Sequential(nn.Conv2d(3, stem, 3, 2, 1, bias=False), norm(stem), nn.GELU())
        self.stem = nn.Sequential(first, nn.Sequential(nn.Conv2d(stem, stem, 3, 1, 1)))
        self.blocks = nn.ModuleList()
        incoming = stem
        for out, depth in zip(channels, depths, strict=True):
            layers: list[nn.Module] = []
            for index in range(depth):
                layers.append(Layer(incoming, out, 1 if index else 2, head, size))
                incoming = out
            self.blocks.append(Stage(layers))
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.LayerNorm(incoming),
            nn.Linear(incoming, incoming),
            nn.Tanh(),
            nn.Linear(incoming, 1000, bias=False),
        )

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.classifier(x)
