"""Sweeps: what ``corticalign score -m`` starts, and ``corticalign sweep show|watch|retry``."""

import shlex
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from engine.commands import settings
from engine.errors import InputError, unknown
from engine.sweep import launchers, plan, report, status
from engine.sweep.status import Sweep
from engine.sweep.view import View

USAGE = """\
corticalign sweep: what 'corticalign score -m' started

  corticalign sweep show FOLDER                   its table, failures, and how to do only those again
  corticalign sweep watch FOLDER                  the same while it runs, from any machine that sees the folder
  corticalign sweep retry FOLDER [launcher=...]   runs those jobs that have no result

FOLDER is what the sweep printed, such as results/sweeps/DATE_TIME.
"""
ACTIONS = ("show", "watch", "retry")


def start(words: Sequence[str]) -> int:
    """Runs every combination of a ``-m`` call. Returns the exit status."""
    own, rest = plan.launcher_words(words)
    settings.check([*own, *rest])
    first = settings.composed([*own, *_plain(rest)])
    launcher = launchers.typed(first.launcher)
    jobs = plan.jobs(rest)
    launchers.check(launcher)
    command = shlex.join(["corticalign", "score", *words])
    sweep = status.create(Path(str(first.output)), command, own, jobs)
    return _run(sweep, [job.name for job in jobs], launcher, quiet=bool(first.quiet))


def run(given: list[str]) -> int:
    """``corticalign sweep ...``; returns the exit status."""
    if not given or given[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if given[0] not in ACTIONS:
        raise unknown("command", f"sweep {given[0]}", [f"sweep {action}" for action in ACTIONS])
    if len(given) < 2:
        raise InputError(f"sweep {given[0]}: wanted the folder of a sweep, such as results/sweeps/DATE_TIME")
    sweep = status.load(Path(given[1]))
    if given[0] == "retry":
        return _retry(sweep, given[2:])
    if len(given) > 2:
        raise InputError(f"sweep {given[0]} {given[2]}: wanted one folder")
    if given[0] == "watch":
        with View(sweep, Console(), quiet=False):
            while any(each.state not in status.FINAL for each in sweep.statuses().values()):
                time.sleep(1)
    report.show(sweep, Console())
    return 2 if _failed(sweep) else 0


def _retry(sweep: Sweep, words: list[str]) -> int:
    own, rest = plan.launcher_words(words)
    if rest:
        raise InputError(f"sweep retry: '{rest[0]}' is no setting of launcher; jobs are run again as they were asked")
    if not Path(sweep.started_in).is_dir() or not Path(sweep.started_in).samefile(Path.cwd()):
        raise InputError(
            f"the paths of this sweep are those of '{sweep.started_in}', where it was started; run it there"
        )
    # Another launcher than before comes with its own settings.
    before = [] if any(word.startswith("launcher=") for word in own) else list(sweep.launcher)
    settings.check([*before, *own])
    launcher = launchers.typed(settings.composed([*before, *own]).launcher)
    launchers.check(launcher)
    names = sweep.unfinished()
    sweep.requeue(names)
    return _run(sweep, names, launcher, quiet=False)


def _run(sweep: Sweep, names: Sequence[str], launcher: launchers.Launcher, *, quiet: bool) -> int:
    from engine.commands.sweep_job import run_job

    errors = Console(stderr=True, soft_wrap=True)
    here = isinstance(launcher, launchers.Sequential)  # its jobs print for themselves
    if not quiet:
        errors.print(f"sweep of {len(names)} jobs in {sweep.folder}", style="dim", highlight=False)
    with View(sweep, errors, quiet=quiet or here):
        launchers.launch(sweep, names, launcher, partial(run_job, show=True) if here else run_job)
    failed = _failed(sweep)
    if not quiet or failed:
        report.show(sweep, Console(stderr=quiet))
    return 2 if failed else 0


def _failed(sweep: Sweep) -> bool:
    return any(each.state == status.FAILED for each in sweep.statuses().values())


def _plain(words: Sequence[str]) -> list[str]:
    """Words for a configuration that stands for all jobs: of a list of values, none."""
    jobs = plan.jobs(words)
    common = set(jobs[0].words).intersection(*(set(job.words) for job in jobs))
    return [word for word in jobs[0].words if word in common]
