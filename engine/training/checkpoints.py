"""Checkpoints of a training run: written beside the training, whole or not at all, the last few and the best kept."""

import errno
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import PreservationPolicy

from engine.errors import DISK_FULL, InputError
from engine.store import check_writable
from engine.training.state import TrainState

UNFINISHED = "*.orbax-checkpoint-tmp*"
FAILURES = (OSError, ValueError, RuntimeError, KeyError, TypeError)  # what Orbax and TensorStore raise
SPARE = 1 << 20  # bytes of a checkpoint that are not arrays
SHOWN = 5  # differences that a message names


class Progress(NamedTuple):
    """What is kept beside the arrays; JSON.

    Attributes:
        data: state of the iterator over batches, after the batch of this step.
        best_step: where the held-out score was highest so far; None before the first evaluation.
        best_score: that score.
        evaluations_since: evaluations since then.
    """

    data: Any = None
    best_step: int | None = None
    best_score: float | None = None
    evaluations_since: int = 0


class Checkpoints:
    """A folder of checkpoints of one run, one folder per step.

    Written by Orbax: the arrays are copied at once and written in the background; a checkpoint has a temporary name
    until it is complete, so a killed process leaves whole checkpoints only, and older ones are removed after that.
    All processes of a run open the same folder; the first writes the progress, so batches must be drawn in step.

    Args:
        folder: made where missing.
        settings: names -> JSON values of all that the run's numbers depend on: model, weights, data, objective, seed.
        keep: how many of the latest are kept, besides the best.

    Raises:
        InputError: the folder cannot be written to, or holds checkpoints of other settings (names the differences).
    """

    def __init__(self, folder: Path, settings: Mapping[str, object], *, keep: int = 2) -> None:
        if keep < 1:
            raise InputError(f"keep={keep}: wanted at least 1 checkpoint to be kept")
        check_writable(folder)
        _quieten()
        self.folder = folder.absolute()
        self._settings = json.loads(json.dumps(settings, default=str))
        self._kept = _LatestAndBest(keep)
        options = ocp.CheckpointManagerOptions(cleanup_tmp_directories=True, preservation_policy=self._kept)
        self._manager = ocp.CheckpointManager(
            self.folder,
            options=options,
            item_handlers={"state": ocp.StandardCheckpointHandler(), "about": ocp.JsonCheckpointHandler()},
        )
        if (step := self.latest) is not None:
            self._refuse_others(self._about(step)["settings"])

    @property
    def latest(self) -> int | None:
        """Step of the last complete checkpoint, once none is being written; None where there is none."""
        self.wait()
        steps = self._manager.all_steps()
        return max(steps) if steps else None

    @property
    def best(self) -> int | None:
        """Step of the kept checkpoint with the highest held-out score; None where nothing was scored yet."""
        return None if self.latest is None else self.progress(self.latest).best_step

    def save(self, state: TrainState, progress: Progress) -> None:
        """Starts writing the checkpoint of ``state.step``, once the one before is complete.

        Raises:
            InputError: this one or the one before could not be written (disk full, folder gone); the last good one is
                named, and stays.
        """
        step = int(state.step)
        about = {"settings": self._settings, "progress": progress._asdict()}
        args = ocp.args.Composite(state=ocp.args.StandardSave(state), about=ocp.args.JsonSave(about))
        self.wait()
        if step in self._manager.all_steps():
            return
        self._kept.best = progress.best_step
        try:
            self._check_room(state)
            self._manager.save(step, args=args, force=True)
        except FAILURES as error:
            raise self._unwritten(error) from error

    def wait(self) -> None:
        """Returns when nothing is being written. Raises InputError as :meth:`save` does."""
        try:
            self._manager.wait_until_finished()
        except FAILURES as error:
            raise self._unwritten(error) from error

    def progress(self, step: int) -> Progress:
        """What was kept beside the arrays of that step."""
        return Progress(**self._about(step)["progress"])

    def restore(self, like: TrainState, step: int) -> TrainState:
        """The state of that step, bit for bit, on the devices that ``like`` is on.

        Args:
            like: a state of the same shapes, such as the initial one.

        Raises:
            InputError: it is a state of other parameters or another optimiser (names the differences), or damaged.
        """
        self.wait()
        wanted = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        try:
            self._refuse_other_shapes(step, like)
            restored = self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(wanted)))
        except InputError:
            raise
        except FAILURES as error:
            raise self._damaged(step, error) from error
        state: TrainState = restored["state"]
        return state

    def close(self) -> None:
        """Waits, and gives up the threads. Raises InputError as :meth:`save` does."""
        try:
            self.wait()
        finally:
            self._manager.close()

    def _about(self, step: int) -> dict[str, Any]:
        self.wait()
        try:
            about: dict[str, Any] = self._manager.restore(step, args=ocp.args.Composite(about=ocp.args.JsonRestore()))[
                "about"
            ]
        except FAILURES as error:
            raise self._damaged(step, error) from error
        return about

    def _refuse_others(self, found: Mapping[str, object]) -> None:
        names = dict.fromkeys([*found, *self._settings])
        told = [
            f"{name} is {found.get(name, 'not set')} there and {self._settings.get(name, 'not set')} here"
            for name in names
            if found.get(name) != self._settings.get(name) or (name in found) != (name in self._settings)
        ]
        if told:
            raise InputError(
                f"the checkpoints in {self.folder} are of another run: {_some(told)}; give another folder, or those "
                "settings to go on with it"
            )

    def _refuse_other_shapes(self, step: int, like: TrainState) -> None:
        found, wanted = _shapes(self._manager.item_metadata(step)["state"].tree), _shapes(like)
        told = [
            f"{name} is {found.get(name, 'missing')} there and {wanted.get(name, 'missing')} here"
            for name in dict.fromkeys([*wanted, *found])
            if found.get(name) != wanted.get(name)
        ]
        if told:
            raise InputError(
                f"the checkpoint {self.folder / str(step)} is of another model or optimiser: {_some(told)}"
            )

    def _check_room(self, state: TrainState) -> None:
        # Asked before writing, because Orbax's threads print more than one error. Parameters hardly compress.
        with tempfile.TemporaryFile(dir=self.folder):
            pass
        needed, free = sum(leaf.nbytes for leaf in jax.tree.leaves(state)), shutil.disk_usage(self.folder).free
        if free < needed + SPARE:
            room = f"{needed / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free"
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} ({room})")

    def _damaged(self, step: int, error: Exception) -> InputError:
        reason = str(error).strip().partition("\n")[0][:200]
        return InputError(
            f"the checkpoint {self.folder / str(step)} cannot be read ({type(error).__name__}: {reason}); remove that "
            "folder to go on from an earlier one"
        )

    def _unwritten(self, error: Exception) -> InputError:
        for left in self.folder.glob(
            UNFINISHED
        ):  # keeps the disk full; what threads still write goes at the next start
            shutil.rmtree(left, ignore_errors=True)
        whole = [int(path.name) for path in self.folder.glob("*") if path.name.isdigit()]
        good = f"the last good one, {self.folder / str(max(whole))}, is kept" if whole else "there is no earlier one"
        text = str(error)
        if isinstance(error, OSError):
            reason = str(error.strerror)
        else:  # TensorStore's, with the system's reason at the end of a long text
            told = [os.strerror(code) for code in DISK_FULL if os.strerror(code) in text]
            reason = told[0] if told else text.strip().partition("\n")[0][:200]
        return InputError(
            f"a checkpoint could not be written to {self.folder}: {reason}; {good}. Make room or give another folder, "
            "and start again to go on from it"
        )


class _LatestAndBest(PreservationPolicy):
    """Which checkpoints stay. The best is told by the run and kept with its progress, so a restart knows it."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.best: int | None = None

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> Sequence[bool]:
        latest = sorted(each.step for each in checkpoints)[-self.count :]
        return [each.step in latest or each.step == self.best for each in checkpoints]


def _shapes(tree: Any) -> dict[str, str]:
    """Path -> shape and type, for trees as they are and as Orbax describes them (all containers dictionaries)."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): f"{leaf.dtype}{list(leaf.shape)}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _some(told: Sequence[str]) -> str:
    more = f" and {len(told) - SHOWN} more differences" if len(told) > SHOWN else ""
    return f"{', '.join(told[:SHOWN])}{more}"


def _quieten() -> None:
    """A write or read that fails is raised and told in one sentence; what else is printed of it is left out.

    That is what Orbax logs, and errors of the other arrays' callbacks, which come when nobody waits for them any more.
    """
    logging.getLogger("absl").addFilter(_not_orbax)
    if sys.unraisablehook is not _late:
        global _others
        _others, sys.unraisablehook = sys.unraisablehook, _late


def _not_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in record.pathname


def _late(unraisable: Any) -> None:
    if str(unraisable.exc_value) != "Event loop is closed":
        _others(unraisable)


_others: Callable[[Any], object] = sys.unraisablehook
