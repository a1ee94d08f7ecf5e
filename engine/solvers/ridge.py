"""Ridge regression scored by nested cross-validation; every fold and penalty exact.

From a Gram matrix (dual, ``nested_ridge``) or, with few units, from the features (primal, ``nested_ridge_features``).
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from engine.errors import InputError
from engine.solvers import elimination, inverse, primal
from engine.solvers.folds import Split, check_splits, shared_partition
from engine.solvers.missing import Responses
from engine.solvers.nested import NestedRidge, Source, check, solve
from engine.solvers.scoring import Selection
from engine.solvers.targets import Route

LAYERS = 2**30  # bytes of factors that layers solved side by side on an accelerator may take


def penalty_scale(kernel: jax.Array | np.ndarray) -> float:
    """Mean diagonal of the centred kernel: the natural unit of penalties."""
    kernel = np.asarray(kernel)
    return float(np.trace(kernel, dtype=np.float64) / len(kernel) - kernel.mean(dtype=np.float64))


def nested_ridge(
    kernel: jax.Array | np.ndarray,
    responses: Responses,
    splits: Sequence[Split],
    penalties: Sequence[float] | np.ndarray,
    *,
    selection: Selection = "r2",
    groups: np.ndarray | None = None,
    predictions: bool = False,
    devices: Sequence[jax.Device] | None = None,
) -> NestedRidge:
    """Chooses penalties on the inner folds, refits on the train part, scores the test part.

    Equals refitting ``sklearn.linear_model.Ridge(alpha)`` (unpenalised intercept) for every outer fold, inner fold
    and penalty. With one penalty per target and the same inner folds it chooses as himalaya's
    ``KernelRidgeCV(fit_intercept=True)`` does with ``r2_score``; with leave-one-out and ``mse`` as scikit-learn's
    ``RidgeCV(alpha_per_target=True)`` on the train part. Ties go to the first penalty listed.

    Predictions differ from refits in exact arithmetic by less than (e |K| / a + 16 e) max|Y|, with e the machine
    epsilon and |K| the Frobenius norm of the centred kernel; with float64 factors and float32 products by less than
    (e64 |K| / a + e32 (16 + sqrt(|K| / a))) max|Y|. Tested for condition numbers from 1e2 to 1e10 and penalties from
    1e-6 to 1e6 of the kernel's mean diagonal. Where e |K| > a, the resolution, fits follow the rounding of the kernel.

    Targets are worked on in blocks of 512 for each device (8192 on accelerators). Up to 1 GiB of responses stays on
    the devices; more is read again for every penalty, so that beside the kernel's factors and the results memory does
    not grow with the number of targets.

    Args:
        kernel: stimuli x stimuli, X X' of the features X, centred or not. Its dtype is that of the factorisations;
            give float64 under ``jax.enable_x64(True)``.
        responses: stimuli x targets, NaN where missing: targets with the same missing stimuli are solved together on
            the others. float32 responses of a float64 kernel are multiplied in float32 with what was factorised in
            float64; otherwise products have the kernel's dtype. May be an h5py data set.
        splits: outer folds with their inner folds.
        penalties: a of the minimised |Y - X B - b|^2 + a |B|^2, positive.
        selection: inner score, averaged over inner folds: ``r2``, ``pearson`` or ``mse`` (its negative).
        groups: label of each target; targets with the same label share a penalty, the one with the best mean of
            their scores. Without labels each target has its own.
        predictions: return the predicted responses to the test stimuli as well.
        devices: that share the targets; all by default.

    Warns:
        RuntimeWarning: penalties below the resolution of the kernel in its dtype.

    Raises:
        InputError: shapes, folds or values that cannot be used; a kernel that is not positive semidefinite to
            working precision, so that some penalty cannot be factorised.
    """
    kernel = jnp.asarray(kernel)
    check_kernel(kernel, 2)
    check(len(kernel), responses, penalties, selection, groups)
    return solve(
        Source(kernel.dtype, partial(_dual, kernel, selection, predictions), None),
        len(kernel),
        responses,
        splits,
        np.asarray(penalties, np.float64)[:, None],
        selection=selection,
        groups=groups,
        predictions=predictions,
        devices=devices,
    )[0]


def nested_ridge_layers(
    kernels: jax.Array | np.ndarray,
    responses: Responses,
    splits: Sequence[Split],
    penalties: Sequence[float] | np.ndarray,
    *,
    selection: Selection = "r2",
    groups: np.ndarray | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> list[NestedRidge]:
    """``nested_ridge`` of several layers for the same responses.

    On accelerators the layers of a nested k-fold are solved side by side, as many at a time as fit 1 GiB. On CPUs,
    where that is slower, and in other designs they follow each other.

    Args:
        kernels: layers x stimuli x stimuli.
        responses: as for ``nested_ridge``, like all that follows.
        splits: the same for all layers.
        penalties: one list for all layers, or layers x penalties.
        selection: inner score.
        groups: label of each target.
        devices: that share the targets.
    """
    kernels = jnp.asarray(kernels)
    check_kernel(kernels, 3)
    layers, stimuli = kernels.shape[:2]
    given = np.asarray(penalties, np.float64)
    if given.ndim not in (1, 2) or (given.ndim == 2 and len(given) != layers):
        raise InputError(f"wanted penalties for {layers} layers or one list for all, got shape {given.shape}")
    grid = np.broadcast_to(given, (layers, given.shape[-1]))
    check(stimuli, responses, grid.ravel(), selection, groups)
    together = _together(kernels, splits)
    if together == 1:
        pairs = zip(kernels, grid, strict=True)
        return [
            nested_ridge(kernel, responses, splits, row, selection=selection, groups=groups, devices=devices)
            for kernel, row in pairs
        ]
    found: list[NestedRidge] = []
    for start in range(0, layers, together):
        # The last group is filled up with the last layer, so that one program serves all.
        chosen = np.minimum(np.arange(start, start + together), layers - 1)
        source = Source(kernels.dtype, partial(_dual, kernels[chosen], selection, False), together)
        found += solve(
            source,
            stimuli,
            responses,
            splits,
            grid[chosen].T,
            selection=selection,
            groups=groups,
            predictions=False,
            devices=devices,
        )
    return found[:layers]


def nested_ridge_features(
    features: jax.Array | np.ndarray,
    responses: Responses,
    splits: Sequence[Split],
    penalties: Sequence[float] | np.ndarray,
    *,
    selection: Selection = "r2",
    groups: np.ndarray | None = None,
    predictions: bool = False,
    devices: Sequence[jax.Device] | None = None,
) -> NestedRidge:
    """``nested_ridge`` from features, stimuli x units, by the cheaper of the primal and the dual side.

    Equals ``nested_ridge(features @ features.T, ...)``.
    """
    features = jnp.asarray(features)
    check_features(features)
    shifted = features - features.mean(axis=0)
    if not prefers_primal(*features.shape):
        kernel = jnp.matmul(shifted, shifted.T, precision="highest")
        return nested_ridge(
            kernel,
            responses,
            splits,
            penalties,
            selection=selection,
            groups=groups,
            predictions=predictions,
            devices=devices,
        )
    check(len(features), responses, penalties, selection, groups)
    return solve(
        Source(features.dtype, partial(_primal, shifted, selection, predictions), None),
        len(features),
        responses,
        splits,
        np.asarray(penalties, np.float64)[:, None],
        selection=selection,
        groups=groups,
        predictions=predictions,
        devices=devices,
    )[0]


def prefers_primal(stimuli: int, units: int) -> bool:
    """Whether units x units work is cheaper than stimuli x stimuli work.

    In nested 5-fold the primal side factorises 25 training sets, 25 (p^3 / 3 + 2 p^2 t); the dual side takes
    1.6 n^3 + 5 n^2 t (``elimination.py``), most of it in products. They meet near p = n / 3.
    """
    return 3 * units < stimuli


def check_kernel(kernel: jax.Array, dimensions: int) -> None:
    """Raises InputError unless the last two axes are a square of finite real numbers."""
    if (
        kernel.ndim != dimensions
        or kernel.shape[-1] != kernel.shape[-2]
        or not jnp.issubdtype(kernel.dtype, jnp.floating)
    ):
        layers = "layers x " if dimensions == 3 else ""
        raise InputError(
            f"wanted a square kernel of real numbers, {layers}stimuli x stimuli, got {kernel.dtype} of shape "
            f"{kernel.shape}"
        )
    if not bool(jnp.isfinite(kernel).all()):
        raise InputError("the kernel holds NaN or infinity; check the features it was computed from")


def check_features(features: jax.Array) -> None:
    """Raises InputError unless these are finite real numbers, stimuli x units."""
    if features.ndim != 2 or not features.size or not jnp.issubdtype(features.dtype, jnp.floating):
        raise InputError(
            f"wanted features of real numbers, stimuli x units, got {features.dtype} of shape {features.shape}"
        )
    if not bool(jnp.isfinite(features).all()):
        raise InputError("the features hold NaN or infinity")


def _together(kernels: jax.Array, splits: Sequence[Split]) -> int:
    """Layers solved side by side."""
    parts = shared_partition(check_splits(splits, kernels.shape[-1]))
    if jax.default_backend() == "cpu" or parts is None or len(parts) > elimination.MAX_FOLDS:
        return 1
    return min(len(kernels), max(1, LAYERS // (elimination.FACTORS * kernels[0].nbytes)))


def _dual(
    kernel: jax.Array,
    selection: Selection,
    predictions: bool,
    stimuli: np.ndarray,
    splits: list[Split],
    targets: int,
    dtype: np.dtype,
    mesh: Mesh,
) -> tuple[Route, np.ndarray]:
    centred, norms = deflated(kernel[..., stimuli[:, None], stimuli])
    resolution = np.asarray(norms, np.float64) * np.finfo(kernel.dtype).eps
    parts = shared_partition(splits)
    if parts is not None and len(parts) <= elimination.MAX_FOLDS:
        route = elimination.route(centred, parts, dtype, targets, selection, predictions, mesh)
    else:
        route = inverse.route(centred, splits, dtype, selection, predictions, mesh)
    return route, resolution


def _primal(
    features: jax.Array,
    selection: Selection,
    predictions: bool,
    stimuli: np.ndarray,
    splits: list[Split],
    targets: int,
    dtype: np.dtype,
    mesh: Mesh,
) -> tuple[Route, np.ndarray]:
    del targets
    chosen = features[stimuli]
    route, norm = primal.route(chosen - chosen.mean(axis=0), splits, dtype, selection, predictions, mesh)
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
