"""What a run of training keeps account of: terms, pace, held-out scores, the best so far; and why it stops."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from engine.errors import InputError, unknown
from engine.memory import room
from engine.memory.shortage import ran_out
from engine.training.checkpoints import Checkpoints, Progress
from engine.training.log import Log
from engine.training.state import TrainState
from engine.training.step import OWN_TERMS, Terms

if TYPE_CHECKING:  # a training of one's own needs no Grain
    from engine.training.batches import Batches


@dataclass(frozen=True)
class Evaluation:
    """How training is judged on held-out data.

    Attributes:
        scores: state -> named numbers; it decides whether ``params`` or ``ema`` is scored, and must not keep the state.
        best: which of them, where higher is better, chooses the best checkpoint.
        every: steps from one to the next; there is also one before the first step and one after the last.
        patience: stop after so many evaluations in a row without a new best; None never stops early.
    """

    scores: Callable[[TrainState], Mapping[str, float]]
    best: str
    every: int
    patience: int | None = None


class Report(NamedTuple):
    """How far training is.

    Attributes:
        step: done, of ``steps``.
        steps: of the whole training.
        terms: of this step; {} before the first.
        scores: of an evaluation after this step; {} where there was none.
        images_per_second: in this process so far, without evaluations and the first step, which compiles; NaN before
            the second.
        seconds_left: at the pace so far, evaluations included; NaN likewise.
        stopped: why training ended before ``steps``; None where it did not.
    """

    step: int
    steps: int
    terms: Mapping[str, float]
    scores: Mapping[str, float]
    images_per_second: float
    seconds_left: float
    stopped: str | None


class Taken(NamedTuple):
    """A step whose terms are still on the device."""

    step: int
    terms: Terms
    finite: jax.Array
    examples: int


@dataclass
class _Clock:
    """Time since the first step ended, and how much of it went to evaluations."""

    began: float | None = None
    steps: int = 0
    examples: int = 0
    paused: float = 0.0

    def tick(self, examples: int) -> None:
        if self.began is None:
            self.began = time.monotonic()
        else:
            self.steps, self.examples = self.steps + 1, self.examples + examples

    def pace(self, left: int) -> tuple[float, float]:
        """Examples per second, and seconds for the steps left."""
        if self.began is None or not self.steps:
            return math.nan, math.nan
        elapsed = time.monotonic() - self.began
        return self.examples / max(elapsed - self.paused, 1e-9), elapsed / self.steps * left


@dataclass
class Run:
    """One call of :func:`engine.training.loop.train`, but for the state."""

    steps: int
    batches: Batches
    checkpoints: Checkpoints
    logs: Mapping[str, Log]
    evaluation: Evaluation | None
    report: Callable[[Report], None] | None
    progress: Progress
    terms: Mapping[str, float] = field(default_factory=dict)
    clock: _Clock = field(default_factory=_Clock)

    @property
    def stopped(self) -> str | None:
        """Why no further step is taken; asked again after a restart, so that a stopped run stays stopped."""
        if self.evaluation is None or self.evaluation.patience is None:
            return None
        since = self.progress.evaluations_since
        if since < self.evaluation.patience:
            return None
        return f"{self.evaluation.best} did not rise in {since} evaluations after step {self.progress.best_step}"

    def draw(self, number: int) -> Mapping[str, np.ndarray]:
        try:
            return next(self.batches)
        except StopIteration:
            raise InputError(f"the batches ended before step {number} of {self.steps}; they are to repeat") from None
        except MemoryError as error:
            raise self._stop(f"no memory is left to read the batch of step {number}", "give a smaller batch") from error

    def record(self, taken: Taken) -> None:
        """Fetches a step's terms, which waits for it; refuses to go on where they are not finite."""
        given = {name: float(value) for name, value in jax.device_get(taken.terms).items()}
        values = {"loss": given["loss"]} | {name: given[name] for name in sorted(given, key=OWN_TERMS.__contains__)}
        if not bool(taken.finite):
            told = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            raise self._stop(
                f"training diverged at step {taken.step}: {told}",
                "a lower learning rate, a longer warm-up or clipping may help",
            )
        if log := self.logs.get("terms"):
            log.append(taken.step, values)
        self.terms = values
        self.clock.tick(taken.examples)
        self._tell(taken.step, {})

    def judge(self, state: TrainState, number: int) -> None:
        """Evaluates, and keeps account of the best score."""
        assert self.evaluation is not None
        began = time.monotonic()
        try:
            scores = {name: float(value) for name, value in self.evaluation.scores(state).items()}
        except (MemoryError, RuntimeError, ValueError) as error:
            if ran_out(error):
                raise self._stop(
                    f"no memory is left to judge at step {number}", "hold fewer or smaller images out"
                ) from error
            raise
        self.clock.paused += time.monotonic() - began if self.clock.began is not None else 0.0
        if self.evaluation.best not in scores:
            raise unknown("held-out score", self.evaluation.best, scores)
        score, so_far = scores[self.evaluation.best], self.progress.best_score
        if not math.isfinite(score):
            raise self._stop(f"the held-out score '{self.evaluation.best}' is {score} at step {number}", "")
        if log := self.logs.get("scores"):
            log.append(number, scores)
        if so_far is None or score > so_far:
            self.progress = self.progress._replace(best_step=number, best_score=score, evaluations_since=0)
        else:
            self.progress = self.progress._replace(evaluations_since=self.progress.evaluations_since + 1)
        self._tell(number, scores)

    def save(self, state: TrainState) -> None:
        for log in self.logs.values():  # a checkpoint must not be ahead of the log
            log.sync()
        self.progress = self.progress._replace(data=self.batches.get_state())
        self.checkpoints.save(state, self.progress)

    def _tell(self, number: int, scores: Mapping[str, float]) -> None:
        if self.report:
            pace = self.clock.pace(self.steps - number)
            self.report(Report(number, self.steps, self.terms, scores, *pace, self.stopped if scores else None))

    def check_room(self, takes: int | None, batch: Mapping[str, np.ndarray]) -> None:
        """Refuses a step that cannot fit in main memory, where XLA would end the process, or the system would.

        Accelerators say themselves that theirs ran out.
        """
        left = room.free()
        if takes is not None and left is not None and takes > left and jax.default_backend() == "cpu":
            numbers = f"{room.words(takes)} are wanted, {room.words(left)} are free"
            raise self.without_memory(batch, f"too little memory for a step of {{}} ({numbers})")

    def without_memory(
        self, batch: Mapping[str, np.ndarray], what: str = "no memory is left for a step of {}"
    ) -> InputError:
        """What to say where a step finds no memory."""
        size, images = "", batch.get("image")
        if images is not None and np.ndim(images) == 4:
            size = f" of {images.shape[1]} x {images.shape[2]} pixels"
        less = ["a smaller batch with more batches per update (accumulate)"] + ["smaller images"] * bool(size)
        if jax.default_backend() != "cpu":  # where it saves little: engine.training.step
            less.append("remat=true")
        return self._stop(what.format(f"{examples(batch)} images{size}"), f"give {' or '.join(less)}")

    def _stop(self, what: str, advice: str) -> InputError:
        self.checkpoints.wait()
        latest = self.checkpoints.latest
        kept = "there is no checkpoint yet"
        if latest is not None:
            kept = f"the last good checkpoint, {self.checkpoints.folder / str(latest)}, is kept"
        return InputError(f"{what}; {kept}{f'; {advice}' if advice else ''}")


def examples(batch: Mapping[str, np.ndarray]) -> int:
    return max(len(each) for each in batch.values())
