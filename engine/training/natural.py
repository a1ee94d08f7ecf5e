"""The natural gradient: the step that lowers a loss most for the change that it makes in a model's answers.

With p the answers of the model to an image (the softmax of its logits) and J the derivative of the logits with respect
to the parameters, the divergence of the answers from what they are now is, for a small change d of the parameters,

    KL(p before || p now) ≈ ½ dᵀ F d,   F = mean over images of Jᵀ (diag p - p pᵀ) J,

and the step that lowers the loss (of gradient g) most among those of a given divergence r is

    d = - s x,   x = (F + λ I)⁻¹ g,   s = sqrt(2 r / xᵀ (F + λ I) x);

λ keeps a step finite where the answers do not change along it, so that r is what a step makes at most.

Where a model has to change in what its answers do not show, such as in the gradients with respect to the image, this
goes where an ordinary step cannot: one of equal length along g changes the answers long before anything else. (Amari,
Natural gradient works efficiently in learning, Neural Computation 1998; F by products alone: Martens, Deep learning via
Hessian-free optimization, ICML 2010; a step of given divergence: Schulman et al., Trust region policy optimization,
ICML 2015.)

F is taken over pictures of its own, ``PICTURES`` drawn anew for every step, because a batch is too few: what its
answers do not show, those of other pictures do. The inverse is taken by conjugate gradients, which are stopped after a
few rounds; directions in which F is small are the ones left out then, as λ would leave them.

Cost of a round, with a forward pass of a picture as the unit: 5 for each picture (forward, J v, forward, Jᵀ u of 2), in
passes of ``CHUNK`` so that memory does not grow with the number of pictures. A step is then ``ROUNDS`` + 2 of them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

ROUNDS = 20
PICTURES = 192
CHUNK = 16
DAMPING = 0.003  # λ, as a share of the curvature along the gradient

Product = Callable[[Any], Any]
Answers = Callable[[Any, jax.Array], jax.Array]


class Spared(NamedTuple):
    """What is to change little.

    Attributes:
        answers: parameters, statistics, images -> logits, images x classes; pure.
        images: as ``answers`` takes them; from those each step draws.
    """

    answers: Callable[[Any, Any, jax.Array], jax.Array]
    images: np.ndarray


def drawn(images: jax.Array, key: jax.Array) -> jax.Array:
    """``PICTURES`` of the images, or as many as there are, without repetition: chunks x at most ``CHUNK`` x ..."""
    chunk = min(CHUNK, len(images))
    chunks = min(PICTURES, len(images)) // chunk
    rows = jax.random.choice(key, len(images), (chunks, chunk), replace=False)
    return images[rows]


def natural_step(
    answers: Answers,
    params: Any,
    images: jax.Array,
    gradient: Any,
    trained: Any,
    divergence: jax.typing.ArrayLike,
) -> Any:
    """The change of the parameters.

    Args:
        answers: parameters, images -> images x classes, logits.
        images: chunks x images x ...
        params, gradient: trees of the same structure.
        trained: the same, of bool: where False nothing changes.
        divergence: r, nats, mean over images: the most that a step makes, up to what ½ dᵀ F d leaves out.

    Returns:
        d, like the parameters; zero where the gradient is.
    """
    fisher = fisher_of(answers, params, images)

    def restricted(tree: Any) -> Any:
        return jax.tree.map(lambda leaf, on: leaf if on else jnp.zeros_like(leaf), tree, trained)

    gradient = restricted(gradient)
    # Neither direction nor length depends on the gradient's length, which might under- or overflow in what follows.
    gradient = optax.tree.scale(_inverse(optax.tree.norm(gradient)), gradient)
    damping = DAMPING * fisher.square(gradient)

    def damped(vector: Any) -> Any:
        return optax.tree.add_scale(restricted(fisher.product(vector)), damping, vector)

    found = conjugate_gradients(damped, gradient, ROUNDS)
    square = fisher.square(found) + damping * optax.tree.vdot(found, found)
    return optax.tree.scale(-jnp.sqrt(2 * divergence * _inverse(square)), found)


class Fisher(NamedTuple):
    """F as above.

    Attributes:
        product: v -> F v.
        square: v -> vᵀ F v, as a mean of squares, which is not negative by rounding as v times F v can be.
    """

    product: Product
    square: Callable[[Any], jax.Array]


def fisher_of(answers: Answers, params: Any, images: jax.Array) -> Fisher:
    """F at these parameters; images: chunks x images x ..., all chunks weighing the same."""

    def mean_of_chunks(of_one: Callable[[jax.Array], Any]) -> Any:
        return jax.tree.map(lambda each: each.mean(0), jax.lax.map(of_one, images))

    def moved(chunk: jax.Array, vector: Any) -> tuple[jax.Array, jax.Array]:
        """Shares of the classes, and how far the change of each logit is from that of the others."""
        logits, change = jax.jvp(lambda given: answers(given, chunk), (params,), (vector,))
        wide = jnp.promote_types(logits.dtype, jnp.float32)
        shares, change = jax.nn.softmax(logits.astype(wide)), change.astype(wide)
        return shares, change - (shares * change).sum(-1, keepdims=True)

    def product(vector: Any) -> Any:
        def of_one(chunk: jax.Array) -> Any:
            shares, change = moved(chunk, vector)
            logits, backward = jax.vjp(lambda given: answers(given, chunk), params)
            return backward((shares * change / len(chunk)).astype(logits.dtype))[0]

        return mean_of_chunks(of_one)

    def square(vector: Any) -> jax.Array:
        def of_one(chunk: jax.Array) -> jax.Array:
            shares, change = moved(chunk, vector)
            return (shares * jnp.square(change)).sum(-1).mean()

        found: jax.Array = mean_of_chunks(of_one)
        return found

    return Fisher(product, square)


def conjugate_gradients(product: Product, wanted: Any, rounds: int) -> Any:
    """x with A x ≈ ``wanted`` after so many rounds from x = 0; A symmetric, positive definite, given by its products.

    Rounds after the residual has vanished change nothing, so that no more can be done than needed.
    """

    def round_(_: int, state: tuple[Any, Any, Any, jax.Array]) -> tuple[Any, Any, Any, jax.Array]:
        found, residual, direction, size = state
        along = product(direction)
        step = size * _inverse(optax.tree.vdot(direction, along))
        found = optax.tree.add_scale(found, step, direction)
        residual = optax.tree.add_scale(residual, -step, along)
        smaller = optax.tree.vdot(residual, residual)
        direction = optax.tree.add_scale(residual, smaller * _inverse(size), direction)
        return found, residual, direction, smaller

    start = (optax.tree.zeros_like(wanted), wanted, wanted, optax.tree.vdot(wanted, wanted))
    found: Any = jax.lax.fori_loop(0, rounds, round_, start)[0]
    return found


def _inverse(value: jax.Array) -> jax.Array:
    """0 for 0 and what is negative by rounding; NaN stays."""
    return jnp.where(value <= 0, 0.0, 1 / jnp.where(value <= 0, 1.0, value))
