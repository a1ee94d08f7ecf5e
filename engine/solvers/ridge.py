"""Ridge regression scored by nested cross-validation; every fold and penalty exact.

From a Gram matrix (dual, ``nested_ridge``) or, with few units, from the features (primal, ``nested_ridge_features``).
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError
from engine.solvers import routes
from engine.solvers.folds import Split
from engine.solvers.missing import Responses
from engine.solvers.nested import NestedRidge, Rules, Source, check, solve
from engine.solvers.routes import check_features, check_kernel
from engine.solvers.scoring import Selection


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

    Targets are worked on in blocks of 256 for each device (8192 on accelerators). Up to 1 GiB of responses stays on
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
    grid = np.asarray(penalties, np.float64)[:, None]
    source = Source(kernel.dtype, partial(routes.dual, kernel), None)
    return solve(source, len(kernel), responses, splits, grid, Rules(selection, groups, predictions, devices))[0]


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
    if np.ndim(kernels) != 3:
        raise InputError(f"wanted kernels of layers x stimuli x stimuli, got shape {np.shape(kernels)}")
    layers, stimuli = kernels.shape[:2]
    given = np.asarray(penalties, np.float64)
    if given.ndim not in (1, 2) or (given.ndim == 2 and len(given) != layers):
        raise InputError(f"wanted penalties for {layers} layers or one list for all, got shape {given.shape}")
    grid = np.broadcast_to(given, (layers, given.shape[-1]))
    together = routes.layers_together(kernels, splits)
    if together == 1:
        solve_one = partial(nested_ridge, selection=selection, groups=groups, devices=devices)
        return [solve_one(kernel, responses, splits, row) for kernel, row in zip(kernels, grid, strict=True)]
    kernels = jnp.asarray(kernels)
    check_kernel(kernels, 3)
    check(stimuli, responses, grid.ravel(), selection, groups)
    found: list[NestedRidge] = []
    for start in range(0, layers, together):
        # The last group is filled up with the last layer, so that one program serves all.
        chosen = np.minimum(np.arange(start, start + together), layers - 1)
        source = Source(kernels.dtype, partial(routes.dual, kernels[chosen]), together)
        rules = Rules(selection, groups, False, devices)
        found += solve(source, stimuli, responses, splits, grid[chosen].T, rules)
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
    if not routes.prefers_primal(*features.shape):
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
    grid = np.asarray(penalties, np.float64)[:, None]
    source = Source(features.dtype, partial(routes.primal_side, shifted), None)
    return solve(source, len(features), responses, splits, grid, Rules(selection, groups, predictions, devices))[0]
