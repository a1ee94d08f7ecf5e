"""Which way a ridge problem is solved, decided by its shape alone.

Nested k-fold of few folds: shared elimination steps (``elimination.py``). Any other design: blocks of one inverse
(``inverse.py``). Few units: the primal side (``primal.py``).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from engine.errors import InputError
from engine.solvers import elimination, inverse, primal
from engine.solvers.folds import Split, check_splits, shared_partition
from engine.solvers.nested import Rules
from engine.solvers.targets import Route

PRECISIONS = (np.float32, np.float64)  # of kernels and features; no backend factorises in less
LAYERS = 2**30  # bytes of factors that layers solved side by side on an accelerator may take


def prefers_primal(stimuli: int, units: int) -> bool:
    """Whether units x units work is cheaper than stimuli x stimuli work.

    In nested 5-fold the primal side factorises 25 training sets, 25 (p^3 / 3 + 2 p^2 t); the dual side takes
    1.6 n^3 + 5 n^2 t (``elimination.py``), most of it in products. They meet near p = n / 3.
    """
    return 3 * units < stimuli


def check_kernel(kernel: jax.Array, dimensions: int) -> None:
    """Raises InputError unless the last two axes are a square of finite real numbers in float32 or float64."""
    if kernel.ndim != dimensions or kernel.shape[-1] != kernel.shape[-2] or kernel.dtype not in PRECISIONS:
        layers = "layers x " if dimensions == 3 else ""
        raise InputError(
            f"wanted a square kernel of real numbers, {layers}stimuli x stimuli, got {kernel.dtype} of shape "
            f"{kernel.shape}; float32 and float64 can be solved"
        )
    if not bool(jnp.isfinite(kernel).all()):
        raise InputError("the kernel holds NaN or infinity; check the features it was computed from")


def check_features(features: jax.Array) -> None:
    """Raises InputError unless these are finite real numbers, stimuli x units."""
    if features.ndim != 2 or not features.size or features.dtype not in PRECISIONS:
        raise InputError(
            f"wanted features of real numbers, stimuli x units, got {features.dtype} of shape {features.shape}; "
            "float32 and float64 can be solved"
        )
    if not bool(jnp.isfinite(features).all()):
        raise InputError("the features hold NaN or infinity")


def layers_together(kernels: jax.Array | np.ndarray, splits: Sequence[Split]) -> int:
    """How many layers are solved side by side: batched products are slow on CPUs, and memory bounds the rest."""
    parts = shared_partition(check_splits(splits, kernels.shape[-1]))
    if jax.default_backend() == "cpu" or parts is None or len(parts) > elimination.MAX_FOLDS:
        return 1
    return min(len(kernels), max(1, LAYERS // (elimination.FACTORS * kernels[0].nbytes)))


def dual(
    kernel: jax.Array,
    stimuli: np.ndarray,
    splits: list[Split],
    targets: int,
    dtype: np.dtype,
    mesh: Mesh,
    rules: Rules,
) -> tuple[Route, np.ndarray]:
    """The way from a kernel, or from kernels of several layers, as ``nested.Source`` wants it."""
    centred, norms = deflated(kernel[..., stimuli[:, None], stimuli])
    resolution = np.asarray(norms, np.float64) * np.finfo(kernel.dtype).eps
    parts = shared_partition(splits)
    if parts is not None and len(parts) <= elimination.MAX_FOLDS:
        route = elimination.route(centred, parts, dtype, targets, rules.selection, rules.predictions, mesh)
    else:
        route = inverse.route(centred, splits, dtype, rules.selection, rules.predictions, mesh)
    return route, resolution


def primal_side(
    features: jax.Array,
    stimuli: np.ndarray,
    splits: list[Split],
    targets: int,
    dtype: np.dtype,
    mesh: Mesh,
    rules: Rules,
) -> tuple[Route, np.ndarray]:
    """The way from features, as ``nested.Source`` wants it."""
    del targets
    chosen = features[stimuli]
    route, norm = primal.route(chosen - chosen.mean(axis=0), splits, dtype, rules.selection, rules.predictions, mesh)
    return route, norm * np.finfo(features.dtype).eps


@jax.jit
def deflated(kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The centred kernel, with the mean eigenvalue put in the constant direction; and the centred one's norm.

    A fit with an intercept is the same for any feature offset and for any further constant feature, so the constant
    direction may have any eigenvalue. An average one keeps its rounding error from being multiplied by 1 / penalty.
    """
    n = kernel.shape[-1]
    means = kernel.mean(axis=-1)
    centred = kernel - means[..., None, :] - means[..., None] + means.mean(axis=-1)[..., None, None]
    level = jnp.trace(centred, axis1=-2, axis2=-1) / (n * n)
    return centred + level[..., None, None], jnp.linalg.norm(centred, axis=(-2, -1))
