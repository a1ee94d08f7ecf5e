"""Encoding by ridge regression: how well a linear map from a layer predicts each neuroid on held-out stimuli."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError
from engine.gram import Summary
from engine.solvers.folds import Split
from engine.solvers.ridge import Selection, nested_ridge, penalty_scale
from engine.splits import restrict

VERSION = "1"  # of the numbers below; part of every result's key
MAX_PATTERNS = 64


class Ridge(NamedTuple):
    """Settings that change the numbers.

    Attributes:
        penalties: ascending grid.
        relative: the grid is in units of the mean diagonal of the layer's centred Gram matrix.
        select: ``r2``, ``pearson`` or ``mse``, averaged over the inner folds.
        choose: one penalty per ``neuroid``, per ``region``, or for ``all``; shared among neuroids that have
            responses to the same stimuli.
    """

    penalties: tuple[float, ...]
    relative: bool
    select: Selection
    choose: Literal["neuroid", "region", "all"]


class Problem(NamedTuple):
    """Neuroids that have responses to the same stimuli, with the splits over those stimuli.

    Attributes:
        stimuli: indices into the recording's stimuli, sorted.
        neuroids: indices into the columns of the responses.
        splits: over ``stimuli``, numbered from 0.
    """

    stimuli: np.ndarray
    neuroids: np.ndarray
    splits: list[Split]


class LayerScores(NamedTuple):
    """splits x neuroids each; NaN where a neuroid is constant over the held-out stimuli.

    Attributes:
        pearson: r of predicted and measured responses to held-out stimuli.
        penalty: chosen on the inner folds, in the units of the layer's Gram matrix.
        selection: the inner score at that penalty; layers may be chosen by it, never by ``pearson``.
        unresolved: chosen penalties that lie below the resolution of the float32 Gram matrix: such fits follow
            its rounding errors.
    """

    pearson: np.ndarray
    penalty: np.ndarray
    selection: np.ndarray
    unresolved: int


def problems(responses: np.ndarray, splits: Sequence[Split]) -> list[Problem]:
    """Groups neuroids by the stimuli they have responses to, so that missing values are handled exactly.

    Args:
        responses: stimuli x neuroids, NaN where missing.

    Raises:
        InputError: more than 64 different patterns, each of which would need a fit of its own.
    """
    present = np.isfinite(responses)
    patterns, owner = np.unique(present, axis=1, return_inverse=True)
    owner = np.ravel(owner)
    if patterns.shape[1] > MAX_PATTERNS:
        raise InputError(
            f"responses are missing in {patterns.shape[1]} different patterns over {responses.shape[1]} neuroids; "
            f"up to {MAX_PATTERNS} are fitted exactly, one fit for each. Drop stimuli or neuroids with scattered "
            "missing values, or fill them before importing"
        )
    found = []
    for number in range(patterns.shape[1]):
        stimuli = np.flatnonzero(patterns[:, number])
        complete = len(stimuli) == len(responses)
        found.append(
            Problem(
                stimuli,
                np.flatnonzero(owner == number),
                list(splits) if complete else restrict(splits, stimuli),
            )
        )
    return found


def score_layer(
    summary: Summary,
    responses: np.ndarray,
    regions: Sequence[str],
    parts: Sequence[Problem],
    settings: Ridge,
) -> LayerScores:
    """Nested cross-validated ridge from one layer to all neuroids.

    Equals refitting scikit-learn's ``Ridge`` with an intercept for every split, inner fold and penalty.

    Args:
        summary: of the layer, over the recording's stimuli.
        responses: stimuli x neuroids.
        regions: of each neuroid.
        parts: from ``problems``.
    """
    shape = (len(parts[0].splits), responses.shape[1])
    pearson, penalty, selection = (np.full(shape, np.nan) for _ in range(3))
    labels = {
        "neuroid": np.arange(responses.shape[1]),
        "region": np.unique(np.asarray(regions), return_inverse=True)[1],
        "all": np.zeros(responses.shape[1], int),
    }[settings.choose]
    unresolved = 0
    # float64 because small penalties meet the small end of the spectrum; a few seconds for 20 layers.
    with jax.enable_x64(True):
        for part in parts:
            gram = jnp.asarray(np.asarray(summary.gram, np.float64)[np.ix_(part.stimuli, part.stimuli)], jnp.float64)
            scale = penalty_scale(gram) if settings.relative else 1.0
            penalties = np.asarray(settings.penalties) * scale
            result = nested_ridge(
                gram,
                responses[np.ix_(part.stimuli, part.neuroids)],
                part.splits,
                penalties,
                selection=settings.select,
                groups=None if settings.choose == "neuroid" else labels[part.neuroids],
            )
            pearson[:, part.neuroids] = result.pearson
            penalty[:, part.neuroids] = penalties[np.asarray(result.penalty_index)]
            selection[:, part.neuroids] = result.selection
            # The activations are float32, and so is the Gram matrix whatever it is solved in.
            floor = result.resolution * np.finfo(np.float32).eps / np.finfo(np.float64).eps
            unresolved += int(np.sum(penalty[:, part.neuroids] < floor))
    return LayerScores(pearson, penalty, selection, unresolved)
