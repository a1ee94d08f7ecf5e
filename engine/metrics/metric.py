"""What the job needs to know of a metric, whichever it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from engine.gram import Summary
from engine.metrics.scores import Scores
from engine.target import Target

Score = Callable[[Summary], Scores]


@dataclass(frozen=True)
class Metric:
    """A metric with its settings.

    Attributes:
        name: as on the command line.
        version: of the numbers it gives; part of every result's key.
        settings: that change its numbers.
        per: what one score belongs to: a ``neuroid``, or a ``population`` (a region of one subject).
        symbol: of one score, for tables, such as ``r``.
        measure: what the score is, in words, for axes.
        bind: checks a recording's target and prepares what all layers share; the function returned scores a layer.
            InputError where the recording has not what the metric needs.
    """

    name: str
    version: str
    settings: Mapping[str, object]
    per: Literal["neuroid", "population"]
    symbol: str
    measure: str
    bind: Callable[[Target], Score]
