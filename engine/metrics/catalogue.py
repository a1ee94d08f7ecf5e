"""The metrics by name, each with its settings fixed and ready for a recording."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from engine.gram import Summary
from engine.metrics import cka as _cka
from engine.metrics import linear as _linear
from engine.metrics import pls as _pls
from engine.metrics import ridge as _ridge
from engine.metrics import ridgecv as _ridgecv
from engine.metrics import rsa as _rsa
from engine.metrics.metric import Metric, Score
from engine.metrics.rdm import Distance, response_rdm
from engine.metrics.rdm_comparison import Comparison, compare
from engine.metrics.scores import Scores
from engine.solvers.scoring import Selection
from engine.target import Population, Target

ENCODING = "Pearson r on held-out stimuli"
Fit = Callable[[Summary, np.ndarray], Scores]


def ridge(
    penalties: tuple[float, ...],
    relative: bool,
    select: Selection,
    choose: Literal["neuroid", "region", "all"],
    components: int | None,
) -> Metric:
    """Ridge regression, its penalty chosen on inner folds."""
    settings = _ridge.Ridge(penalties, relative, select, choose, components)

    def bind(target: Target) -> Score:
        responses = target.of_neuroids("ridge")
        _ridge.check(responses, target.splits)
        regions = list(target.neuroids["region"])
        return lambda summary: _ridge.score_layer(summary, responses, regions, target.splits, settings)

    return Metric("ridge", _ridge.VERSION, settings._asdict(), "neuroid", "r", ENCODING, bind)


def ridgecv() -> Metric:
    """Ridge regression as Brain-Score's: one penalty for all neuroids of a region, by leave-one-out."""
    settings = _ridgecv.RidgeCV()

    def bind(target: Target) -> Score:
        return _by_region(
            target, "ridgecv", lambda summary, y: _ridgecv.score_layer(summary, y, target.splits, settings)
        )

    return Metric("ridgecv", _ridgecv.VERSION, {}, "neuroid", "r", ENCODING, bind)


def linear() -> Metric:
    """Least squares of minimum norm."""
    settings = _linear.Linear()

    def bind(target: Target) -> Score:
        responses = target.of_neuroids("linear")
        _ridge.check(responses, target.splits)
        return lambda summary: _linear.score_layer(summary, responses, target.splits, settings)

    return Metric("linear", _linear.VERSION, {}, "neuroid", "r", ENCODING, bind)


def pls(components: int) -> Metric:
    """Partial least squares, the neuroids of a region together."""
    settings = _pls.PLS(components)

    def bind(target: Target) -> Score:
        return _by_region(target, "pls", lambda summary, y: _pls.score_layer(summary, y, target.splits, settings))

    return Metric("pls", _pls.VERSION, settings._asdict(), "neuroid", "r", ENCODING, bind)


def rsa(distance: Distance, comparison: Comparison) -> Metric:
    """Representational similarity with every region of every subject."""
    settings = _rsa.Rsa(distance, comparison)

    def bind(target: Target) -> Score:
        rdms = np.stack([_rdm(each, distance) for each in target.populations])
        ceiling = _upper_ceiling([each.region for each in target.populations], rdms, comparison)

        def score(summary: Summary) -> Scores:
            found = _rsa.score_layer(summary, rdms, target.splits, settings)
            whole = _rsa.compare_layer(summary, rdms, settings)
            shape = found.value.shape
            details = {"whole": np.broadcast_to(whole, shape), "ceiling": np.broadcast_to(ceiling, shape)}
            return found._replace(details=details)

        return score

    symbol = {"spearman": "rho", "pearson": "r", "kendall": "tau-a", "rho_a": "rho-a"}.get(comparison, "cosine")
    measure = f"similarity of {distance} RDMs ({comparison})"
    return Metric("rsa", _rsa.VERSION, settings._asdict(), "population", symbol, measure, bind)


def cka(estimator: _cka.Estimator) -> Metric:
    """Centred kernel alignment with every region of every subject."""
    settings = _cka.Cka(estimator)

    def bind(target: Target) -> Score:
        target.of_neuroids("cka")
        responses = [each.responses for each in target.populations if each.responses is not None]

        def score(summary: Summary) -> Scores:
            parts = [_cka.score_layer(summary, y, target.splits, settings) for y in responses]
            whole = np.concatenate([_cka.compare_layer(summary, y, settings) for y in responses])
            value = np.concatenate([part.value for part in parts], axis=1)
            details = {"whole": np.broadcast_to(whole, value.shape), "ceiling": np.full(value.shape, np.nan)}
            return Scores(value, np.concatenate([part.selection for part in parts], axis=1), details)

        return score

    return Metric("cka", _cka.VERSION, settings._asdict(), "population", "CKA", f"linear CKA, {estimator}", bind)


def _by_region(target: Target, metric: str, fit: Fit) -> Score:
    """Fits the neuroids of one region together, as the metric depends on which are."""
    responses = target.of_neuroids(metric)
    _ridge.check(responses, target.splits)
    regions = target.neuroids["region"].to_numpy()
    columns = [np.flatnonzero(regions == region) for region in dict.fromkeys(regions)]
    order = np.argsort(np.concatenate(columns))

    def score(summary: Summary) -> Scores:
        parts = [fit(summary, responses[:, own]) for own in columns]

        def joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
            return np.concatenate(arrays, axis=1)[:, order]

        return Scores(
            joined([part.value for part in parts]),
            joined([part.selection for part in parts]),
            {name: joined([part.details[name] for part in parts]) for name in parts[0].details},
            tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        )

    return score


def _rdm(population: Population, distance: Distance) -> np.ndarray:
    if population.rdm is not None:
        return population.rdm
    assert population.responses is not None
    return response_rdm(population.responses, distance)


def _upper_ceiling(regions: Sequence[str], rdms: np.ndarray, comparison: Comparison) -> np.ndarray:
    """Of each population the similarity of the subjects of its region with their mean RDM, averaged; NaN for one.

    Nili et al. (PLoS Computational Biology 2014): no model can come closer to all subjects than their mean does.
    """
    ceiling = np.full(len(rdms), np.nan)
    for region in dict.fromkeys(regions):
        own = np.flatnonzero(np.asarray(regions) == region)
        if len(own) > 1:
            ceiling[own] = compare(rdms[own].mean(axis=0)[None], rdms[own], comparison).mean()
    return ceiling
