"""A sweep while it runs, from its status files alone: the same for every launcher, and from any machine."""

import threading
import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from engine.sweep import report, status
from engine.sweep.status import Status, Sweep

EVERY = 1.0  # seconds between looks at the files
LINES = 12  # running jobs shown


def images_per_second(statuses: dict[str, Status]) -> float:
    """Of the jobs that were computed, while they ran: their images over their seconds, times how many run at once."""
    made = [each for each in statuses.values() if each.state == status.DONE]
    seconds = sum(each.seconds for each in made)
    return sum(each.images for each in made) / seconds * max(1, _running(statuses)) if seconds else 0.0


def seconds_left(statuses: dict[str, Status], now: float) -> float | None:
    """Until all are done, if the rest takes as long as those computed did; None while none has been.

    A job that is running counts what is left of the mean, jobs run side by side as they do now.
    """
    made = [each.seconds for each in statuses.values() if each.state == status.DONE]
    if not made:
        return None
    mean = sum(made) / len(made)
    left = mean * sum(each.state == status.QUEUED for each in statuses.values())
    left += sum(max(0.0, mean - (now - each.started)) for each in statuses.values() if each.state == status.RUNNING)
    return left / max(1, _running(statuses))


def _running(statuses: dict[str, Status]) -> int:
    return sum(each.state == status.RUNNING for each in statuses.values())


def picture(sweep: Sweep, statuses: dict[str, Status], now: float) -> Group:
    """What the terminal shows: a bar, the counts, the jobs that run, the last failures."""
    finished = sum(each.state in status.FINAL for each in statuses.values())
    parts = [report.sentence(statuses)]
    if rate := images_per_second(statuses):
        parts.append(f"{rate:.3g} images/s")
    if (left := seconds_left(statuses, now)) is not None and finished < len(statuses):
        parts.append(f"{_span(left)} left")
    head = Text("  ".join(parts))
    bar = ProgressBar(total=len(statuses), completed=finished, width=40)
    table = Table(box=None, pad_edge=False, show_header=False)
    running = [job for job in sweep.jobs if statuses[job.name].state == status.RUNNING]
    for job in running[:LINES]:
        each = statuses[job.name]
        where = each.host + (f", attempt {each.attempt}" if each.attempt > 1 else "")
        since = Text(_span(now - each.started), style="yellow")
        table.add_row(Text(job.label), since, Text(report.memory(each)), Text(where, style="dim"))
    if len(running) > LINES:
        table.add_row(Text(f"and {len(running) - LINES} more", style="dim"), "", "", "")
    failed = [job for job in sweep.jobs if statuses[job.name].state == status.FAILED]
    reasons = [Text(f"failed: {job.label}: {statuses[job.name].reason}", style="red") for job in failed[-3:]]
    return Group(bar, head, table, *reasons)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class View:
    """Shows a sweep until it is left: redrawn on a terminal, else one line for each job that ends."""

    def __init__(self, sweep: Sweep, console: Console, *, quiet: bool) -> None:
        self._sweep, self._console, self._quiet = sweep, console, quiet
        self._stop = threading.Event()
        self._told = {name for name, each in sweep.statuses().items() if each.state in status.FINAL}
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "View":
        if not self._quiet:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if not self._quiet:
            self._thread.join()

    def _watch(self) -> None:
        if not self._console.is_terminal:
            while not self._stop.wait(EVERY):
                self._lines()
            self._lines()
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(picture(self._sweep, self._sweep.statuses(), time.time()), refresh=True)
                if self._stop.wait(EVERY):
                    return

    def _lines(self) -> None:
        statuses = self._sweep.statuses()
        for job in self._sweep.jobs:
            each = statuses[job.name]
            if each.state in status.FINAL and job.name not in self._told:
                self._told.add(job.name)
                why = f": {each.reason}" if each.reason else ""
                line = f"{len(self._told)}/{len(statuses)} {each.state}: {job.label}, {each.seconds:.1f} s{why}"
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)
