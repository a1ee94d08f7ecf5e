"""A whole training of any command: from parameters and an objective to the parameters of the step that is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from engine import hosts
from engine.training.account import Evaluation, Report
from engine.training.checkpoints import Checkpoints
from engine.training.loop import train
from engine.training.natural import Spared
from engine.training.optimiser import Optimiser
from engine.training.state import TrainState, initial_state
from engine.training.step import Objective, make_step

if TYPE_CHECKING:  # a training of one's own needs no Grain
    from engine.training.batches import Batches, Order

State = tuple[Any, Any]
"""Parameters, with heads where there are any, and statistics."""


@dataclass(frozen=True)
class Course:
    """What all trainings are told alike.

    Attributes:
        steps, batch: of training; examples in a step.
        every: steps between two judgements, and two checkpoints.
        keep: checkpoints that stay.
        frozen_statistics: batch normalisation keeps the running statistics and normalises by them.
        ema: decay of the moving average of the parameters, which is then what is judged and kept; None for none.
        remat: compute again in the backward pass instead of keeping.
        seed: of all that is drawn.
    """

    steps: int
    batch: int
    every: int
    keep: int
    frozen_statistics: bool
    ema: float | None
    remat: bool
    seed: int

    def order(self) -> Order:
        """Of the examples that this process draws."""
        from engine.training.batches import Order  # with Grain

        return Order(self.batch, self.seed, jax.process_index(), jax.process_count())


class Judging(NamedTuple):
    """How training is judged on held-out data.

    Attributes:
        scores: parameters (or their average) and statistics -> named numbers.
        best: which of them, where higher is better, chooses the best step.
        patience: judgements without a new best after which training stops; None for never.
        keep_best: the best step is kept; else the last.
    """

    scores: Callable[[State], Mapping[str, float]]
    best: str
    patience: int | None = None
    keep_best: bool = True


class Kept(NamedTuple):
    """Parameters (or their average), with heads, and statistics of a step."""

    params: Any
    statistics: Any
    step: int


def run_course(
    start: State,
    objective: Objective,
    optimiser: Optimiser,
    batches: Batches,
    judging: Judging,
    course: Course,
    *,
    folder: Path,
    identity: Mapping[str, object],
    report: Callable[[Report], None] | None = None,
    spared: Spared | None = None,
) -> Kept:
    """Trains, from ``folder``'s last checkpoint where there is one.

    Args:
        start: before training.
        folder: of ``checkpoints`` and ``log``.
        identity: all that the numbers depend on; checkpoints of another are refused.
        report: called after every step.
        spared: the answers that the natural gradient leaves as they are, as far as it can; only with it.

    Raises:
        InputError: as :func:`engine.training.loop.train` says.
    """
    params, statistics = start

    def judged(state: TrainState) -> State:  # by each process for itself
        found: State = hosts.own_copy((state.ema if course.ema else state.params, state.statistics))
        return found

    step = make_step(
        objective,
        optimiser,
        frozen_statistics=course.frozen_statistics,
        ema=course.ema,
        remat=course.remat,
        spared=spared,
    )
    state = initial_state(params, statistics, optimiser, seed=course.seed, ema=course.ema is not None)
    checkpoints = Checkpoints(folder / "checkpoints", identity, keep=course.keep)
    try:
        last = train(
            state,
            step,
            batches,
            steps=course.steps,
            checkpoints=checkpoints,
            checkpoint_every=course.every,
            log=folder / "log",
            evaluation=Evaluation(
                lambda now: judging.scores(judged(now)), judging.best, course.every, judging.patience
            ),
            report=report,
        )
        kept = checkpoints.best if judging.keep_best else int(last.step)
        assert kept is not None  # there is a judgement before the first step
        found = Kept(*judged(checkpoints.restore(last, kept) if judging.keep_best else last), kept)
    finally:
        checkpoints.close()
    hosts.everywhere(True)  # whoever goes on may remove what another still reads
    return found
