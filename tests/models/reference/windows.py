"""Attention over groups of positions with a bias for every relative position, one group at a time."""

from typing import Any

import torch
from torch.nn import functional


def relative_bias(table: Any, size: int) -> Any:
    """heads x size² x size²: entry (p, q) is the row of the table for the offset from q to p."""
    places = [(row, column) for row in range(size) for column in range(size)]
    side = 2 * size - 1
    rows = [[(a - c + size - 1) * side + b - d + size - 1 for c, d in places] for a, b in places]
    return table[torch.tensor(rows)].permute(2, 0, 1)


def attention(group: Any, qkv: Any, heads: int, bias: Any, scale: float) -> Any:
    """images x positions x channels -> the same, before the last product."""
    count, positions, channels = group.shape
    query, key, value = (
        part.view(count, positions, heads, channels // heads).transpose(1, 2) for part in qkv(group).chunk(3, dim=-1)
    )
    found = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scale)
    return found.transpose(1, 2).reshape(count, positions, channels)
