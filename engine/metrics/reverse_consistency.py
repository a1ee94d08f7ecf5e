"""Explained variance of units by neuroids, corrected for how consistent the predictions are.

Neuroids are noisy and units are not, so a reverse prediction is limited by the reliability of its predictors. Muzellec
& Kar (Nature Machine Intelligence 2026) halve the repetitions, fit and predict from each half in the same folds, and
correct by the consistency of the two predictions, extrapolated to all repetitions by Spearman and Brown:

    EV = (r / sqrt(rho_x rho_y))²,    rho_x = 2 c / (1 + c),

with r the Pearson correlation of prediction and unit, c that of the two halves' predictions, both over all stimuli,
each predicted once when it was held out. Units are deterministic, so rho_y = 1. Where c is not positive nothing can be
said and EV is NaN. EV is a share, not a percentage, and has lost the sign of r, which is kept beside it.
"""

from collections.abc import Sequence

import numpy as np

from engine.ceilings import masked_pearson, spearman_brown
from engine.errors import InputError
from engine.metrics.reverse import Prepared, score_block
from engine.metrics.reverse_units import check_units, dead_units
from engine.metrics.scores import Scores


def explained_variance(r: np.ndarray, rho_x: np.ndarray, rho_y: np.ndarray | float = 1.0) -> np.ndarray:
    """(r / sqrt(rho_x rho_y))², NaN where a reliability is not positive. Not bounded by 1."""
    reliability = np.asarray(rho_x) * np.asarray(rho_y)
    positive = (np.asarray(rho_x) > 0) & (np.asarray(rho_y) > 0)
    return np.where(positive, np.asarray(r) ** 2 / np.where(positive, reliability, 1), np.nan)


def predict_block(prepared: Prepared, units: np.ndarray) -> np.ndarray:
    """Held-out predictions of one block of units, stimuli x units, each stimulus predicted by the fold that tests it.

    Cost per unit: 4 s n p flops for s splits, n stimuli, p neuroids, beside that of choosing penalties where there are
    several.

    Raises:
        InputError: some stimulus is tested by no fold or by several.
    """
    units = check_units(units, len(prepared.predictors))
    tested = np.sort(np.concatenate([split.test for split in prepared.splits]))
    if not np.array_equal(tested, np.arange(len(units))):
        raise InputError("predictions of all stimuli need k folds, in which each stimulus is tested once")
    penalties = np.full((len(prepared.splits), units.shape[1]), prepared.penalties[0])
    if len(prepared.penalties) > 1:
        penalties = score_block(prepared, units).details["penalty"]
    predictions = np.empty_like(units)
    predictors = prepared.predictors.astype(units.dtype)
    for split, fit, own in zip(prepared.splits, prepared.outer, penalties, strict=True):
        fitted = units[split.train]
        level = fitted.mean(axis=0)
        rotation = fit.rotation.astype(units.dtype)
        crossed = rotation.T @ ((predictors[split.train] - fit.own_mean.astype(units.dtype)).T @ (fitted - level))
        weights = crossed / (fit.values[:, None] + own).astype(units.dtype)
        held = (predictors[split.test] - fit.own_mean.astype(units.dtype)) @ rotation
        predictions[split.test] = held @ weights + level
    return predictions


def consistency_block(halves: Sequence[tuple[Prepared, Prepared]], units: np.ndarray) -> np.ndarray:
    """rho_x of each unit: predictions from two halves of the repetitions correlated over all stimuli, corrected to all
    repetitions, mean over the halvings.

    Args:
        halves: for each halving the predictors averaged over either half, prepared with the same folds and penalties.
        units: stimuli x units.
    """
    if not halves:
        raise InputError("no halving of the repetitions was given; the consistency of predictions needs at least one")
    found = []
    for first, second in halves:
        pair = (predict_block(first, units), predict_block(second, units))
        found.append(spearman_brown(_pearson(*pair, units)))
    return np.mean(found, axis=0)


def corrected_block(whole: Prepared, halves: Sequence[tuple[Prepared, Prepared]], units: np.ndarray) -> Scores:
    """Explained variance of one block of units.

    Args:
        whole: prepared from the responses averaged over all repetitions, with k folds.
        halves: as for ``consistency_block`` (the authors take 20 halvings).
        units: stimuli x units.

    Returns:
        Scores, 1 x units: the corrected explained variance; ``r`` and ``consistency`` (rho_x) in the details. No
        ``selection``. Units that are constant, or have no consistent prediction, are NaN and counted in the notes.
    """
    units = check_units(units, len(whole.predictors))
    r = _pearson(predict_block(whole, units), units, units)
    consistency = consistency_block(halves, units)
    value = explained_variance(r, consistency)[None]
    notes = dead_units(units)
    unknown = int((np.isnan(value[0]) & np.isfinite(r)).sum())
    if unknown:
        notes += (f"{unknown} of {units.shape[1]} units have predictions that do not agree between halves: no score",)
    return Scores(value, np.full_like(value, np.nan), {"r": r[None], "consistency": consistency[None]}, notes)


def _pearson(a: np.ndarray, b: np.ndarray, units: np.ndarray) -> np.ndarray:
    present = np.broadcast_to(np.ptp(units, axis=0) > 0, units.shape)
    return masked_pearson(a.astype(np.float64), present, b.astype(np.float64), present)
