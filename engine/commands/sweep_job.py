"""One job of a sweep, run and recorded, wherever it runs: nothing that happens in it reaches the other jobs."""

import contextlib
import gc
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from engine.errors import InputError
from engine.sweep import status
from engine.sweep.beat import Beat
from engine.sweep.status import Status, Sweep

STYLE = re.compile(r"\x1b\[[0-9;]*m")
SMALLER, MOST = 4, 2  # times smaller after each of so many attempts that were killed
MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]")  # cursor movements: a bar being drawn


def run_job(folder: str, name: str, *, show: bool = False) -> str:
    """Runs a job of the sweep in ``folder`` and writes its status and log; returns the state.

    Args:
        show: prints on the terminal as well as in the log.
    """
    sweep = _sweep(Path(folder).absolute())
    job = sweep.job(name)
    began = sweep.begin(name)
    begun = (sweep.place(name) / "status.json").stat().st_mtime_ns
    cut = SMALLER ** min(began.killed, MOST)
    clock = time.perf_counter()
    failed = None
    with _logged(sweep.log(name), show), Beat(sweep, name, began) as beat:
        if cut > 1:
            print(f"note: killed before, probably for lack of memory; passes {cut} times smaller", file=sys.stderr)
        try:
            place = _score(list(job.words), cut)
            ended = _finished(began, begun, place)
        except InputError as error:
            failed = str(error)
            ended = replace(began, state=status.FAILED, reason=status.one_line(failed))
            print(f"corticalign: error in job {job.label}: {failed}", file=sys.stderr)
        except (KeyboardInterrupt, SystemExit):
            sweep.write(name, replace(began, state=status.QUEUED, reason="stopped"))
            raise
        except Exception as error:  # one failing job, however it fails, never stops the others
            reason = f"{type(error).__name__}: {error}"
            ended = replace(began, state=status.FAILED, reason=status.one_line(reason)[:500])
            print(f"corticalign: error in job {job.label}:", file=sys.stderr)
            traceback.print_exc()
        ended = beat.taken(ended)
    sweep.write(name, replace(ended, seconds=round(time.perf_counter() - clock, 2)))
    return ended.state


@lru_cache(maxsize=1)
def _sweep(folder: Path) -> Sweep:
    """What was asked, which does not change: read once for all jobs of a process."""
    return status.load(folder)


def _score(words: list[str], cut: int) -> Path:
    from engine.commands import asked, score, settings
    from engine.commands.schema import typed
    from engine.store.layout import STORE

    wanted = typed(settings.composed(words))
    folder = score.scored(wanted, cut)
    asked.remember(words, wanted, Path(wanted.output) / STORE)
    _freeze()
    return folder


@lru_cache(maxsize=1)
def _freeze() -> None:
    """What the first job has loaded stays: the garbage collector need not go through it again and again."""
    gc.collect()
    gc.freeze()


def _finished(began: Status, begun: int, place: Path) -> Status:
    """Whether the results were made now: their file is younger than the mark that this job had begun.

    Both times are those of the file system, so that machines whose clocks differ may share it.

    Args:
        begun: when that mark was written, in ns.
    """
    from engine.commands.output import SUMMARY

    made = (place / SUMMARY).stat().st_mtime_ns
    if made < begun:
        return replace(began, state=status.CACHED, folder=str(place))
    recordings = json.loads((place / SUMMARY).read_text())["recordings"]
    images = sum(recording["stimuli"] for recording in recordings)
    return replace(began, state=status.DONE, folder=str(place), images=images)


@contextlib.contextmanager
def _logged(path: Path, show: bool) -> Iterator[None]:
    """What is printed goes to the log, and to the terminal where ``show``."""
    out, err = sys.stdout, sys.stderr
    with path.open("a", encoding="utf-8") as log:
        try:
            if show:
                sys.stdout, sys.stderr = _Both(out, log), _Both(err, log)
                yield
            else:
                sys.stdout = sys.stderr = log
                with _compiled_code_too(log):
                    yield
        finally:
            sys.stdout, sys.stderr = out, err


@contextlib.contextmanager
def _compiled_code_too(log: TextIO) -> Iterator[None]:
    """XLA and LAPACK write to descriptor 2, past Python."""
    kept = os.dup(2)
    try:
        os.dup2(log.fileno(), 2)
        yield
    finally:
        log.flush()
        os.dup2(kept, 2)
        os.close(kept)


class _Both:
    """A stream that prints and keeps; bars are printed and not kept."""

    def __init__(self, shown: TextIO, log: TextIO) -> None:
        self._shown, self._log = shown, log

    def write(self, text: str) -> int:
        if not MOVES.search(text):
            self._log.write(STYLE.sub("", text))
        return self._shown.write(text)

    def flush(self) -> None:
        self._shown.flush()
        self._log.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._shown, name)
