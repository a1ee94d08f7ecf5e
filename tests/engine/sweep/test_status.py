"""Status files, and what is shown of them."""

import io
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from engine.errors import InputError
from engine.sweep import report, status, view
from engine.sweep.plan import Job
from engine.sweep.status import Status, create, load
from tests.engine.sweep.jobs import sweep_of


def test_what_is_written_is_read_elsewhere_and_only_bad_jobs_are_unfinished(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, "a", "b", "c", "d")
    sweep.write("a", Status(status.DONE, seconds=2, images=30))
    sweep.write("b", Status(status.CACHED))
    sweep.begin("c")
    assert sweep.begin("c").attempt == 2
    again = load(sweep.folder)
    assert again == sweep
    assert [each.state for each in again.statuses().values()] == ["done", "cached", "running", "queued"]
    assert again.unfinished() == ["c", "d"]
    again.fail("c", "two\n lines")
    again.fail("a", "too late: it had ended")
    assert (load(sweep.folder).read("c").reason, load(sweep.folder).read("a").state) == ("two lines", "done")
    again.requeue(again.unfinished())
    assert again.statuses()["c"] == Status(killed=2)  # begun twice, and nobody heard of either again


def test_jobs_answered_before_have_no_files_until_they_run_again(tmp_path: Path) -> None:
    jobs = [Job(name, name, ()) for name in "ab"]
    sweep = create(tmp_path, "corticalign score -m", [], jobs, {"a": "results/a"})
    assert not sweep.place("a").exists()
    again = load(sweep.folder)
    assert again == sweep
    assert again.statuses() == {"a": Status(status.CACHED, folder="results/a"), "b": Status()}
    assert again.unfinished() == ["b"]
    again.requeue(["a"])
    assert load(sweep.folder).unfinished() == ["a", "b"]
    assert load(sweep.folder).begin("a").attempt == 1


def test_thousands_of_jobs_done_before_are_counted_not_listed(tmp_path: Path) -> None:
    jobs = [Job(f"job{number}", f"job{number}", ()) for number in range(report.LISTED + 2)]
    text = io.StringIO()
    before = {job.name: "results/a" for job in jobs[1:]}
    report.show(create(tmp_path, "", [], jobs, before), Console(file=text, width=200))
    shown = text.getvalue()
    assert "job0 " in shown
    assert "job1 " not in shown
    assert f"done before, not listed: {len(before)}" in shown
    assert f"{len(jobs)} jobs: {len(before)} cached, 1 queued" in shown


def test_a_damaged_status_is_a_job_not_done(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, "a")
    sweep.write("a", Status(status.DONE))
    (sweep.place("a") / "status.json").write_text('{"state": "do')
    assert load(sweep.folder).unfinished() == ["a"]


def test_two_sweeps_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    folders = {sweep_of(tmp_path, "a").folder for _ in range(3)}
    assert len(folders) == 3
    with pytest.raises(InputError, match="did you mean"):
        load(next(iter(folders)).with_name("2026"))
    with pytest.raises(InputError, match="no sweep in"):
        load(tmp_path)


def test_rate_and_time_left_by_hand(tmp_path: Path) -> None:
    now = 1000.0
    done = Status(status.DONE, seconds=10, images=50)
    statuses = {
        "a": done,
        "b": replace(done, seconds=30, images=150),
        "c": Status(status.RUNNING, started=now - 5),
        "d": Status(status.RUNNING, started=now - 50),
        "e": Status(),
        "f": Status(status.CACHED),
        "g": Status(status.FAILED, seconds=500),
    }
    assert view.images_per_second(statuses) == 2 * 200 / 40
    assert view.seconds_left(statuses, now) == (20 + 15 + 0) / 2
    assert view.seconds_left({"e": Status()}, now) is None


def test_the_view_and_the_summary_tell_states_reasons_and_how_to_retry(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, "good", "bad[1]", "slow")
    sweep.write("good", Status(status.DONE, seconds=2, images=30, folder="results/x"))
    sweep.write("bad[1]", Status(status.FAILED, reason="no [such] file"))
    sweep.begin("slow")
    shown = Console(file=io.StringIO(), width=200)
    shown.print(view.picture(sweep, sweep.statuses(), time.time()))
    live = shown.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "3 jobs: 1 done, 1 running, 1 failed" in live
    assert "15 images/s" in live
    assert "failed: bad[1]: no [such] file" in live
    ended = Console(file=io.StringIO(), width=200)
    report.show(sweep, ended)
    text = ended.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "failed: bad[1]: no [such] file" in text
    assert f"corticalign sweep retry {sweep.folder}" in text
