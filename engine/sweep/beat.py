"""Signs of life: what a job takes while it runs, written every few seconds; and whether a sweep still runs."""

import contextlib
import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from engine.memory import room
from engine.store.atomic import runs, write_file
from engine.sweep import status
from engine.sweep.status import Status, Sweep

LOOK = 1.0  # seconds between looks at the memory of accelerators
EVERY = 10.0  # seconds between signs of life
FRESH = 60.0  # seconds after which who gave no sign is dead: six were missed
LAUNCHER = "running.json"  # beside sweep.json, while the process that was started runs


class Beat:
    """While it is entered, a thread writes the memory that a running job has taken so far into its status."""

    def __init__(self, sweep: Sweep, name: str, began: Status) -> None:
        self._sweep, self._name, self._began = sweep, name, began
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._device, self._before = 0, 0

    def __enter__(self) -> "Beat":
        room.forget_peak()
        if (found := room.on_devices()) is not None:
            self._before = found.peak
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def taken(self, of: Status) -> Status:
        """The status with the most memory that was held since this began."""
        self._look()
        return replace(of, memory=room.peak(), device=self._device)

    def _look(self) -> None:
        if (found := room.on_devices()) is not None:
            # The device remembers the peak of the process, which may be an earlier job's.
            self._device = max(self._device, found.used, found.peak if found.peak > self._before else 0)

    def _watch(self) -> None:
        looks = 0
        while not self._stop.wait(LOOK):
            self._look()
            looks += 1
            if looks * LOOK >= EVERY:
                looks = 0
                now = self._sweep.read(self._name)
                if now.state != status.RUNNING or now.attempt != self._began.attempt:
                    return  # the cluster wants its machine back: what was written of that stays
                with contextlib.suppress(OSError):  # a full disk is the job's to report
                    self._sweep.write(self._name, self.taken(self._began))


@contextlib.contextmanager
def launching(sweep: Sweep) -> Iterator[None]:
    """While entered, a file in the sweep's folder says who runs it."""
    path, stop = sweep.folder / LAUNCHER, threading.Event()
    said = json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode()
    write_file(path, lambda file: file.write(said))

    def touch() -> None:
        while not stop.wait(EVERY):
            with contextlib.suppress(OSError):  # without a sign of life for once; a later one tells
                os.utime(path)

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        path.unlink(missing_ok=True)


def alive(sweep: Sweep) -> str | None:
    """Who runs the sweep or a job of it now, in words; None where nobody gives a sign of life."""
    now = _now(sweep.folder)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # gone, or half a file: no sign of life
        said = json.loads((sweep.folder / LAUNCHER).read_text())
        if _lives(sweep.folder / LAUNCHER, said["host"], said["process"], now):
            return f"process {said['process']} on {said['host']} runs it"
    for name, each in sweep.statuses().items():
        path = sweep.place(name) / "status.json"
        if each.state == status.RUNNING and _lives(path, each.host, each.process, now):
            return f"job {sweep.job(name).label} runs as process {each.process} on {each.host}"
    return None


def _lives(path: Path, host: str, process: int, now: float) -> bool:
    """Whether the file was touched a moment ago, and its writer is not known to be dead."""
    try:
        fresh = now - path.stat().st_mtime < FRESH
    except OSError:
        return False
    return fresh and (host != socket.gethostname() or runs(process))


def _now(folder: Path) -> float:
    """By the clock of the file system, which machines with different clocks share."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"0")
        file.flush()
        return os.fstat(file.fileno()).st_mtime
