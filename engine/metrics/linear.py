"""Encoding by least squares: a linear map of minimum norm from a layer to each neuroid, without a penalty."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from engine.gram import Summary
from engine.metrics.resolution import resolved
from engine.metrics.scores import Scores
from engine.solvers.folds import Split, restrict
from engine.solvers.missing import patterns
from engine.solvers.ridge import nested_ridge

VERSION = "1"  # of the numbers below; part of every result's key

# Penalties small enough for least squares and large enough for float64, over the norm of the kernel. Of directions of
# length one the smallest eigenvalue is 1, which leaves room for a penalty further from rounding errors.
VANISHING, VANISHING_BESIDE_ONE = 1e-12, 1e-8


class Linear(NamedTuple):
    """Settings that change the numbers: there are none."""


def score_layer(summary: Summary, responses: np.ndarray, splits: Sequence[Split], settings: Linear) -> Scores:
    """Pearson r of measured responses with those that least squares predicts on held-out stimuli.

    Equals ``sklearn.linear_model.LinearRegression`` refitted for every split, with its intercept, and so Brain-Score's
    ``linear_predictivity`` (Schrimpf et al., bioRxiv 2018) to 5e-4 of its score: with as many units as stimuli or more
    the centred features lack one direction, to which some versions of scikit-learn give a share of the fit that
    depends on the order of the stimuli.

    The solution of minimum norm is the limit of ridge as its penalty vanishes. Here the penalty is 1e-12 of the norm
    of the kernel, so that every split and inner fold follows from one factorisation (``engine.solvers.inverse``: about
    2 n^3 flops for ten splits, where a pseudo-inverse for each takes 100 n^3). Directions that the Gram matrix does
    not resolve are left out first (``resolution.resolved``): eigenvalues below 1.2e-7 of its norm where it is float32,
    as usual, and below 1e-10 where it is float64. A layer with fewer directions than training stimuli has one least
    squares solution whatever their lengths, which are then set to 1 for accuracy.
    Pearson r differs from that of a pseudo-inverse by less than 1e-5, most where there are about as many directions as
    training stimuli, and by less than 1e-8 with more units than stimuli.

    Args:
        summary: of the layer, over the recording's stimuli.
        responses: stimuli x neuroids, NaN where missing: each neuroid is fitted on the stimuli it has.
        splits: over the stimuli; inner folds, or leave-one-out without them, give the selection score.
        settings: none.

    Returns:
        value: splits x neuroids, NaN where a neuroid is constant over the training or the held-out stimuli.
        selection: the same on the inner folds, averaged.
        notes: how many directions of the layer were not resolved.

    Raises:
        InputError: shapes, splits or values that cannot be used.
    """
    del settings
    y = np.asarray(responses, np.float64)
    layer = resolved(summary.gram)
    if layer.rank == 0:
        nothing = np.full((len(splits), y.shape[1]), np.nan)
        return Scores(nothing, nothing, {}, ("all units of the layer are constant",))
    kernel, penalty = layer.kernel, VANISHING * layer.norm
    if layer.directions is not None and layer.rank < _fewest(y, splits) - 1:
        kernel, penalty = layer.directions @ layer.directions.T, VANISHING_BESIDE_ONE
    with jax.enable_x64(True):
        found = nested_ridge(kernel, y, splits, [penalty], selection="pearson")
    full = min(len(kernel) - 1, summary.units)
    notes = (
        f"{full - layer.rank} of {full} directions of the layer lie below the resolution of its "
        f"{np.asarray(summary.gram).dtype} Gram matrix and are left out of least squares",
    )
    return Scores(found.pearson, found.selection, {}, notes if layer.rank < full else ())


def _fewest(responses: np.ndarray, splits: Sequence[Split]) -> int:
    """Stimuli in the smallest training set, of inner folds too."""
    return min(
        len(split.train) - max(len(part) for part in split.validation or (np.zeros(1),))
        for pattern in patterns(responses, np.arange(len(responses)))
        for split in restrict(splits, pattern.stimuli)
    )
