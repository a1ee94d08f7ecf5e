"""The loop: steps, evaluations, checkpoints and log, resumed where it was left, stopped where it diverges."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import jax

from engine.errors import InputError
from engine.memory.shortage import ran_out
from engine.training.account import Evaluation, Report, Run, Taken, examples
from engine.training.checkpoints import Checkpoints, Progress
from engine.training.log import Log
from engine.training.state import TrainState
from engine.training.step import Step

if TYPE_CHECKING:  # a training of one's own needs no Grain
    from engine.training.batches import Batches


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
            good checkpoint, which is kept); memory is too small for a step, or runs out; the batches end; a checkpoint
            or the log cannot be written.
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
        run = Run(steps, batches, checkpoints, logs, evaluation, report, progress)
        if latest is None:
            if evaluation:
                run.judge(state, 0)
            run.save(state)
        pending: Taken | None = None
        for number in range(start + 1, steps + 1):
            if run.stopped:
                break
            drawn = run.draw(number)
            judged = evaluation is not None and (number == steps or number % evaluation.every == 0)
            saved = judged or number == steps or number % checkpoint_every == 0
            try:
                placed = step.place(drawn)
                if number == start + 1:
                    run.check_room(step.takes(state, placed), drawn)
                state, terms, finite = step.run(state, placed)
                for taken in [pending] if pending else []:
                    run.record(taken)
                pending = Taken(number, terms, finite, examples(drawn))
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


def _check(steps: int, checkpoint_every: int, evaluation: Evaluation | None) -> None:
    counts = {"steps": steps, "checkpoint_every": checkpoint_every}
    if evaluation:
        counts["evaluate every"] = evaluation.every
        counts["patience"] = 1 if evaluation.patience is None else evaluation.patience
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name}={count}: wanted 1 or more")
