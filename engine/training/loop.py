"""The loop: steps, evaluations, checkpoints and log, resumed where it was left, stopped where it diverges."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from engine.errors import InputError, unknown
from engine.memory.shortage import ran_out
from engine.training.checkpoints import Checkpoints, Progress
from engine.training.log import Log
from engine.training.state import TrainState
from engine.training.step import OWN_TERMS, Step, Terms

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


def train(
    state: TrainState,
    step: Step,
    batches: Batches,
    *,
    steps: int,
    checkpoints: Checkpoints,
    checkpoint_every: int,
    log: Path,
    evaluation: Evaluation | None = None,
    report: Callable[[Report], None] | None = None,
) -> TrainState:
    """Trains to ``steps`` steps, from the last checkpoint where there is one, and returns the last state.

    A run that was killed and started again ends in the same bits as one that was not: state, batches, randomness and
    patience go on as they were (on a GPU with ``XLA_FLAGS=--xla_gpu_deterministic_ops=true``). Terms are fetched,
    logged and reported one step late, so that the device does not wait for this loop.
    The best state, by the held-out score, is ``checkpoints.restore(state, checkpoints.best)``.

    Args:
        state: the initial one; its memory is given away.
        batches: endless; :meth:`get_state` gives JSON, and :meth:`set_state` with it the batches that came after.
        checkpoint_every: steps; there is also one before the first step, after each evaluation, and at the end.
        log: folder of ``terms.csv`` (a row per step) and ``scores.csv`` (a row per evaluation), and both as Parquet.
        report: called after every step and evaluation.

    Raises:
        InputError: loss, gradient or parameters are no longer finite, or the score is not (names the step and the last
            good checkpoint, which is kept); no memory is left for a batch; the batches end; a checkpoint or the log
            cannot be written.
    """
    _check(steps, checkpoint_every, evaluation)
    progress = Progress()
    if (latest := checkpoints.latest) is not None:
        state, progress = checkpoints.restore(state, latest), checkpoints.progress(latest)
        batches.set_state(progress.data)
    start = int(state.step)
    logged = start if latest is not None else -1  # killed before the first checkpoint: everything comes again
    if start > steps:
        raise InputError(f"steps={steps}: the checkpoints in {checkpoints.folder} are already at step {start}")
    with ExitStack() as stack:
        logs = {}
        if jax.process_index() == 0:
            logs = {name: stack.enter_context(Log(log / f"{name}.csv", logged)) for name in ("terms", "scores")}
        run = _Run(steps, batches, checkpoints, logs, evaluation, report, progress)
        if latest is None:
            if evaluation:
                run.judge(state, 0)
            run.save(state)
        pending: _Taken | None = None
        for number in range(start + 1, steps + 1):
            if run.stopped:
                break
            drawn = run.draw(number)
            judged = evaluation is not None and (number == steps or number % evaluation.every == 0)
            saved = judged or number == steps or number % checkpoint_every == 0
            try:
                state, terms, finite = step.run(state, step.place(drawn))
                for taken in [pending] if pending else []:
                    run.record(taken)
                pending = _Taken(number, terms, finite, _examples(drawn))
                if saved:
                    run.record(pending)
                    pending = None
            except (MemoryError, RuntimeError, ValueError) as error:
                if ran_out(error):
                    raise run.without_memory(drawn) from error
                raise
            if judged:
                run.judge(state, number)
            if saved:
                run.save(state)
        checkpoints.wait()
    return state


class _Taken(NamedTuple):
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
class _Run:
    """One call of :func:`train`, but for the state."""

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

    def record(self, taken: _Taken) -> None:
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

    def without_memory(self, batch: Mapping[str, np.ndarray]) -> InputError:
        """What to say where a step finds no memory."""
        size, images = "", batch.get("image")
        if images is not None and np.ndim(images) == 4:
            size = f" of {images.shape[1]} x {images.shape[2]} pixels"
        less = ["a smaller batch with more batches per update (accumulate)"] + ["smaller images"] * bool(size)
        if jax.default_backend() != "cpu":  # where it saves little: engine.training.step
            less.append("remat=true")
        return self._stop(
            f"no memory is left for a step of {_examples(batch)} images{size}", f"give {' or '.join(less)}"
        )

    def _stop(self, what: str, advice: str) -> InputError:
        self.checkpoints.wait()
        latest = self.checkpoints.latest
        kept = "there is no checkpoint yet"
        if latest is not None:
            kept = f"the last good checkpoint, {self.checkpoints.folder / str(latest)}, is kept"
        return InputError(f"{what}; {kept}{f'; {advice}' if advice else ''}")


def _examples(batch: Mapping[str, np.ndarray]) -> int:
    return max(len(each) for each in batch.values())


def _check(steps: int, checkpoint_every: int, evaluation: Evaluation | None) -> None:
    counts = {"steps": steps, "checkpoint_every": checkpoint_every}
    if evaluation:
        counts["evaluate every"] = evaluation.every
        counts["patience"] = 1 if evaluation.patience is None else evaluation.patience
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name}={count}: wanted 1 or more")
