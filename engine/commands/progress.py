"""What a person sees while a job runs: bars with rate and time left, on standard error."""

import time
from collections.abc import Callable
from pathlib import PurePosixPath
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from engine.fetch import RemoteFile

PATIENCE = 2.0  # seconds; what is over sooner shows no bar


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.3g} {task.fields['unit']}/s" if speed else "", style="progress.data.speed")


class Progress:
    """Bars for the stages of a job, each shown once it has taken two seconds; notes are printed above them."""

    def __init__(self, quiet: bool) -> None:
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._downloads: dict[RemoteFile, TaskID] = {}

    def __enter__(self) -> "Progress":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, total: int, unit: str) -> Callable[[int], None]:
        """Starts a stage of ``total`` steps; call the returned function with the steps done since its last call."""
        task = self._bars.add_task(name, total=total, unit=unit, visible=False)
        started = time.monotonic()
        done = 0

        def advance(steps: int) -> None:
            nonlocal done
            done += steps
            late = time.monotonic() - started > PATIENCE
            self._bars.update(task, completed=done, visible=late and done < total)

        return advance

    def download(self, file: RemoteFile, done: int, total: int | None) -> None:
        """Shows how far a download is, in megabytes."""
        if file not in self._downloads:
            name = f"downloading {PurePosixPath(file.path).name}"
            self._downloads[file] = self._bars.add_task(name, unit="MB", total=None)
        megabytes = None if total is None else round(total / 1e6, 1)
        self._bars.update(self._downloads[file], completed=round(done / 1e6, 1), total=megabytes, visible=done != total)

    def tell(self, sentence: str) -> None:
        """Prints how things stand, unless quiet."""
        if not self._quiet:
            self._console.print(sentence, style="dim", highlight=False, soft_wrap=True)

    def say(self, sentence: str) -> None:
        """Prints a note; also when quiet, because the user can act on it."""
        self._console.print(f"note: {sentence}", style="yellow", highlight=False, soft_wrap=True)
