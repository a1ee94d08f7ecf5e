"""Pointwise functions of transformers."""

import math

import jax
from jax import lax


def gelu(x: jax.Array) -> jax.Array:
    """x times the normal distribution function; equals ``torch.nn.functional.gelu``, its exact form.

    Through erf as PyTorch computes it; ``jax.nn.gelu`` goes through erfc, which costs several times as much.
    """
    return 0.5 * x * (1 + lax.erf(x * math.sqrt(0.5)))


def quick_gelu(x: jax.Array) -> jax.Array:
    """x sigmoid(1.702 x), CLIP's substitute for GELU."""
    return x * jax.nn.sigmoid(1.702 * x)
