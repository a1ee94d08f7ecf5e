"""Every row in a process of its own: memory starts fresh, nothing is compiled yet, and a crash ends only that row."""

import gc
import multiprocessing
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from benchmarks.machine import machine, versions
from benchmarks.rows.row import Row


def describe() -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """What is known of each row without running it, and the machine."""
    return _alone(_describe)


def run(name: str, quick: bool) -> dict[str, Any]:
    """The record of one row, also where it fails."""
    try:
        return _alone(_run, name, quick)
    except BrokenProcessPool:
        return {"status": "failed", "reason": "its process was killed; memory may have run out"}
    except Exception as error:  # one failing row never stops the others
        traceback.print_exc()
        words = str(error).splitlines() or [""]
        return {"status": "failed", "reason": f"{type(error).__name__}: {words[0][:200]}"}


def _alone(work: Callable[..., Any], *arguments: Any) -> Any:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _describe() -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    rows = {
        name: {"work": f"{row.work}; against {row.against}", "wanted": row.wanted, "minutes": row.minutes}
        for name, row in _rows().items()
    }
    return rows, machine()


def _run(name: str, quick: bool) -> dict[str, Any]:
    warnings.simplefilter("ignore")  # peers warn of their own small penalties at every fit
    row = _rows()[name]
    gc.freeze()  # garbage is collected before every run; what was imported is none
    return {"versions": versions(), **row.run(quick)}


def _rows() -> dict[str, Row]:
    from benchmarks.rows.registry import ROWS  # the process that writes the table needs none of the solvers and peers

    return ROWS
