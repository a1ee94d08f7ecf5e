"""The contrastive loss of SimCLR."""

import jax
import jax.numpy as jnp


def nt_xent(first: jax.Array, second: jax.Array, temperature: float) -> tuple[jax.Array, jax.Array]:
    """NT-Xent, Chen, Kornblith, Norouzi & Hinton, ICML 2020, equation 1, and how often the right view is the nearest.

    Of 2 b embeddings z, two for each picture, with s the cosine of two of them over the temperature:

        loss = mean over i of  log sum over k != i of exp(s_ik)  -  s_i,j(i)        j(i): the other view of i's picture

    Equals ``optax.losses.ntxent`` of both views with the pictures' numbers as labels, in 16 b² bytes instead of that
    times the width, which it broadcasts. Cost: 8 b² d flops.

    Args:
        first, second: b x d, one view of each picture and the other.
        temperature: by which cosines are divided; 0.1 for large batches, 0.5 for small ones (their appendix B.7).

    Returns:
        Scalars: the loss, from 0 (without end as the temperature falls), log(2 b - 1) where all are alike; and the
        share of views whose largest cosine is that with the other view of their picture.
    """
    z = jnp.concatenate([first, second]).astype(jnp.promote_types(first.dtype, jnp.float32))
    squares = jnp.sum(z**2, axis=1, keepdims=True)
    # An embedding of zeros, as a dead projection gives, has no direction: its cosines are 0, and so is its gradient.
    z = z * jnp.where(squares > 0, jax.lax.rsqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)
    cosines = jnp.matmul(z, z.T, precision="highest") / temperature
    others = jnp.where(jnp.eye(len(z), dtype=bool), -jnp.inf, cosines)
    partner = jnp.roll(jnp.arange(len(z)), len(first))
    positive = jnp.take_along_axis(others, partner[:, None], axis=1)[:, 0]
    loss = jnp.mean(jax.nn.logsumexp(others, axis=1) - positive)
    return loss, jnp.mean(jnp.argmax(others, axis=1) == partner, dtype=z.dtype)
