"""``python -m benchmarks [--quick] [--only R1,R3] [--output FOLDER]``."""

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import process, record, table
from benchmarks.comparison import say
from benchmarks.measure import quiet
from benchmarks.rows import device

PATIENCE = 120.0  # seconds to wait for other work to end before each row
QUICK_MINUTES = 2.0


def main(words: Sequence[str] | None = None) -> int:
    """Runs the rows; returns 1 where one failed or disagreed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The solvers, their peers and the limit.")
    parser.add_argument("--quick", action="store_true", help="shrink every row to seconds")
    parser.add_argument("--only", default="", help="rows to run, as R1,R3; the others stay as today's file has them")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"), help="folder of the results")
    given = parser.parse_args(words)
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # compile times are those of a first use
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # peers need room on the same device

    try:
        known, here = process.describe()
    except ModuleNotFoundError as error:
        parser.error(f"{error}; the peers come with pip install --editable '.[test,parity]'")
    names = chosen(given.only, list(known))
    if not names:
        parser.error(f"--only {given.only}: the rows are {', '.join([*known, device.NAME])}")
    date = datetime.date.today().isoformat()
    file = record.path(given.output, date, here, given.quick)
    document = record.opened(file, date, here, given.quick)
    minutes = QUICK_MINUTES * len(names) / len(known) if given.quick else sum(known[name]["minutes"] for name in names)
    print(f"{', '.join(names)}: about {minutes:.0f} minutes on two cores; results in {file}", file=sys.stderr)
    print(table.header(), flush=True)
    failed = False
    for name in names:
        found = measured(name, given.quick, known[name])
        failed |= found["status"] in ("failed", "disagrees")
        document = record.with_row(document, name, found)
        document = record.with_row(document, device.NAME, device.record(document))
        record.write(file, document)
        print(table.row_lines(name, found), flush=True)
    if not given.only or device.NAME in given.only.upper():
        print(table.row_lines(device.NAME, document["rows"][device.NAME]), flush=True)
    return int(failed)


def chosen(only: str, known: Sequence[str]) -> list[str]:
    """The rows that ``--only`` names, in the table's order; all without it, none where a name is unknown."""
    wanted = {name.strip().upper() for name in only.split(",") if name.strip()} or set(known)
    if device.NAME in wanted:
        wanted = (wanted - {device.NAME}) | set(device.ROWS)
    return [name for name in known if name in wanted] if wanted <= set(known) else []


def measured(name: str, quick: bool, known: dict[str, Any]) -> dict[str, Any]:
    """The record of one row, also where it fails."""
    say(f"{name}: {known['work']}")
    quiet(0 if quick else PATIENCE, say)
    load = os.getloadavg()[0]
    started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    found = process.run(name, quick)
    work = f"{known['work']} (here with shrunk sizes)" if quick else known["work"]
    return {"work": work, "wanted": known["wanted"], "started": started, "load": load, **found}


if __name__ == "__main__":
    sys.exit(main())
