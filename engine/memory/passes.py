"""Bytes that a job takes from images to scores, moment by moment, from shapes alone.

With n stimuli, b of them in a batch and U units captured in a pass (4 n U bytes, bounded by ``memory.budget``): while
a pass runs there are 4 n U + 4 b U; its layers are then summarised one after another, each leaving a Gram matrix
(4 n^2) in place of its units, which waits until its scores are computed beside the rest. Nothing is taken to be
scored before the last layer is summarised, so that slow scoring is counted too.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

ACTIVATIONS, BATCH, GRAMS, SCORING = "activations", "one batch", "Gram matrices", "scoring"

Parts = dict[str, int]


class Piece(NamedTuple):
    """Units of one layer in a pass; ``last`` where they complete it."""

    width: int
    last: bool


class Demand(NamedTuple):
    """What a predictor will hold for a recording.

    Attributes:
        pixels: bytes of decoded stimuli that are not there yet.
        passes: the units captured together, for each pass in turn.
        rows: stimuli in a pass, with the images that a reduction is fitted to.
        batch: images at once; 0 where no model runs.
        inside: bytes of one batch within the model, beside what is captured.
        known: layers whose summaries are at hand.
        units: layer -> units, of those that must be computed.
        weights: bytes of the model's that are not there yet.
    """

    pixels: int
    passes: Sequence[Sequence[Piece]]
    rows: int
    batch: int
    inside: int
    known: int
    units: Mapping[str, int]
    weights: int = 0

    @property
    def captured(self) -> int:
        """Bytes of activations that the largest pass captures."""
        return max((4 * self.rows * sum(piece.width for piece in each) for each in self.passes), default=0)


def pieces(plan: Sequence[Sequence[tuple[str, int, int]]], units: Mapping[str, int]) -> list[list[Piece]]:
    """The passes of :func:`engine.activations.plan`."""
    seen: dict[str, int] = {}
    found = []
    for every in plan:
        own = []
        for layer, start, stop in every:
            seen[layer] = seen.get(layer, 0) + stop - start
            own.append(Piece(stop - start, seen[layer] == units[layer]))
        found.append(own)
    return found


def moments(demand: Demand, stimuli: int, scoring: int) -> Iterator[Parts]:
    """What is held at once, whenever that can be the most.

    Args:
        stimuli: of the recording; a Gram matrix is waiting for each summarised layer.
        scoring: bytes that scoring a layer takes.
    """
    gram, rows = 4 * stimuli**2, demand.rows
    waiting, begun = demand.known * gram, demand.known > 0
    yield {GRAMS: waiting, SCORING: scoring if begun else 0}
    for each in demand.passes:
        captured = 4 * rows * sum(piece.width for piece in each)
        batch = demand.inside + 4 * demand.batch * sum(piece.width for piece in each)
        yield {ACTIVATIONS: captured, BATCH: batch, GRAMS: waiting, SCORING: scoring if begun else 0}
        for piece in each:
            # While a layer is summarised its Gram matrix is twice there, in blocks and as a whole.
            yield {ACTIVATIONS: captured, GRAMS: waiting + 8 * rows**2, SCORING: scoring if begun else 0}
            captured -= 4 * rows * piece.width
            waiting, begun = waiting + gram * piece.last, begun or piece.last
        yield {ACTIVATIONS: captured, GRAMS: waiting, SCORING: scoring if begun else 0}


def largest(demand: Demand, stimuli: int, scoring: int) -> Parts:
    """The moment at which most is held."""
    return max(moments(demand, stimuli, scoring), key=lambda parts: sum(parts.values()))
