"""Attention over a set of tokens (Vaswani et al., NeurIPS 2017)."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from models.parts.convolution import PRECISION
from models.parts.linear import Linear
from models.parts.precision import as_given, widened


def attend(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    """softmax(q k^T / sqrt(width)) v; equals ``torch.nn.functional.scaled_dot_product_attention``.

    Images x heads x tokens x width; key and value may have other tokens than query.
    """
    scores = widened(jnp.einsum("nhqc,nhkc->nhqk", query * query.shape[-1] ** -0.5, key, precision=PRECISION))
    # Divided by their sum only after the product, which has fewer elements than there are weights. The largest score
    # cancels in that, and in the gradient.
    weights = jnp.exp(scores - lax.stop_gradient(scores.max(-1, keepdims=True)))
    total = weights.sum(-1)[..., None]
    found = jnp.einsum("nhqk,nhkc->nhqc", as_given(weights, value), value, precision=PRECISION)
    return as_given(found / total, value)


class Attention(nnx.Module):
    """Multi-head self-attention over images x tokens x channels, with timm's names.

    ``qkv`` computes queries, keys and values at once, each with its heads in a row.
    """

    def __init__(self, channels: int, heads: int, rngs: nnx.Rngs) -> None:
        self.qkv = Linear(channels, 3 * channels, rngs)
        self.proj = Linear(channels, channels, rngs)
        self.heads = heads

    def __call__(self, x: jax.Array) -> jax.Array:
        images, tokens, channels = x.shape
        parts = self.qkv(x).reshape(images, tokens, 3, self.heads, channels // self.heads)
        # One transposition of all, after which both products run over contiguous matrices.
        query, key, value = parts.transpose(2, 0, 3, 1, 4)
        return self.proj(_heads_joined(attend(query, key, value)))


def _heads_joined(x: jax.Array) -> jax.Array:
    """Images x heads x tokens x width -> images x tokens x channels."""
    return x.transpose(0, 2, 1, 3).reshape(len(x), x.shape[2], -1)


class AttentionPool(nnx.Module):
    """CLIP's pooling: the mean position attends to all positions; images x height x width x channels -> images x out.

    With OpenAI's names. ``positional_embedding``: of the mean and of a grid of ``grid`` x ``grid`` positions.
    """

    def __init__(self, channels: int, out: int, heads: int, grid: int, rngs: nnx.Rngs) -> None:
        deviation = nnx.initializers.normal(channels**-0.5)
        self.positional_embedding = nnx.Param(deviation(rngs.params(), (grid**2 + 1, channels), jnp.float32))
        self.q_proj = Linear(channels, channels, rngs)
        self.k_proj = Linear(channels, channels, rngs)
        self.v_proj = Linear(channels, channels, rngs)
        self.c_proj = Linear(channels, out, rngs)
        self.heads = heads

    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        x = x.reshape(len(x), -1, channels)
        x = jnp.concatenate([x.mean(1, keepdims=True), x], axis=1) + self.positional_embedding[...]
        query, key, value = (
            part.reshape(len(x), -1, self.heads, channels // self.heads).transpose(0, 2, 1, 3)
            for part in (self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x))
        )
        return self.c_proj(_heads_joined(attend(query, key, value))[:, 0])
