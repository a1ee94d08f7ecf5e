"""Metrics that predict every neuroid by regression."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from engine.gram import Summary
from engine.metrics import linear as _linear
from engine.metrics import pls as _pls
from engine.metrics import ridge as _ridge
from engine.metrics import ridgecv as _ridgecv
from engine.metrics import variance_partition as _variance_partition
from engine.metrics.metric import Joint, Metric, Score
from engine.metrics.scores import Scores, beside_each_other
from engine.solvers.scoring import Selection
from engine.target import Target

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


def variance_partition(penalties: tuple[float, ...], weightings: int, seed: int, select: Selection) -> Metric:
    """What each layer explains that the other chosen ones do not, by banded ridge."""
    settings = _variance_partition.VariancePartition(penalties, weightings, seed, select)

    def bind(target: Target) -> Joint:
        responses = target.of_neuroids("variance_partition")
        _variance_partition.check(responses)

        def score(summaries: Mapping[str, Summary]) -> Mapping[str, Scores]:
            found = _variance_partition.partition(list(summaries.values()), responses, target.splits, settings)
            return {
                layer: Scores(
                    found.unique[:, place],
                    np.full_like(found.joint, np.nan),  # that of the joint model chooses no layer
                    {"joint": found.joint, "product": found.product[:, place]},
                )
                for place, layer in enumerate(summaries)
            }

        return Joint(score, least=2)

    return Metric(
        "variance_partition",
        _variance_partition.VERSION,
        settings._asdict(),
        "neuroid",
        "unique R2",
        "R2 on held-out stimuli that is lost without the layer",
        bind,
        squared=True,
        beside={"joint": "R2 of all layers together", "product": "product measure of the layer, adds up to the joint"},
    )


def _by_region(target: Target, metric: str, fit: Fit) -> Score:
    """Fits the neuroids of one region together, as the metric depends on which are."""
    responses = target.of_neuroids(metric)
    _ridge.check(responses, target.splits)
    regions = target.neuroids["region"].to_numpy()
    columns = [np.flatnonzero(regions == region) for region in dict.fromkeys(regions)]
    order = np.argsort(np.concatenate(columns))

    def score(summary: Summary) -> Scores:
        found = beside_each_other([fit(summary, responses[:, own]) for own in columns])
        details = {name: values[:, order] for name, values in found.details.items()}
        return Scores(found.value[:, order], found.selection[:, order], details, found.notes)

    return score
