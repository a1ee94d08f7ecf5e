"""What training changed, paired by neuroid."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from engine.statistics.bootstrap import centres, draws, interval
from engine.statistics.comparison import compare_models

RESAMPLES = 10_000
PARTS = {False: "new neuroids", True: "trained neuroids"}
"""Whether the neuroids' responses to other stimuli were trained on -> what a table calls them."""


def gains(before: pd.DataFrame, after: pd.DataFrame) -> list[dict[str, object]]:
    """Before, after and the paired difference, for new and trained neuroids, each region and layer.

    Means over neuroids with 95 % percentile bootstrap intervals over neuroids, the same resamples for all three, and
    the two-sided p of a sign-flip test of the mean difference (:func:`engine.statistics.comparison.compare_models`).
    Neuroids without a score on either side are left out; with fewer than two there is no interval.

    Args:
        before, after: as :class:`engine.cotrain.held_out.Judge` gives them.

    Returns:
        Rows with ``neuroids`` (which: new or trained), ``region``, ``layer``, ``count``, ``p``, and ``before``,
        ``after``, ``difference``: value, low and high.
    """
    keys = ["recording", "neuroid", "region", "trained", "layer"]
    both = before[[*keys, "score"]].merge(after[[*keys, "score"]], on=keys, suffixes=("_before", "_after"))
    found = []
    for (trained, region, layer), part in both.groupby(["trained", "region", "layer"], sort=False):
        row = {"neuroids": PARTS[bool(trained)], "region": str(region), "layer": str(layer)}
        scores = part[["score_before", "score_after"]].to_numpy(float)
        found.append(row | dict(_compared(scores, ("before", "after"))))
    return sorted(found, key=lambda row: list(PARTS.values()).index(str(row["neuroids"])))


def against(control: pd.DataFrame, recorded: pd.DataFrame) -> list[dict[str, object]]:
    """The same table of two runs, their scores after training: ``control``, ``recorded`` and the difference."""
    renamed = {"before": "control", "after": "recorded"}
    return [{renamed.get(key, key): value for key, value in row.items()} for row in gains(control, recorded)]


def _compared(scores: np.ndarray, names: tuple[str, str]) -> Mapping[str, object]:
    """Of neuroids x (one, other)."""
    scores = scores[np.isfinite(scores).all(axis=1)]
    means = scores.mean(axis=0) if len(scores) else np.full(2, np.nan)
    if len(scores) < 2:
        one, other = means.tolist()
        values = dict(zip((*names, "difference"), (one, other, other - one), strict=True))
        return {"count": len(scores), "p": None} | {name: _row(value, None, None) for name, value in values.items()}
    low, high = interval(centres(draws(len(scores), resamples=RESAMPLES), scores, "mean"))
    rows = {name: _row(*each) for name, *each in zip(names, means, low, high, strict=True)}
    pair = compare_models(scores.T[::-1], resamples=RESAMPLES)
    difference = _row(pair.difference[0, 1], pair.low[0, 1], pair.high[0, 1])
    return {"count": len(scores), "p": float(pair.p[0, 1])} | rows | {"difference": difference}


def _row(value: float, low: float | None, high: float | None) -> dict[str, float | None]:
    numbers = {"value": value, "low": low, "high": high}
    return {
        name: None if number is None or not np.isfinite(number) else float(number) for name, number in numbers.items()
    }
