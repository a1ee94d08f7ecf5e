"""What is known of a sweep: a folder with one small file per job, each written whole.

    sweep.json                 what was asked: words, launcher, working folder, the jobs in order; which of them were
                               answered before it began
    jobs/NAME/status.json      state, reason, seconds, images, memory, where and since when
    jobs/NAME/log.txt          what the job printed
    running.json               who runs it, while somebody does (``beat.py``)

Whoever runs a job writes its status; everybody else only reads, from any machine that sees the folder. One job has one
writer at a time, and a file appears whole or not at all, so that no lock is needed.
"""

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from engine.errors import InputError, unknown
from engine.store.atomic import write_file
from engine.sweep.plan import Job

QUEUED, RUNNING, DONE, CACHED, FAILED = "queued", "running", "done", "cached", "failed"
STATES = (DONE, CACHED, RUNNING, QUEUED, FAILED)
FINAL = (DONE, CACHED, FAILED)
GOOD = (DONE, CACHED)
PLAN = "sweep.json"
NONE: Mapping[str, str] = MappingProxyType({})
VERSION = 1


@dataclass(frozen=True)
class Status:
    """Of one job.

    Attributes:
        state: queued, running, done (computed now), cached (was in the store), failed.
        reason: one line, of a failure.
        seconds: that the job took.
        images: stimuli scored, 0 where cached.
        folder: of its results.
        started: seconds since 1970.
        host, process: who runs it.
        attempt: 1 the first time, 2 after a worker died or the cluster took the machine back.
        killed: attempts that ended without a word, mostly for lack of memory.
        memory, device: the most bytes of main and of device memory that were held so far.
    """

    state: str = QUEUED
    reason: str = ""
    seconds: float = 0.0
    images: int = 0
    folder: str = ""
    started: float = 0.0
    host: str = ""
    process: int = 0
    attempt: int = 0
    killed: int = 0
    memory: int = 0
    device: int = 0

    @property
    def deaths(self) -> int:
        """``killed``, and one more where this attempt is dead too."""
        return self.killed + (self.state == RUNNING)


@dataclass(frozen=True)
class Sweep:
    """A sweep on disk; ``jobs`` in the order asked.

    ``answered`` are those whose results were there before it began, by name -> folder of the results. They have no
    status file of their own, for there may be thousands, until one is run again.
    """

    folder: Path
    command: str
    launcher: tuple[str, ...]
    jobs: tuple[Job, ...]
    started_in: str
    answered: Mapping[str, str] = field(default_factory=dict)
    _final: dict[str, Status] = field(default_factory=dict, compare=False, repr=False)

    def job(self, name: str) -> Job:
        return next(job for job in self.jobs if job.name == name)

    def place(self, name: str) -> Path:
        """Folder of one job."""
        return self.folder / "jobs" / name

    def log(self, name: str) -> Path:
        return self.place(name) / "log.txt"

    def read(self, name: str) -> Status:
        """Of one job; queued where nothing is known or the file is of no use."""
        if name in self.answered and not self.place(name).is_dir():
            return Status(CACHED, folder=self.answered[name])
        try:
            found = json.loads((self.place(name) / "status.json").read_text())
            return Status(**found)
        except (OSError, ValueError, TypeError):
            return Status()

    def write(self, name: str, status: Status) -> None:
        text = json.dumps(asdict(status))
        write_file(self.place(name) / "status.json", lambda file: file.write(text.encode()))

    def statuses(self) -> dict[str, Status]:
        """Of all jobs, in order. A final state is read once, so that watching thousands of jobs stays cheap."""
        found = {}
        for job in self.jobs:
            status = self._final.get(job.name) or self.read(job.name)
            if status.state in FINAL:
                self._final[job.name] = status
            found[job.name] = status
        return found

    def unfinished(self) -> list[str]:
        """Names of the jobs that have no result: failed, stopped, or never begun."""
        return [name for name, status in self.statuses().items() if status.state not in GOOD]

    def begin(self, name: str) -> Status:
        """Marks a job as running here and now."""
        before = self.read(name)
        now = Status(
            RUNNING,
            started=time.time(),
            host=socket.gethostname(),
            process=os.getpid(),
            attempt=before.attempt + 1,
            killed=before.deaths,
        )
        self.write(name, now)
        return now

    def requeue(self, names: Sequence[str]) -> None:
        """Marks jobs as not begun, for another try; how often their processes died is kept."""
        for name in names:
            self._final.pop(name, None)
            self.write(name, Status(killed=self.read(name).deaths))

    def fail(self, name: str, reason: str) -> None:
        """Marks a job as failed whose process can no longer say so."""
        before = self.read(name)
        if before.state not in FINAL:
            seconds = time.time() - before.started if before.started else 0.0
            ended = replace(before, state=FAILED, reason=one_line(reason), seconds=round(seconds, 2))
            self.write(name, replace(ended, killed=before.deaths))


def create(
    root: Path, command: str, launcher: Sequence[str], jobs: Sequence[Job], answered: Mapping[str, str] = NONE
) -> Sweep:
    """A new sweep below ``root``/sweeps, named by the time; its jobs are queued, but those ``answered`` before."""
    stamp, number = datetime.now().strftime("%Y-%m-%d_%H-%M-%S"), 1
    while True:
        folder = root / "sweeps" / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            number += 1
        except OSError as error:
            raise InputError(
                f"cannot write to the output folder '{root}' ({error.strerror}); give another with output=FOLDER"
            ) from error
    sweep = Sweep(folder, command, tuple(launcher), tuple(jobs), str(Path.cwd()), dict(answered))
    about = {
        "version": VERSION,
        "command": command,
        "launcher": list(launcher),
        "started_in": sweep.started_in,
        "jobs": [job.__dict__ for job in jobs],
        "answered": sweep.answered,
    }
    text = json.dumps(about, indent=1) + "\n"
    write_file(folder / PLAN, lambda file: file.write(text.encode()))
    return sweep


def load(folder: Path) -> Sweep:
    """The sweep in that folder.

    Raises:
        InputError: there is none; names sweeps nearby.
    """
    try:
        about = json.loads((folder / PLAN).read_text())
        jobs = tuple(Job(job["name"], job["label"], tuple(job["words"])) for job in about["jobs"])
        answered = dict(about.get("answered", {}))
        return Sweep(folder, about["command"], tuple(about["launcher"]), jobs, about["started_in"], answered)
    except FileNotFoundError as error:
        near = sorted(str(path.parent) for path in folder.parent.glob(f"*/{PLAN}"))
        if near:
            raise unknown("sweep", folder, near) from error
        raise InputError(
            f"no sweep in '{folder}'; wanted the folder that 'corticalign score -m' printed, such as "
            "results/sweeps/DATE_TIME"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"'{folder / PLAN}' cannot be read ({error}); start the sweep again") from error


def one_line(text: str) -> str:
    """A reason without line breaks."""
    return " ".join(text.split())
