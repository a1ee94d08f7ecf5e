"""Encoding by ridge regression with one penalty for a whole population, chosen by leave-one-out."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from engine.gram import Summary
from engine.metrics.resolution import resolved
from engine.metrics.scores import Scores
from engine.solvers.folds import Split
from engine.solvers.ridge import nested_ridge

VERSION = "1"  # of the numbers below; part of every result's key


def brain_score_penalties() -> tuple[float, ...]:
    """The 99 penalties of Brain-Score's ``ridgecv_split``: 0.01 to 1, four from 10, and 18 for each decade to 1e7."""
    decades = [np.linspace(start, 10 * start, 18, endpoint=False) for start in (1e2, 1e3, 1e4, 1e5)]
    tens = np.linspace(1e1, 1e2, 4, endpoint=False)
    return tuple(np.concatenate([[0.01, 0.1, 0.5, 1.0], tens, *decades, np.linspace(1e6, 1e7, 19)]).tolist())


class RidgeCV(NamedTuple):
    """Settings that change the numbers.

    Attributes:
        penalties: ascending, in the units of the layer's Gram matrix.
    """

    penalties: tuple[float, ...] = brain_score_penalties()


def score_layer(summary: Summary, responses: np.ndarray, splits: Sequence[Split], settings: RidgeCV) -> Scores:
    """Pearson r of measured and predicted responses to held-out stimuli, with one penalty for all neuroids of the call.

    In each split the penalty is the one with the least squared error of leave-one-out predictions over the training
    stimuli, averaged over stimuli and neuroids. Equals ``sklearn.linear_model.RidgeCV(penalties)`` refitted for every
    split, and Brain-Score's ``ridgecv_split`` and ``dual_ridgecv_split`` (Schrimpf et al., bioRxiv 2018), which call it
    once for each subject: give one population at a time.

    Cost of ``engine.solvers.inverse``: 2 n^3 flops for each penalty, whatever the number of splits and little more for
    neuroids, fewer than stimuli; ``resolution.resolved`` says which directions of a layer are left out before.

    Args:
        summary: of the layer, over the recording's stimuli.
        responses: stimuli x neuroids, NaN where missing: each neuroid is fitted, and its error averaged, over the
            stimuli it has.
        splits: over the stimuli; inner folds have no part in it.
        settings: the penalties.

    Returns:
        value: splits x neuroids, NaN where a neuroid is constant over the training or the held-out stimuli.
        selection: R2 of the leave-one-out predictions at that penalty: 1 - mean squared error / variance, over the
            training stimuli; NaN where a neuroid is constant over them.
        details: ``penalty``, that was chosen.
        notes: how many penalties were chosen below the resolution of the Gram matrix.

    Raises:
        InputError: shapes, splits or values that cannot be used.
    """
    layer = resolved(summary.gram)
    y = np.asarray(responses, np.float64)
    with jax.enable_x64(True):
        found = nested_ridge(
            layer.kernel,
            y,
            [split._replace(validation=None) for split in splits],
            settings.penalties,
            selection="mse",
            groups=np.zeros(y.shape[1], int),
        )
    variance = np.stack([_variance(y[split.train]) for split in splits])
    penalty = np.asarray(settings.penalties)[found.penalty_index]
    low = penalty[:, 0] < layer.floor
    notes = (
        f"in {low.sum()} of {len(low)} splits the penalty that was chosen lies below the resolution of the layer's "
        f"{np.asarray(summary.gram).dtype} Gram matrix, {layer.floor:.3g}",
    )
    return Scores(found.pearson, 1 + found.selection / variance, {"penalty": penalty}, notes if low.any() else ())


def _variance(responses: np.ndarray) -> np.ndarray:
    """Of each column, over the responses there are; NaN where it is constant."""
    there = np.isfinite(responses)
    shifted = np.where(there, responses - np.take_along_axis(responses, there.argmax(axis=0)[None], axis=0), 0)
    count = np.maximum(there.sum(axis=0), 1)
    total = (shifted**2).sum(axis=0) / count - (shifted.sum(axis=0) / count) ** 2
    return np.where(shifted.any(axis=0), total, np.nan)
