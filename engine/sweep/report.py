"""The end of a sweep: its table, the failures with their reasons, and how to do only those again."""

import shlex

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.report.table import print_whole
from engine.sweep import status
from engine.sweep.status import Status, Sweep

LISTED = 200  # jobs done before a sweep began that its table lists; a table of thousands takes seconds
STYLES = {status.DONE: "green", status.CACHED: "cyan", status.FAILED: "red", status.RUNNING: "yellow"}


def counts(statuses: dict[str, Status]) -> dict[str, int]:
    """State -> number of jobs, states that occur only."""
    found = {state: sum(each.state == state for each in statuses.values()) for state in status.STATES}
    return {state: number for state, number in found.items() if number}


def sentence(statuses: dict[str, Status]) -> str:
    """Such as ``3 jobs: 1 done, 1 cached, 1 failed``."""
    parts = ", ".join(f"{number} {state}" for state, number in counts(statuses).items())
    return f"{len(statuses)} job{'' if len(statuses) == 1 else 's'}: {parts}"


def memory(of: Status) -> str:
    """The most that a job has held, such as ``1.9 GB`` or ``1.9 + 12 GB device``; empty while that is not known."""
    if not of.memory:
        return ""
    main = f"{of.memory / 1e9:.2g}"
    return f"{main} + {of.device / 1e9:.2g} GB device" if of.device else f"{main} GB"


def retry_command(sweep: Sweep) -> str:
    """What runs those jobs of the sweep again that have no result."""
    return f"corticalign sweep retry {shlex.quote(str(sweep.folder))}"


def show(sweep: Sweep, console: Console) -> None:
    """Prints the table of the sweep, then failures and the command for them."""
    statuses = sweep.statuses()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("job")
    table.add_column("state")
    table.add_column("seconds", justify="right")
    table.add_column("images/s", justify="right")
    table.add_column("peak memory", justify="right")
    table.add_column("results")
    hidden = sweep.answered if len(sweep.answered) > LISTED else status.NONE
    for job in sweep.jobs:
        each = statuses[job.name]
        if job.name in hidden and each.state == status.CACHED:
            continue
        rate = f"{each.images / each.seconds:.3g}" if each.images and each.seconds else ""
        state = f"[{STYLES.get(each.state, 'default')}]{each.state}[/]"
        seconds = f"{each.seconds:.1f}" if each.state in status.FINAL else ""
        table.add_row(escape(job.label), state, seconds, rate, memory(each), escape(each.folder))
    if table.rows:
        print_whole(table, console)
    if hidden:
        console.print(f"done before, not listed: {len(hidden)}; their folders are in {sweep.folder / status.PLAN}")
    console.print(sentence(statuses), highlight=False)
    failed = [job for job in sweep.jobs if statuses[job.name].state == status.FAILED]
    for job in failed:
        console.print(f"failed: {job.label}: {statuses[job.name].reason}", style="red", markup=False, soft_wrap=True)
        console.print(f"  log: {sweep.log(job.name)}", style="dim", markup=False, soft_wrap=True)
    if any(each.state not in status.GOOD for each in statuses.values()):
        console.print(f"only these again: {retry_command(sweep)}", markup=False, highlight=False, soft_wrap=True)
