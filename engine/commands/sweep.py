"""Sweeps: what ``corticalign score -m`` starts, and ``corticalign sweep show|watch|retry``."""

import shlex
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from engine.commands import asked, settings
from engine.errors import InputError, unknown
from engine.store.atomic import tidy
from engine.store.layout import STORE
from engine.sweep import launchers, plan, report, status
from engine.sweep.beat import alive, launching
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
    jobs = []
    for each in _studies(rest):
        settings.check([*own, *each])
        jobs += plan.jobs(each)
    jobs = list({job.name: job for job in jobs}.values())
    first = settings.composed([*own, *_common(jobs)])
    launcher = launchers.typed(first.launcher)
    launchers.check(launcher)
    command = shlex.join(["corticalign", "score", *words])
    answered = _answered(jobs, str(first.output))
    sweep = status.create(Path(str(first.output)), command, own, jobs, answered)
    names = [job.name for job in plan.neighbours(jobs) if job.name not in answered]
    return _run(sweep, names, launcher, quiet=bool(first.quiet))


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
    another = any(word.startswith("launcher=") for word in own)
    before = [word for word in sweep.launcher if word.startswith(plan.SEARCHED) or not another]
    settings.check([*before, *own])
    launcher = launchers.typed(settings.composed([*before, *own]).launcher)
    launchers.check(launcher)
    if (who := alive(sweep)) is not None:
        raise InputError(
            f"the sweep in '{sweep.folder}' still runs: {who}; stop it first, or look on with 'corticalign sweep watch'"
        )
    names = sweep.unfinished()
    sweep.requeue(names)
    tidy(sweep.folder)
    return _run(sweep, names, launcher, quiet=False)


def _answered(jobs: Sequence[plan.Job], output: str) -> dict[str, str]:
    """Jobs whose results are there already -> folder of the results, found by their words alone.

    What is not found so may still be there: the job itself looks by its settings, and by the keys of its results.
    """
    from engine.commands.output import SUMMARY

    found = {job.name: asked.answered(job.words, output, Path(output) / STORE, SUMMARY) for job in jobs}
    return {name: str(folder) for name, folder in found.items() if folder is not None}


def _run(sweep: Sweep, names: Sequence[str], launcher: launchers.Launcher, *, quiet: bool) -> int:
    from engine.commands.sweep_job import run_job

    errors = Console(stderr=True, soft_wrap=True)
    here = isinstance(launcher, launchers.Sequential)  # its jobs print for themselves
    if not quiet:
        before = f", {len(sweep.answered)} more were done before" if sweep.answered else ""
        errors.print(f"sweep of {len(names)} jobs in {sweep.folder}{before}", style="dim", highlight=False)
    with launching(sweep), View(sweep, errors, quiet=quiet or here):
        if names:
            launchers.launch(sweep, names, launcher, partial(run_job, show=True) if here else run_job)
    failed = _failed(sweep)
    if not quiet or failed:
        report.show(sweep, Console(stderr=quiet))
    return 2 if failed else 0


def _failed(sweep: Sweep) -> bool:
    return any(each.state == status.FAILED for each in sweep.statuses().values())


def _studies(words: list[str]) -> list[list[str]]:
    """The words of each experiment asked for: what it varies, then the user's own, which count where both do."""
    given = [word for word in words if word.startswith("experiment=")]
    rest = [word for word in words if word not in given]
    names = given[-1].partition("=")[2].split(",") if given else ["null"]
    settings.check_options("experiment", ",".join(names), words)
    return [rest if name == "null" else [*settings.study(rest, name), *rest, f"experiment={name}"] for name in names]


def _common(jobs: Sequence[plan.Job]) -> list[str]:
    """Words for a configuration that stands for all jobs: of a list of values, none."""
    common = set(jobs[0].words).intersection(*(set(job.words) for job in jobs))
    return [word for word in jobs[0].words if word in common]
