"""Pointwise functions."""

import math

import jax
import jax.numpy as jnp
from jax import lax


def gelu(x: jax.Array) -> jax.Array:
    """x times the normal distribution function; equals ``torch.nn.functional.gelu``, its exact form.

    Through erf as PyTorch computes it; ``jax.nn.gelu`` goes through erfc, which costs several times as much.
    """
    return 0.5 * x * (1 + lax.erf(x * math.sqrt(0.5)))


def tanh_gelu(x: jax.Array) -> jax.Array:
    """GELU approximated by tanh; equals ``torch.nn.functional.gelu(x, approximate="tanh")``."""
    return 0.5 * x * (1 + lax.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def root(x: jax.Array) -> jax.Array:
    """Square root, with derivatives of 0 at 0, where they are infinite (and of an energy undefined)."""
    zero = x == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, x)))


def quick_gelu(x: jax.Array) -> jax.Array:
    """x sigmoid(1.702 x), CLIP's substitute for GELU."""
    return x * jax.nn.sigmoid(1.702 * x)
