"""Vision transformers with timm's names, with torchvision's and with OpenAI's."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn


class QuickGelu(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * torch.sigmoid(1.702 * x)


class Scale(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Any) -> Any:
        return x * self.gamma


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels), heads

    def forward(self, x: Any) -> Any:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1)
        )
        weights = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(-1)
        return self.proj((weights @ value).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(
        self, channels: int, heads: int, epsilon: float, scaled: bool, activation: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels, epsilon), nn.LayerNorm(channels, epsilon)
        self.attn = Attention(channels, heads)
        self.ls1, self.ls2 = (Scale(channels) if scaled else nn.Identity() for _ in range(2))
        self.mlp = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(channels, 4 * channels),
                act=activation(),
                fc2=nn.Linear(4 * channels, channels),
            )
        )

    def forward(self, x: Any) -> Any:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    def __init__(self, channels: int, patch: int, bias: bool) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, patch, patch, bias=bias)

    def forward(self, x: Any) -> Any:
        return self.proj(x).flatten(2).transpose(1, 2)


class TimmViT(nn.Module):
    """``scaled``: layer scale; ``class_position``: false in DeiT III; ``clip``: the differences of CLIP's towers;
    ``distilled``: DeiT's second token and classifier; ``tanh``: the approximate GELU."""

    def __init__(
        self,
        channels: int,
        depth: int,
        heads: int,
        patch: int,
        image: int,
        outputs: int | None,
        *,
        epsilon: float = 1e-6,
        scaled: bool = False,
        class_position: bool = True,
        clip: bool = False,
        distilled: bool = False,
        tanh: bool = False,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(channels, patch, bias=not clip)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, channels)) if distilled else None
        self.head_dist = nn.Linear(channels, outputs) if distilled and outputs else None
        positions = (image // patch) ** 2 + class_position + distilled
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, channels))
        self.norm_pre = nn.LayerNorm(channels, epsilon) if clip else nn.Identity()
        activation = QuickGelu if clip else partial(nn.GELU, "tanh" if tanh else "none")
        self.blocks = nn.Sequential(*(Block(channels, heads, epsilon, scaled, activation) for _ in range(depth)))
        self.norm = nn.LayerNorm(channels, epsilon)
        self.head = nn.Linear(channels, outputs) if outputs else nn.Identity()
        self.class_position = class_position

    def forward(self, x: Any) -> Any:
        patches, token = self.patch_embed(x), self.cls_token.expand(len(x), -1, -1)
        if self.dist_token is not None:
            token = torch.cat([token, self.dist_token.expand(len(x), -1, -1)], 1)
        if self.class_position:
            x = torch.cat([token, patches], 1) + self.pos_embed
        else:
            x = torch.cat([token, patches + self.pos_embed], 1)
        x = self.norm(self.blocks(self.norm_pre(x)))
        if self.head_dist is None:
            return self.head(x[:, 0])
        return (self.head(x[:, 0]) + self.head_dist(x[:, 1])) / 2


class MultiheadBlock(nn.Module):
    """A block of torchvision's, or with ``clip`` of OpenAI's."""

    def __init__(self, channels: int, heads: int, clip: bool) -> None:
        super().__init__()
        epsilon = 1e-5 if clip else 1e-6
        self.ln_1, self.ln_2 = nn.LayerNorm(channels, epsilon), nn.LayerNorm(channels, epsilon)
        self.attention = "attn" if clip else "self_attention"
        setattr(self, self.attention, nn.MultiheadAttention(channels, heads, batch_first=True))
        names = ("c_fc", "gelu", "c_proj") if clip else ("0", "1", "3")
        parts = (
            nn.Linear(channels, 4 * channels),
            QuickGelu() if clip else nn.GELU(),
            nn.Linear(4 * channels, channels),
        )
        self.mlp = nn.Sequential(OrderedDict(zip(names, parts, strict=True)))

    def forward(self, x: Any) -> Any:
        y = self.ln_1(x)
        x = x + getattr(self, self.attention)(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class TorchvisionViT(nn.Module):
    def __init__(self, channels: int, depth: int, heads: int, patch: int, image: int, outputs: int) -> None:
        super().__init__()
        self.conv_proj = nn.Conv2d(3, channels, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.encoder = nn.Module()
        self.encoder.pos_embedding = nn.Parameter(torch.zeros(1, (image // patch) ** 2 + 1, channels))
        self.encoder.dropout = nn.Identity()
        blocks = {f"encoder_layer_{index}": MultiheadBlock(channels, heads, clip=False) for index in range(depth)}
        self.encoder.layers = nn.Sequential(OrderedDict(blocks))
        self.encoder.ln = nn.LayerNorm(channels, 1e-6)
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(channels, outputs)))

    def forward(self, x: Any) -> Any:
        x = torch.cat([self.class_token.expand(len(x), -1, -1), self.conv_proj(x).flatten(2).transpose(1, 2)], 1)
        x = self.encoder.dropout(x + self.encoder.pos_embedding)
        return self.heads(self.encoder.ln(self.encoder.layers(x))[:, 0])


class OpenAITower(nn.Module):
    def __init__(self, channels: int, depth: int, heads: int, patch: int, image: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(channels))
        self.positional_embedding = nn.Parameter(torch.zeros((image // patch) ** 2 + 1, channels))
        self.ln_pre, self.ln_post = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.Sequential(*(MultiheadBlock(channels, heads, clip=True) for _ in range(depth)))
        self.proj = nn.Parameter(torch.randn(channels, outputs) * channels**-0.5)

    def forward(self, x: Any) -> Any:
        token = self.class_embedding.expand(len(x), 1, -1)
        x = torch.cat([token, self.conv1(x).flatten(2).transpose(1, 2)], 1) + self.positional_embedding
        x = self.transformer.resblocks(self.ln_pre(x))
        return self.ln_post(x)[:, 0] @ self.proj


class OpenAIClip(nn.Module):
    """The tower inside the whole model, with something of the text tower, whose names are those of a tower too."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.visual = tower
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.Sequential(MultiheadBlock(16, 2, clip=True))
        self.positional_embedding = nn.Parameter(torch.randn(5, 16))
        self.logit_scale = nn.Parameter(torch.ones([]))

    def forward(self, x: Any) -> Any:
        return self.visual(x)
