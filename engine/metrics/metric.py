"""What the job needs to know of a metric, whichever it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax

from engine.gram import Summary
from engine.metrics.scores import Scores
from engine.target import Target

Score = Callable[[Summary], Scores]
"""A measure that needs no more of a layer than its summary."""


class Reader(NamedTuple):
    """A measure of single units. A layer passes once, in blocks of its units, and none is kept.

    Attributes:
        begin: shape of one stimulus's activations -> state, before anything is computed. InputError where the
            layer cannot be read.
        read: (state, blocks, first unit) -> state. ``blocks`` are row blocks, stimuli x some units, rows beyond
            the stimuli being padding; they are read, not consumed. Blocks of units come in any order, each once.
        score: (state, summary of the whole layer) -> scores.
    """

    begin: Callable[[tuple[int, ...]], Any]
    read: Callable[[Any, Sequence[jax.Array], int], Any]
    score: Callable[[Any, Summary], Scores]


class Joint(NamedTuple):
    """A measure of several layers together.

    Attributes:
        score: layer -> summary, of all layers -> layer -> scores.
        least: how many layers it takes.
    """

    score: Callable[[Mapping[str, Summary]], Mapping[str, Scores]]
    least: int


Measure = Score | Reader | Joint


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
        bind: checks a recording's target and prepares what all layers share. InputError where the recording has not
            what the metric needs.
        whole: whether a layer's score is that over all stimuli (a detail ``whole``) and not the mean over splits.
        squared: whether a neuroid's score is a share of variance, of which a perfect model reaches c, and not a
            correlation, of which it reaches sqrt(c).
        own_ceiling: what the detail ``ceiling`` of a metric of neuroids is, in words, where it takes the place of their
            reliability; scores are divided by it as they are.
        beside: details that a reader needs beside the score, such as chance: name -> what it is, in words.
    """

    name: str
    version: str
    settings: Mapping[str, object]
    per: Literal["neuroid", "population"]
    symbol: str
    measure: str
    bind: Callable[[Target], Measure]
    whole: bool = False
    squared: bool = False
    own_ceiling: str | None = None
    beside: Mapping[str, str] | None = None
