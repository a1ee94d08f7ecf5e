"""Voxel-encoding RSA: do the responses that a layer predicts find the same stimuli alike as the measured ones?

Khaligh-Razavi, Henriksson, Kay & Kriegeskorte, Journal of Mathematical Psychology 2017 (mixed RSA); Konkle & Alvarez,
Nature Communications 2022, and Conwell et al., Nature Communications 2024 (veRSA). Ridge regression from the layer
predicts every neuroid's responses to held-out stimuli; the RDM of these predictions is compared with that of the
measured responses to the same stimuli. In contrast to plain RSA the features are weighted as the population needs.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError
from engine.gram import Summary
from engine.metrics.inner import first_inner
from engine.metrics.rdm import Distance, check_responses, response_rdm
from engine.metrics.rdm_comparison import Comparison, compare
from engine.metrics.scores import Scores
from engine.solvers.folds import Split, check_splits
from engine.solvers.ridge import nested_ridge, penalty_scale
from engine.solvers.scoring import Selection

VERSION = "1"  # of the numbers below; part of every result's key


class EncodingRsa(NamedTuple):
    """Settings that change the numbers.

    Attributes:
        penalties: ascending grid.
        relative: the grid is in units of the mean diagonal of the layer's centred Gram matrix.
        select: inner score by which penalties are chosen: ``r2``, ``pearson`` or ``mse``.
        choose: one penalty per ``neuroid``, or for ``all`` of the population.
        distance: of the population's responses to two stimuli, predicted or measured.
        comparison: of the two RDMs.
    """

    penalties: tuple[float, ...]
    relative: bool
    select: Selection
    choose: Literal["neuroid", "all"]
    distance: Distance = "correlation"
    comparison: Comparison = "spearman"


def score_layer(summary: Summary, responses: np.ndarray, splits: Sequence[Split], settings: EncodingRsa) -> Scores:
    """Similarity of the RDM of predicted and that of measured responses, over the test stimuli of every split.

    Equals ``engine.metrics.ridge`` to predict, ``rdm.response_rdm`` and ``rdm_comparison.compare``. The RDMs are of one
    split at a time because its predictions come from one fit: predictions of different folds differ by what their fits
    have in common, which makes stimuli of one fold look alike whatever the population does. With k-fold the usual
    single RDM over all stimuli, of the predictions of all folds together, is in the detail ``whole``.

    Cost: two nested cross-validations, the second for ``selection``, and n² x neuroids multiply-adds for the RDMs.

    Args:
        summary: of the layer, over the recording's stimuli.
        responses: stimuli x neuroids of one population, none missing.
        splits: over the stimuli, with inner folds.
        settings: as above.

    Returns:
        value: splits x 1. NaN where a predicted or measured RDM is not defined, or all its dissimilarities are equal.
        selection: the same on the first inner fold of each split, predicted from the rest of its training stimuli
            with penalties chosen on the other inner folds; NaN without inner folds or with fewer than 3 stimuli.
        details: ``whole``, over all stimuli, the same in every row; NaN unless every stimulus is tested exactly once.

    Raises:
        InputError: responses are missing; fewer than 3 test stimuli; shapes, splits or values that cannot be used.
    """
    y = check_responses(responses, ("stimuli", "neuroids"))
    parts = check_splits(splits, len(summary.gram))
    small = [number for number, part in enumerate(parts, start=1) if len(part.test) < 3]
    if small:
        raise InputError(
            f"fold {small[0]} of {len(parts)} has {len(parts[small[0] - 1].test)} test stimuli; RDMs are compared over "
            "at least 3: use fewer folds"
        )
    predicted = _predictions(summary.gram, y, parts, settings)
    value = np.array([_similarity(y[s.test], p, settings) for s, p in zip(parts, predicted, strict=True)])
    selection = np.full(len(parts), np.nan)
    inner = first_inner(parts)
    if inner is not None and min(len(part.test) for part in inner) >= 3:
        guesses = _predictions(summary.gram, y, inner, settings)
        selection = np.array([_similarity(y[s.test], p, settings) for s, p in zip(inner, guesses, strict=True)])
    whole = np.nan
    tested = np.concatenate([part.test for part in parts])
    if len(parts) > 1 and np.array_equal(np.sort(tested), np.arange(len(y))):
        together = np.empty_like(y)
        together[tested] = np.concatenate(predicted)
        whole = _similarity(y, together, settings)
    return Scores(value[:, None], selection[:, None], {"whole": np.full((len(parts), 1), whole)})


def _predictions(
    gram: np.ndarray, responses: np.ndarray, splits: Sequence[Split], settings: EncodingRsa
) -> list[np.ndarray]:
    """Test stimuli (ascending) x neuroids of each split."""
    with jax.enable_x64(True):
        kernel = jnp.asarray(gram, jnp.float64)
        found = nested_ridge(
            kernel,
            responses,
            splits,
            np.asarray(settings.penalties) * (penalty_scale(kernel) if settings.relative else 1.0),
            selection=settings.select,
            groups=np.zeros(responses.shape[1], int) if settings.choose == "all" else None,
            predictions=True,
        )
    assert found.predictions is not None
    return found.predictions


def _similarity(measured: np.ndarray, predicted: np.ndarray, settings: EncodingRsa) -> float:
    one, other = (response_rdm(each, settings.distance)[None] for each in (predicted, measured))
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return float("nan")
    return float(compare(one, other, settings.comparison)[0, 0])
