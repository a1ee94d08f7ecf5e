"""How far a layer is from recorded responses over one batch of stimuli, differentiably.

Every term takes activations (b x ...; flattened to b x p) and responses (b x q, NaN where missing) and gives a scalar
that falls as the two come closer. With X and Y centred over the batch, K = X Xᵀ and L = Y Yᵀ:

    log_cka      log(1 - CKA)            CKA = <K, L> / (|K| |L|)
    similarity   mean over pairs i < j of (arctanh s_ij - arctanh t_ij)²    s_ij = k_ij / sqrt(k_ii k_jj), t of L alike
    ridge        sum of squared leave-one-out residuals / sum of squares of Y, mean over neuroids
    linear       the same share of a linear readout whose weights are trained with the model

A batch is compared as a whole, so each neuroid needs a response to all its stimuli: one that lacks some is left out of
this batch (of ``linear``, which takes each response by itself, only the missing ones are). So the neuroids of several
sessions fit into one array, NaN outside their own session. A batch without anything to compare gives the value of an
unrelated layer (``log_cka`` 0, ``similarity`` 0, ``ridge`` and ``linear`` 0) and no gradient.

All is computed in float32 (float64 if given) at the highest precision, whatever the model computes in.
Cost: 2 b² (p + q) flops, and b³ for ``ridge``; backwards twice that.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

FLOOR = 1e-8
"""Least 1 - CKA: the gradient of its logarithm grows as 1 / sqrt(1 - CKA) without bound."""
SHRINK = 1 - 1e-4
"""Factor of cosines before arctanh, which is infinite for the same picture twice in a batch."""
RIDGE = 0.1
"""Penalty of the ridge readout as a share of the mean diagonal of K, so that scaling a layer changes nothing."""


def log_cka(activations: jax.Array, responses: jax.Array) -> jax.Array:
    """log(1 - CKA) with linear, biased CKA: the loss of Dapello et al., ICLR 2023, up to ``FLOOR`` added to 1 - CKA.

    With K and L scaled to norm 1, 1 - CKA = |K - L|² / 2 exactly; this form does not cancel as CKA approaches 1, where
    1 - <K, L> in float32 has no digit left below 1e-7. Biased CKA of few stimuli and many units is high for unrelated
    data too (see :mod:`engine.metrics.cka`), so its value says little; compare it with that of a control.
    """
    x, y = _centred(activations, responses)
    k, known_x = _unit(_gram(x))
    l, known_y = _unit(_gram(y))  # noqa: E741  as in the formula
    apart = jnp.sum((k - l) ** 2) / 2
    both = known_x & known_y
    return jnp.where(both, jnp.log(jnp.where(both, apart, 1.0) + FLOOR), 0.0)


def similarity(activations: jax.Array, responses: jax.Array) -> jax.Array:
    """Squared difference of the two similarity matrices, Li et al., NeurIPS 2019, equations 6 and 10 for one layer.

    Similarities are cosines between stimuli, of features centred over the stimuli (here: of the batch), stretched by
    arctanh. Cosines are first multiplied by ``SHRINK``. Their weights of neurons by reliability are a scaling of
    ``responses`` beforehand; for their learnt mixture of layers give one term for each layer. Federer et al. (Neural
    Networks 2020; arXiv 1905.10679) match similarity matrices by the same principle; the formula here is Li's.
    Pairs with a stimulus whose activations or responses equal the mean of the batch are left out.
    """
    x, y = _centred(activations, responses)
    s, defined_x = _cosines(_gram(x))
    t, defined_y = _cosines(_gram(y))
    pairs = jnp.triu(defined_x & defined_y, k=1)
    difference = jnp.where(pairs, jnp.arctanh(SHRINK * s) - jnp.arctanh(SHRINK * t), 0.0)
    return jnp.sum(difference**2) / jnp.maximum(jnp.sum(pairs), 1)


def ridge(activations: jax.Array, responses: jax.Array) -> jax.Array:
    """Share of the responses' variance that ridge regression on the layer does not predict, leaving out one stimulus.

    Nothing is trained beside the model: each stimulus of the batch is predicted from the others in closed form. With
    G = (K' + a 1)⁻¹, K' the kernel and a = ``RIDGE`` mean(diag K), and with the unpenalised intercept taken out of G,
    the residual of stimulus i is (G Y)_i / G_ii. Equals refitting scikit-learn's ``Ridge(a)`` without each stimulus.
    Predicting the mean of the others gives (b / (b - 1))², a little above 1.
    """
    x, y = _centred(activations, responses)
    k = _gram(x)
    b = len(k)
    scale = jnp.trace(k) / b
    # Of constant activations nothing can be predicted but the mean: any kernel of zeros with a penalty says so.
    penalty = jnp.where(scale > 0, RIDGE * scale, 1.0)
    inverse = jnp.linalg.inv(k + penalty * jnp.eye(b, dtype=k.dtype))
    # K has the constant direction in its null space, so taking the intercept out is one rank-one term.
    inverse -= 1 / (b * penalty)
    residuals = jnp.matmul(inverse, y, precision="highest") / jnp.diagonal(inverse)[:, None]
    return _unexplained(residuals**2, y**2)


def linear(activations: jax.Array, responses: jax.Array, readout: Any) -> jax.Array:
    """Share of the responses' variance that a readout trained with the model leaves: sum (y - x w - b)² / sum (y - m)².

    m is the mean of the neuroid over the batch; mean over neuroids that vary in the batch. Missing responses count
    nowhere. ``readout`` is trained as the model is, see :func:`readout_parameters`. Activations are divided by the root
    of their number, so that the step size that suits a readout does not depend on the width of the layer.
    """
    x = _flat(activations)
    y = responses.astype(x.dtype)
    present = jnp.isfinite(y)
    y = jnp.where(present, y, 0.0)
    mean = jnp.sum(y, axis=0) / jnp.maximum(jnp.sum(present, axis=0), 1)
    predicted = jnp.matmul(x / jnp.sqrt(x.shape[1]), readout["weight"], precision="highest") + readout["bias"]
    return _unexplained(jnp.where(present, y - predicted, 0.0) ** 2, jnp.where(present, y - mean, 0.0) ** 2)


def readout_parameters(units: int, neuroids: int) -> dict[str, jax.Array]:
    """Of ``linear``: ``weight`` (units x neuroids) and ``bias`` (neuroids), zeros. The model's gradient starts at 0."""
    return {"weight": jnp.zeros((units, neuroids), jnp.float32), "bias": jnp.zeros(neuroids, jnp.float32)}


TERMS: dict[str, Callable[..., jax.Array]] = {
    "log_cka": log_cka,
    "similarity": similarity,
    "ridge": ridge,
    "linear": linear,
}
"""Kind -> term; ``linear`` takes its readout as a third argument."""


def _flat(activations: jax.Array) -> jax.Array:
    x = activations.reshape(len(activations), -1)
    return x if x.dtype == jnp.float64 else x.astype(jnp.float32)


def _centred(activations: jax.Array, responses: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Both centred over the batch; neuroids without all responses as zeros, which add nothing to L."""
    x = _flat(activations)
    y = responses.astype(x.dtype)
    y = jnp.where(jnp.all(jnp.isfinite(y), axis=0), y, 0.0)
    return x - x.mean(axis=0), y - y.mean(axis=0)


def _gram(x: jax.Array) -> jax.Array:
    return jnp.matmul(x, x.T, precision="highest")


def _unit(gram: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The matrix scaled to Frobenius norm 1, and whether it is not zero."""
    trace = jnp.trace(gram)
    known = trace > 0
    scaled = gram / jnp.where(known, trace, 1.0)  # first by the trace: squares of small numbers vanish in float32
    return scaled / jnp.sqrt(jnp.where(known, jnp.sum(scaled**2), 1.0)), known


def _cosines(gram: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cosines between rows, and where both rows have a length."""
    squared = jnp.diagonal(gram)
    known = squared > 0
    length = jnp.sqrt(jnp.where(known, squared, 1.0))
    return jnp.clip(gram / length[:, None] / length, -1.0, 1.0), known[:, None] & known


def _unexplained(error: jax.Array, total: jax.Array) -> jax.Array:
    """Mean over neuroids of summed error / summed squares, where those are not zero."""
    squares = jnp.sum(total, axis=0)
    varying = squares > 0
    share = jnp.where(varying, jnp.sum(error, axis=0) / jnp.where(varying, squares, 1.0), 0.0)
    return jnp.sum(share) / jnp.maximum(jnp.sum(varying), 1)
