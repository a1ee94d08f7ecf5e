"""Activations of 16 bits (bfloat16), where what is done to them needs more.

Means, variances and the sums of attention are taken in float32, and what comes out has 16 bits again. Both functions do
nothing to numbers of 32 or 64 bits.
"""

import jax
import jax.numpy as jnp


def widened(x: jax.Array) -> jax.Array:
    """Numbers of 16 bits as float32."""
    return x.astype(jnp.float32) if x.dtype.itemsize < 4 else x


def as_given(y: jax.Array, x: jax.Array) -> jax.Array:
    """``y`` with 16 bits where ``x`` has them."""
    return y.astype(x.dtype) if x.dtype.itemsize < 4 else y
