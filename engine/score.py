"""From raw scores to tables: every neuroid, every layer, the best layers.

Arrays and tables in, tables out; files, printing and settings are in engine.commands.score.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from engine.ceilings.corrected import Convention, correct
from engine.metrics.metric import Metric
from engine.metrics.scores import Scores
from engine.statistics import bootstrap_median
from engine.target import Target


class Correction(NamedTuple):
    """How the ceiling enters the score of a region's neuroids.

    Attributes:
        convention: of :mod:`engine.ceilings.corrected`.
        aggregate: apply it to the medians over neuroids, as Brain-Score does, instead of to each neuroid.
    """

    convention: Convention = "r|r|/c"
    aggregate: bool = False

    def symbol(self, metric: Metric) -> str:
        """Of a corrected score."""
        if metric.per == "neuroid" and not metric.squared and metric.own_ceiling is None:
            return self.convention
        return f"{metric.symbol}/c"

    def sentence(self, metric: Metric) -> str:
        """For every output."""
        if metric.per == "population":
            return "score over the upper noise ceiling of its region, mean over subjects"
        if metric.own_ceiling is not None:
            return f"score over c, the {metric.own_ceiling}; per neuroid, median over neuroids"
        if metric.squared:
            return "share of the explainable variance, c the reliability; per neuroid, median over neuroids"
        own = (
            "applied to the medians of r and c over neuroids" if self.aggregate else "per neuroid, median over neuroids"
        )
        return f"{MEANINGS[self.convention]}, c the reliability; {own}"


MEANINGS: Mapping[str, str] = {
    "r": "not corrected",
    "r/sqrt(c)": "correlation with the noise-free responses",
    "(r/c)^2": "Brain-Score's explained variance of 2020 to 2025",
    "r^2/c": "share of the explainable variance",
    "r|r|/c": "share of the explainable variance, keeping the sign",
}


SIGNED_SHARE = Correction()


def score_table(metric: Metric, scores: Mapping[str, Scores], layers: Sequence[str], wanted: Target) -> pd.DataFrame:
    """Every target x layer x split of one metric, one row each.

    The columns of the neuroid table (of a population: ``region`` and ``subject``), then ``score``, ``selection`` (of
    the training stimuli; layers are chosen by it) and the metric's details. Those of a population measure are
    ``whole``, the score over all stimuli, and ``ceiling``, the upper noise ceiling of that.
    """
    targets = _targets(metric, wanted)
    frames = []
    for depth, layer in enumerate(layers):
        found = scores[layer]
        splits, count = found.value.shape
        rows = np.tile(np.arange(count), splits)
        frame = targets.iloc[rows].reset_index(drop=True)
        frame.insert(0, "recording", wanted.recording)
        frame.insert(1, "metric", metric.name)
        frame.insert(2, "layer", layer)
        frame.insert(3, "depth", depth)
        frame.insert(4, "split", np.repeat(np.arange(splits), count))
        frame["score"] = found.value.ravel()
        frame["selection"] = found.selection.ravel()
        for name, values in found.details.items():
            frame[name] = values.ravel()
        if "ceiling" not in frame:
            frame["ceiling"] = np.nan
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _targets(metric: Metric, wanted: Target) -> pd.DataFrame:
    if metric.per == "neuroid":
        return wanted.neuroids.reset_index(names="neuroid")
    return pd.DataFrame([{"region": each.region, "subject": each.subject} for each in wanted.populations])


def layer_table(metric: Metric, rows: pd.DataFrame, correction: Correction = SIGNED_SHARE) -> pd.DataFrame:
    """One row per layer x region of one metric: score with interval, ceiling and ceiled score.

    Per neuroid: a neuroid's score is its mean over splits; a region's is the median over neuroids, with a 95 %
    bootstrap interval over neuroids. ``ceiling`` is the median over neuroids of sqrt(c), the r of a perfect model.
    Per population: the score over all stimuli (or its mean over splits), its mean over subjects with a bootstrap
    interval over subjects, and the upper noise ceiling. What the metric gives ``beside`` its score is aggregated alike.
    """
    found, of = [], ["region", "depth", "layer"]
    owners = _per_owner(metric, rows, "whole" if metric.whole else "score", of)
    for (region, depth, layer), each in owners.groupby(level=of, sort=False):
        name = {"metric": metric.name, "region": region, "layer": layer, "depth": depth}
        found.append(name | _aggregate(metric, each, correction))
    return pd.DataFrame(found)


def best_layers(metric: Metric, rows: pd.DataFrame, correction: Correction = SIGNED_SHARE) -> pd.DataFrame:
    """One row per region: the score of the layer chosen, in each split, without looking at its test stimuli.

    In each split the layer with the highest median ``selection`` (over targets) is taken and its test score kept;
    ``layer`` is the one chosen most often and ``chosen`` counts all of them. Regions are left out where the metric
    has no score of training stimuli.
    """
    found = []
    for region, part in rows.groupby("region", sort=False):
        inner = part.groupby(["split", "depth", "layer"], sort=True)["selection"].median().reset_index()
        inner = inner[inner["selection"].notna()]
        if inner.empty:
            continue
        best = inner.loc[inner.groupby("split")["selection"].idxmax()]
        test = part.merge(best[["split", "layer"]], on=["split", "layer"])
        if metric.whole:
            test = test.assign(ceiling=np.nan)  # that of all stimuli does not bound the score of a few
        counts = best["layer"].value_counts()
        chosen = {"metric": metric.name, "region": region, "layer": counts.index[0], "chosen": counts.to_dict()}
        found.append(chosen | _aggregate(metric, _per_owner(metric, test, "score", []), correction))
    return pd.DataFrame(found)


def _per_owner(metric: Metric, rows: pd.DataFrame, column: str, of: Sequence[str]) -> pd.DataFrame:
    """Means over splits of every neuroid, or subject: one row for each, and for each value of the columns ``of``."""
    owner = ["recording", "neuroid"] if metric.per == "neuroid" else ["recording", "subject"]
    beside = {name: (name, "mean") for name in (*(metric.beside or ()), *({"lower_ceiling"} & set(rows)))}
    groups = rows.groupby([*of, *owner], sort=False, observed=True)
    return groups.agg(score=(column, "mean"), ceiling=("ceiling", "first"), **beside)


def _aggregate(metric: Metric, each: pd.DataFrame, correction: Correction) -> dict[str, float]:
    """Of one layer (or the chosen ones) and one region, from :func:`_per_owner`."""
    score, ceiling = each["score"].to_numpy(), each["ceiling"].to_numpy(float)
    usable = np.isfinite(score) & (ceiling > 0)
    if metric.per == "neuroid":
        middle, (low, high) = _median, bootstrap_median(score)
        as_it_is = metric.squared or metric.own_ceiling is not None
        perfect = ceiling[usable] if as_it_is else np.sqrt(ceiling[usable])
        if as_it_is:
            ceiled = score[usable] / ceiling[usable]
        elif correction.aggregate:
            medians = np.array([_median(score[usable])]), np.array([_median(ceiling[usable])])
            ceiled = correct(*medians, correction.convention)
        else:
            ceiled = correct(score[usable], ceiling[usable], correction.convention)
    else:
        middle, (low, high) = _mean, _bootstrap_mean(score)
        perfect = ceiling[usable]
        ceiled = score[usable] / ceiling[usable]
    finite = score[np.isfinite(score)]
    return {
        "score": middle(finite),
        "low": low,
        "high": high,
        "ceiling": middle(perfect),
        "ceiled": middle(ceiled),
        "targets": int(finite.size),
        "targets_with_ceiling": int(usable.sum()),
    } | {
        name: middle(each[name].to_numpy()[np.isfinite(each[name])]) for name in each.columns.drop(["score", "ceiling"])
    }


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if values.size else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if values.size else float("nan")


def _bootstrap_mean(values: np.ndarray) -> tuple[float, float]:
    """95 % percentile interval of the mean, resampling subjects; (NaN, NaN) for fewer than two."""
    finite = values[np.isfinite(values)]
    if finite.size < 2:
        return float("nan"), float("nan")
    interval = bootstrap((finite,), np.mean, n_resamples=2000, method="percentile", rng=0).confidence_interval
    return float(interval.low), float(interval.high)
