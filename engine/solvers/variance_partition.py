"""Banded ridge scored by nested cross-validation, and how its held-out R2 divides among the feature spaces.

Two answers are in use. The product measure divides the joint R2 exactly: with p_s the part of the prediction that comes
from space s, p their sum and m the mean of the train part,

    R2_s = sum (2 (y - m) - p) p_s / sum (y - mean y)^2,    sum_s R2_s + R2(m) = R2,

where R2(m), about -1 / stimuli, is what predicting m alone would score. A space's share is negative where its part
makes the prediction worse, and spaces that predict the same share the credit. The unique variance of a space is what is
lost without it: joint R2 less the R2 of a model of the other spaces with all its hyper-parameters chosen anew.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError
from engine.solvers.banded import check_complete, check_kernels, fit_banded
from engine.solvers.folds import Split, check_splits
from engine.solvers.scoring import Selection, pearson, r2


class NestedBanded(NamedTuple):
    """Scores of one set of feature spaces on one set of targets, in numpy arrays, by outer fold.

    Attributes:
        pearson, r2: fold x target, on the test part; NaN where they are not defined, as in ``NestedRidge``.
        product: fold x space x target, product measure. With ``mean_r2`` it adds up to ``r2``.
        mean_r2: fold x target, R2 of predicting the mean of the train part.
        weighting_index, penalty_index: fold x target, the chosen ones.
        selection: fold x target, mean inner score of what was chosen; of a group, its mean.
    """

    pearson: np.ndarray
    r2: np.ndarray
    product: np.ndarray
    mean_r2: np.ndarray
    weighting_index: np.ndarray
    penalty_index: np.ndarray
    selection: np.ndarray


class UniqueVariance(NamedTuple):
    """Attributes:
    unique: fold x space x target, R2 of the joint model less R2 without the space.
    joint: the model of all spaces.
    without: for each space the model of the others.
    """

    unique: np.ndarray
    joint: NestedBanded
    without: list[NestedBanded]


def product_measure(measured: np.ndarray, parts: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Product measure, space x target; NaN where the measured column is constant.

    With ``level`` the mean of ``measured`` equal to ``himalaya.scoring.r2_score_split(measured - level, parts)``.

    Args:
        measured: held-out stimuli x targets.
        parts: space x stimuli x targets, what each space adds to the level.
        level: of each target, what is predicted where all parts are 0.
    """
    variation = _variation(measured)
    rest = 2 * (measured - level) - parts.sum(axis=0, dtype=np.float64)
    return np.stack([(rest * part).sum(axis=0) for part in parts]) / variation


def _variation(measured: np.ndarray) -> np.ndarray:
    shifted = measured - measured[0].astype(np.float64)  # exactly 0 in a constant column
    total = ((shifted - shifted.mean(axis=0)) ** 2).sum(axis=0)
    return np.where(total == 0, np.nan, total)


def nested_banded(
    kernels: jax.Array | np.ndarray,
    responses: np.ndarray,
    splits: Sequence[Split],
    weightings: np.ndarray,
    penalties: Sequence[float] | np.ndarray,
    *,
    selection: Selection = "r2",
    groups: np.ndarray | None = None,
) -> NestedBanded:
    """Chooses weightings and penalties on the inner folds, refits on the train part, scores the test part.

    Arguments, warnings and errors are those of ``fit_banded``, which fits each train part; ``splits`` are the outer
    folds with their inner folds.
    """
    kernels, responses = np.asarray(jnp.asarray(kernels)), np.asarray(responses)
    check_kernels(kernels)
    check_complete(kernels.shape[-1], responses, penalties, selection, groups)
    found = []
    for split in check_splits(splits, kernels.shape[-1]):
        train, test = split.train, split.test
        inner = None if split.validation is None else [np.searchsorted(train, part) for part in split.validation]
        own = kernels[:, train[:, None], train]
        fit = fit_banded(own, responses[train], inner, weightings, penalties, selection=selection, groups=groups)
        # Coefficients add up to 0, so any row may be taken off; the mean one leaves parts with mean 0 over the train
        # part, which is what a level of the mean response goes with.
        between = kernels[:, test[:, None], train] - own.mean(axis=1, keepdims=True)
        parts = fit.weights[:, None] * (between @ fit.coefficients)
        level = responses[train].mean(axis=0, dtype=np.float64)
        measured = responses[test]
        truth, guess = (jnp.asarray(values, kernels.dtype) for values in (measured, parts.sum(axis=0) + level))
        mean_r2 = 1 - ((measured - level) ** 2).sum(axis=0) / _variation(measured)
        found.append(
            NestedBanded(
                np.asarray(pearson(truth, guess, jnp.nan)),
                np.asarray(r2(truth, guess, jnp.nan)),
                product_measure(measured, parts, level),
                mean_r2,
                fit.weighting_index,
                fit.penalty_index,
                fit.selection.max(axis=0),
            )
        )
    return NestedBanded(*(np.stack(values) for values in zip(*found, strict=True)))


def unique_variance(
    kernels: jax.Array | np.ndarray,
    responses: np.ndarray,
    splits: Sequence[Split],
    weightings: np.ndarray,
    penalties: Sequence[float] | np.ndarray,
    *,
    selection: Selection = "r2",
    groups: np.ndarray | None = None,
) -> UniqueVariance:
    """Unique variance of every space, from nested fits of all spaces and of all but one.

    A model of fewer spaces is searched over ``remaining_weightings``; its penalties are those given. The arguments are
    those of ``nested_banded``.

    Raises:
        InputError: as ``nested_banded``; fewer than two spaces.
    """
    kernels = np.asarray(kernels)
    if len(kernels) < 2:
        raise InputError(f"unique variance compares models with and without a space; {len(kernels)} space was given")

    def nested(own: np.ndarray, tried: np.ndarray) -> NestedBanded:
        return nested_banded(own, responses, splits, tried, penalties, selection=selection, groups=groups)

    joint = nested(kernels, weightings)
    without = [
        nested(np.delete(kernels, space, axis=0), remaining_weightings(weightings, space))
        for space in range(len(kernels))
    ]
    return UniqueVariance(joint.r2[:, None] - np.stack([other.r2 for other in without], axis=1), joint, without)


def remaining_weightings(weightings: np.ndarray, space: int) -> np.ndarray:
    """The weightings of all spaces but one, scaled to the sums they had, each once.

    For weightings drawn from a Dirichlet distribution this is a draw from that of the other spaces. Those that gave
    everything to the space are left out.

    Raises:
        InputError: none is left.
    """
    rest = np.delete(np.asarray(weightings, np.float64), space, axis=1)
    kept = rest.any(axis=1)
    if not kept.any():
        raise InputError(f"no weighting gives anything to another space than number {space}")
    scaled = rest[kept] * (np.sum(weightings, axis=1)[kept] / rest[kept].sum(axis=1))[:, None]
    first = np.unique(scaled.round(12), axis=0, return_index=True)[1]
    return scaled[np.sort(first)]
