"""Signs of life: what a running job says of itself, and who is taken to be alive."""

import io
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from engine.sweep import beat, report, status, view
from engine.sweep.beat import Beat, alive, launching
from engine.sweep.status import Status
from tests.engine.sweep.jobs import sweep_of


def printed(what: object) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(what)
    return str(console.file.getvalue())  # type: ignore[attr-defined]  # a StringIO


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_running_job_says_what_it_holds_and_the_view_and_the_table_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beat, "LOOK", 0.01)
    monkeypatch.setattr(beat, "EVERY", 0.02)
    sweep = sweep_of(tmp_path, "a")
    began = sweep.begin("a")
    with Beat(sweep, "a", began) as own:
        array = np.ones(25_000_000)
        deadline = time.monotonic() + 60
        while sweep.read("a").memory < array.nbytes and time.monotonic() < deadline:
            time.sleep(0.01)
        running = sweep.read("a")
        ended = own.taken(replace(began, state=status.DONE, seconds=1.0))
    assert running.memory >= array.nbytes
    assert (running.state, running.attempt) == ("running", 1)
    assert ended.memory >= running.memory
    told = report.memory(running)
    assert told == f"{running.memory / 1e9:.2g} GB"
    assert told in printed(view.picture(sweep, {"a": running}, time.time()))
    sweep.write("a", replace(ended, memory=1_940_000_000, device=12_100_000_000))
    shown = Console(file=io.StringIO(), width=200)
    report.show(sweep, shown)
    assert "1.9 + 12 GB device" in shown.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_a_job_that_was_taken_back_is_not_said_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beat, "LOOK", 0.01)
    monkeypatch.setattr(beat, "EVERY", 0.01)
    sweep = sweep_of(tmp_path, "a")
    began = sweep.begin("a")
    sweep.write("a", replace(began, state=status.QUEUED))
    with Beat(sweep, "a", began) as own:
        own._thread.join(60)
        assert not own._thread.is_alive()
    assert sweep.read("a").state == status.QUEUED


def test_who_is_alive(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, "a", "b")
    assert alive(sweep) is None
    with launching(sweep):
        assert f"process {os.getpid()}" in str(alive(sweep))
    assert alive(sweep) is None
    sweep.begin("b")
    assert "job b runs" in str(alive(sweep))
    path = sweep.place("b") / "status.json"
    os.utime(path, (time.time() - 2 * beat.FRESH,) * 2)
    assert alive(sweep) is None  # whoever has its number by now is another
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    sweep.write("b", replace(sweep.read("b"), process=dead.pid))
    assert alive(sweep) is None
    sweep.write("b", replace(sweep.read("b"), host="another"))
    assert "on another" in str(alive(sweep))
    sweep.write("b", Status(status.DONE))
    assert alive(sweep) is None
