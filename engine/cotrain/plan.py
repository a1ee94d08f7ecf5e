"""How one co-training is done."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.training.co_training import Term
from engine.training.course import Course
from engine.training.partition import HeldOut


@dataclass(frozen=True)
class Plan:
    """How to train and to judge.

    Attributes:
        course: of training; a batch is of pictures of the task.
        terms: which layers are to come closer to which regions.
        held_out: what is kept apart and reported.
        selection: share of the stimuli that are left whose scores show how training goes, and choose its best step.
        best: keep that step; else the last.
        control: None, ``shuffled`` or ``surrogate`` in place of the responses trained on.
        standardise: give every neuroid mean 0 and variance 1 over the stimuli trained on.
        layers: that are scored.
        task_weight: of the task's loss; 0 trains on the responses alone.
        neural_batch: stimuli in a step.
        smallest_view, largest_view: share of a task picture that a view shows.
    """

    course: Course
    terms: Sequence[Term]
    held_out: HeldOut
    selection: float
    best: bool
    control: str | None
    standardise: bool
    layers: Sequence[str]
    task_weight: float
    smallest_view: float
    largest_view: float
    neural_batch: int

    @property
    def regions(self) -> list[str]:
        return list(dict.fromkeys(term.region for term in self.terms))
