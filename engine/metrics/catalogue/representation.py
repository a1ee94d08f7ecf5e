"""Metrics that compare a layer's geometry with that of a population: a region of one subject."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from engine.ceilings.rdms import rdm_bounds
from engine.errors import InputError
from engine.gram import Summary
from engine.metrics import cka as _cka
from engine.metrics import encoding_rsa as _encoding_rsa
from engine.metrics import procrustes as _procrustes
from engine.metrics import rsa as _rsa
from engine.metrics.metric import Metric, Score
from engine.metrics.rdm import Distance, crossnobis_rdm, mahalanobis_rdm, noise_covariance, response_rdm
from engine.metrics.rdm_comparison import Comparison
from engine.metrics.scores import Scores, beside_each_other
from engine.solvers.scoring import Selection
from engine.target import Population, Target

Responses = Literal["same", "crossnobis", "mahalanobis"]
SYMBOLS = {"spearman": "rho", "pearson": "r", "kendall": "tau-a", "rho_a": "rho-a"}


def rsa(distance: Distance, comparison: Comparison, responses: Responses = "same") -> Metric:
    """Representational similarity with every region of every subject.

    Args:
        distance: of the layer's responses to two stimuli.
        comparison: of the RDMs.
        responses: distance of the population's; ``same``, or from single repetitions ``crossnobis`` or
            ``mahalanobis``, with the noise covariance shrunk towards its diagonal. Those two are squared distances, to
            be compared with ``squared_euclidean`` of the layer, which has no noise.
    """
    settings = _rsa.Rsa(distance, comparison)

    def bind(target: Target) -> Score:
        target.refuse_maps("rsa")
        rdms = _rdms(target, distance, responses)
        lower, upper = _bounds([each.region for each in target.populations], rdms, comparison)

        def score(summary: Summary) -> Scores:
            found = _rsa.score_layer(summary, rdms, target.splits, settings)
            whole = _rsa.compare_layer(summary, rdms, settings)
            shape = found.value.shape
            details = {"whole": whole, "ceiling": upper, "lower_ceiling": lower}
            details = {name: np.broadcast_to(values, shape) for name, values in details.items()}
            return found._replace(details=details)

        return score

    symbol = SYMBOLS.get(comparison, "cosine")
    theirs = "" if responses == "same" else f" with {responses} ones of the responses"
    measure = f"similarity of {distance} RDMs{theirs} ({comparison})"
    own = settings._asdict() | {"responses": responses}
    return Metric("rsa", _rsa.VERSION, own, "population", symbol, measure, bind, whole=True)


def cka(estimator: _cka.Estimator) -> Metric:
    """Centred kernel alignment with every region of every subject."""
    settings = _cka.Cka(estimator)

    def bind(target: Target) -> Score:
        responses = _responses(target, "cka")

        def score(summary: Summary) -> Scores:
            found = beside_each_other([_cka.score_layer(summary, y, target.splits, settings) for y in responses])
            whole = np.concatenate([_cka.compare_layer(summary, y, settings) for y in responses])
            return found._replace(details={"whole": np.broadcast_to(whole, found.value.shape)})

        return score

    measure = f"linear CKA, {estimator}"
    return Metric("cka", _cka.VERSION, settings._asdict(), "population", "CKA", measure, bind, whole=True)


def procrustes(alpha: float) -> Metric:
    """Shape distance to every region of every subject, fitted on training stimuli and measured on the others."""
    settings = _procrustes.Procrustes(alpha)

    def bind(target: Target) -> Score:
        responses = _responses(target, "procrustes")
        return lambda summary: beside_each_other(
            [_procrustes.score_layer(summary, y, target.splits, settings) for y in responses]
        )

    measure = f"Procrustes similarity on held-out stimuli, alpha {alpha:g} (1: rotations only, 0: any linear map)"
    return Metric(
        "procrustes",
        _procrustes.VERSION,
        settings._asdict(),
        "population",
        "cos",
        measure,
        bind,
        beside={"distance": "angle of the similarity, radians"},
    )


def encoding_rsa(
    penalties: tuple[float, ...],
    relative: bool,
    select: Selection,
    choose: Literal["neuroid", "all"],
    distance: Distance,
    comparison: Comparison,
) -> Metric:
    """RDM of the responses that ridge regression predicts against that of the measured ones."""
    settings = _encoding_rsa.EncodingRsa(penalties, relative, select, choose, distance, comparison)

    def bind(target: Target) -> Score:
        responses = _responses(target, "encoding_rsa")
        return lambda summary: beside_each_other(
            [_encoding_rsa.score_layer(summary, y, target.splits, settings) for y in responses]
        )

    symbol = SYMBOLS.get(comparison, "cosine")
    measure = f"similarity of {distance} RDMs of predicted and measured responses, held-out stimuli ({comparison})"
    return Metric("encoding_rsa", _encoding_rsa.VERSION, settings._asdict(), "population", symbol, measure, bind)


def _responses(target: Target, metric: str) -> list[np.ndarray]:
    """Of every population. InputError where single neuroids were not published."""
    target.of_neuroids(metric)
    return [each.responses for each in target.populations if each.responses is not None]


def _rdms(target: Target, distance: Distance, responses: Responses) -> np.ndarray:
    """Of every population. InputError where the noise of single repetitions is wanted and not known."""
    if responses == "same":
        return np.stack([_rdm(each, distance) for each in target.populations])
    if target.repeats is None:
        raise InputError(
            f"metric.rsa.responses={responses}: {target.recording} holds no single repetitions, by whose noise "
            "distances are weighted; use metric.rsa.responses=same"
        )
    found = []
    for own in target.columns:
        repeats = target.repeats[:, :, own]
        covariance = noise_covariance(repeats, "shrinkage_diag")
        if responses == "crossnobis":
            found.append(crossnobis_rdm(repeats, covariance))
        else:
            found.append(mahalanobis_rdm(repeats.mean(axis=0), covariance))
    return np.stack(found)


def _rdm(population: Population, distance: Distance) -> np.ndarray:
    if population.rdm is not None:
        return population.rdm
    assert population.responses is not None
    return response_rdm(population.responses, distance)


def _bounds(regions: Sequence[str], rdms: np.ndarray, comparison: Comparison) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper noise ceiling of each population's region, the means over its subjects; NaN for one subject."""
    lower, upper = np.full((2, len(rdms)), np.nan)
    for region in dict.fromkeys(regions):
        own = np.flatnonzero(np.asarray(regions) == region)
        if len(own) > 1:
            found = rdm_bounds(rdms[own], comparison)
            lower[own], upper[own] = found.lower.mean(), found.upper.mean()
    return lower, upper
