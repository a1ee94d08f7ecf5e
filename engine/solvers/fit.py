"""Ridge regression fitted on all stimuli at penalties chosen by leave-one-out or folds, and the fits behind scores.

With the centred inverse G of ``inverse.py`` the dual coefficients are G Y, so the choice has already computed them.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from engine.errors import InputError
from engine.solvers import inverse, primal
from engine.solvers.choice import Choice, in_pairs, joined_targets
from engine.solvers.folds import Split, check_splits, check_validation
from engine.solvers.missing import Pattern, Responses, patterns
from engine.solvers.nested import breakdown, check, check_scorable, products_dtype, warn_unresolved
from engine.solvers.routes import check_features, check_kernel, deflated
from engine.solvers.scoring import Selection
from engine.solvers.targets import Route, TargetBlocks, target_mesh
from engine.solvers.threads import one_for_lapack

Validation = Sequence[np.ndarray] | None


class RidgeFit(NamedTuple):
    """A fit, in numpy arrays.

    Attributes:
        coefficients: stimuli x targets on the dual side, units x targets from features.
        intercept: of each target.
        penalty_index: of each target, position of the chosen penalty in the list.
        selection: penalties x targets, each target's own score.
    """

    coefficients: np.ndarray
    intercept: np.ndarray
    penalty_index: np.ndarray
    selection: np.ndarray


def fit_kernel(
    kernel: jax.Array | np.ndarray,
    responses: Responses,
    penalties: Sequence[float] | np.ndarray,
    *,
    validation: Validation = None,
    selection: Selection = "mse",
    groups: np.ndarray | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> RidgeFit:
    """Chooses penalties and fits on all stimuli.

    The prediction for new stimuli is K_new @ coefficients + intercept, with K_new = X_new X' from the same features,
    centred or not, as ``kernel``. With leave-one-out and ``mse`` equal to
    ``sklearn.linear_model.RidgeCV(alpha_per_target=True)``; with all targets in one group to ``RidgeCV()``.

    Args:
        kernel: stimuli x stimuli, as for ``nested_ridge``.
        responses: stimuli x targets, none missing.
        penalties: positive.
        validation: held-out stimuli of each fold; None for leave-one-out.
        selection: ``mse`` (its negative), ``r2`` or ``pearson``; over folds the mean, in leave-one-out the score of
            all held-out predictions together.
        groups: label of each target; targets with the same label share a penalty.
        devices: that share the targets; all by default.

    Warns:
        RuntimeWarning: penalties below the resolution of the kernel in its dtype.

    Raises:
        InputError: shapes, folds or values that cannot be used; a penalty that cannot be factorised.
    """
    kernel = jnp.asarray(kernel)
    check_kernel(kernel, 2)

    def route(parts: tuple[np.ndarray, ...] | None, dtype: np.dtype, mesh: Mesh) -> tuple[Route, np.ndarray]:
        centred, norm = deflated(kernel)
        return inverse.choice_route(centred, parts, dtype, selection, mesh), np.asarray(norm, np.float64)

    fit = _fit(route, kernel, responses, penalties, validation, selection, groups, devices)
    level = np.asarray(kernel, np.float64).mean(axis=0)
    return fit._replace(intercept=fit.intercept - level @ fit.coefficients)


def fit_features(
    features: jax.Array | np.ndarray,
    responses: Responses,
    penalties: Sequence[float] | np.ndarray,
    *,
    validation: Validation = None,
    selection: Selection = "mse",
    groups: np.ndarray | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> RidgeFit:
    """``fit_kernel`` on the primal side, for features with fewer units than stimuli.

    The prediction for new stimuli is X_new @ coefficients + intercept.
    """
    features = jnp.asarray(features)
    check_features(features)
    means = features.mean(axis=0)

    def route(parts: tuple[np.ndarray, ...] | None, dtype: np.dtype, mesh: Mesh) -> tuple[Route, np.ndarray]:
        return primal.choice_route(features - means, parts, dtype, selection, mesh)

    fit = _fit(route, features, responses, penalties, validation, selection, groups, devices)
    weights, border = fit.coefficients[:-1], fit.coefficients[-1]
    return fit._replace(coefficients=weights, intercept=fit.intercept + border - np.asarray(means) @ weights)


def _fit(
    route: Callable[[tuple[np.ndarray, ...] | None, np.dtype, Mesh], tuple[Route, np.ndarray]],
    given: jax.Array,
    responses: Responses,
    penalties: Sequence[float] | np.ndarray,
    validation: Validation,
    selection: Selection,
    groups: np.ndarray | None,
    devices: Sequence[jax.Device] | None,
) -> RidgeFit:
    """The fit to centred responses, with their means for intercept."""
    stimuli = len(given)
    check(stimuli, responses, penalties, selection, groups)
    targets, everything = responses.shape[1], np.arange(stimuli)
    parts = check_validation(validation, everything, stimuli, "validation")
    check_scorable(parts, selection, "validation")
    (pattern, *others) = patterns(responses, everything)
    if others or len(pattern.stimuli) < stimuli:
        raise InputError("responses hold NaN; fit the targets without the stimuli they miss, pattern by pattern")
    mesh, dtype = target_mesh(devices), products_dtype(responses, given.dtype)
    choice, scores = Choice(groups), []
    with one_for_lapack():
        way, norm = route(parts, dtype, mesh)
        resolution = np.atleast_1d(norm * np.finfo(given.dtype).eps)
        warn_unresolved(np.asarray(penalties, np.float64)[:, None], resolution, given.dtype)
        blocks = TargetBlocks(responses, pattern, way.order, dtype, mesh)
        for position, penalty in enumerate(penalties):
            found = joined_targets(in_pairs(map(way.at(jnp.asarray(penalty, given.dtype)), blocks)), targets)
            if found.broken.any():
                raise _broken(penalty, given.dtype)
            scores.append(found.selection[0])
            choice.offer(position, found.selection, [found.coefficients])
    return RidgeFit(choice.kept[0], pattern.means, choice.index[0], np.stack(scores))


def _broken(penalty: float, dtype: np.dtype) -> InputError:
    return InputError(
        f"ridge at penalty {penalty:.3g} broke down: it is below what {dtype} resolves here; {breakdown(dtype)}"
    )


def fold_fits(
    kernel: jax.Array | np.ndarray,
    responses: Responses,
    splits: Sequence[Split],
    penalties: np.ndarray,
    *,
    devices: Sequence[jax.Device] | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The refits behind ``nested_ridge``: dual coefficients and intercept on the train part of every outer fold.

    The predictions of the test part are ``kernel[np.ix_(test, train)] @ coefficients + intercept``.

    Args:
        kernel: stimuli x stimuli.
        responses: stimuli x targets, NaN where missing.
        splits: as given to ``nested_ridge``.
        penalties: fold x target, the chosen ones: ``grid[result.penalty_index]``.
        devices: that share the targets; all by default.

    Returns:
        for each fold the coefficients, train stimuli (ascending) x targets, 0 where a response is missing, and the
        intercepts.

    Raises:
        InputError: as ``nested_ridge``.
    """
    kernel = jnp.asarray(kernel)
    check_kernel(kernel, 2)
    check(len(kernel), responses, np.unique(penalties), "r2", None)
    if np.shape(penalties) != (len(splits), responses.shape[1]):
        raise InputError(
            f"wanted a penalty for each of {len(splits)} folds x {responses.shape[1]} targets, got "
            f"{np.shape(penalties)}"
        )
    mesh, dtype = target_mesh(devices), products_dtype(responses, kernel.dtype)
    found = []
    with one_for_lapack():
        for number, (split, chosen) in enumerate(zip(check_splits(splits, len(kernel)), penalties, strict=True), 1):
            coefficients = np.zeros((len(split.train), responses.shape[1]), dtype)
            intercept = np.empty(responses.shape[1])
            for pattern in patterns(responses, split.train):
                if len(pattern.stimuli) < 2:
                    raise InputError(
                        f"target {pattern.targets[0]} has {len(pattern.stimuli)} responses in the train part of fold "
                        f"{number}, at least 2 are needed; leave it out"
                    )
                own = kernel[pattern.stimuli[:, None], pattern.stimuli]
                weights = _at_penalties(own, responses, pattern, chosen[pattern.targets], dtype, mesh)
                rows = np.searchsorted(split.train, pattern.stimuli)
                coefficients[np.ix_(rows, pattern.targets)] = weights
                intercept[pattern.targets] = pattern.means - np.asarray(own, np.float64).mean(axis=0) @ weights
            found.append((coefficients, intercept))
    return found


def _at_penalties(
    kernel: jax.Array, responses: Responses, pattern: Pattern, penalties: np.ndarray, dtype: np.dtype, mesh: Mesh
) -> np.ndarray:
    """Dual coefficients of a pattern's targets, each at its own penalty."""
    found = np.empty((len(kernel), len(penalties)), dtype)
    centred = deflated(kernel)[0]
    blocks = TargetBlocks(responses, pattern, np.arange(len(kernel)), dtype, mesh)
    for penalty in np.unique(penalties):
        matrix = inverse.centred_inverse(centred, jnp.asarray(penalty, kernel.dtype)).astype(dtype)
        every = joined_targets(in_pairs(inverse.project(matrix, block) for block in blocks), len(penalties))
        found[:, penalties == penalty] = every[:, penalties == penalty]
        if np.isnan(every).any():
            raise _broken(penalty, kernel.dtype)
    return found
