"""A job killed at any moment, started again: nothing done is done again, and the tables are the same to the bit."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine.datasets.user import from_arrays
from engine.recording_file import write

WORDS = ["features=features.npz", "dataset=mine.h5", "metric=[ridge,cka,rsa]", "cv.folds=3"]
# Stands by with everything imported, and forks for every line: a start takes seconds, a job much less.
STAND_BY = """
import os, sys, warnings
warnings.simplefilter("ignore")  # JAX warns of forks
import engine.commands.score, engine.job, engine.commands.output, engine.report.figure, engine.commands.metrics
import engine.commands.predictor, engine.metrics.catalogue
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        from engine.cli import main
        main(["score", "-q", *line.split()])
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ids = [f"s{number:02d}" for number in range(18)]
    features = {f"layer{depth}": rng.normal(size=(18, 5 + depth)) for depth in range(3)}
    np.savez("features.npz", stimulus_id=ids, **features)
    np.savez("mine.npz", Y=rng.normal(size=(4, 18, 3)), stimulus_id=ids)
    write(from_arrays(Path("mine.npz"), name="mine", region="V4"), Path("mine.h5"), overwrite=False)
    return tmp_path


def tables(output: Path) -> dict[str, bytes]:
    """Every file of the store and every table of the job, by name; requests hold nothing but names of folders."""
    kept = [*output.glob("store/rows/[!.]*"), *output.glob("store/layers/[!.]*"), *output.glob("mine/[!.]*/*.parquet")]
    return {str(path.relative_to(output)): path.read_bytes() for path in [*kept, *output.glob("mine/[!.]*/*.csv")]}


def test_killed_at_random_moments_and_continued(here: Path) -> None:
    stand_by = subprocess.Popen(
        [sys.executable, "-c", STAND_BY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert stand_by.stdin is not None
    assert stand_by.stdout is not None

    def started(output: str) -> int:
        stand_by.stdin.write(" ".join([*WORDS, f"output={output}"]) + "\n")
        stand_by.stdin.flush()
        return int(stand_by.stdout.readline())

    def status() -> int:
        return int(stand_by.stdout.readline())

    try:
        assert stand_by.stdout.readline() == "ready\n"
        started("whole")
        assert status() == 0
        began = time.monotonic()
        started("timed")  # with compiled programs at hand
        assert status() == 0
        duration = time.monotonic() - began
        expected = tables(here / "whole")
        assert len(expected) == 3 + 3 + 3 + 1
        assert tables(here / "timed") == expected
        rng = np.random.default_rng(1)
        killed = 0
        for number in range(4):
            output = f"killed{number // 2}"  # twice each
            child = started(output)
            time.sleep(duration * rng.uniform(0.5, 1.0))  # the first half reads settings
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            killed += status() == signal.SIGKILL
            if number % 2:
                before = {path: path.stat().st_ino for path in (here / output / "store" / "rows").glob("[!.]*")}
                started(output)
                assert status() == 0
                assert tables(here / output) == expected
                assert {path: path.stat().st_ino for path in before} == before  # what was there was not made again
        assert killed
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(stand_by.pid, signal.SIGKILL)
        stand_by.wait()
        stand_by.stdin.close()
        stand_by.stdout.close()


def job(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What one job in this process says on standard error."""
    from engine.cli import main

    with pytest.raises(SystemExit) as stop:
        main(["score", *words])
    said = capsys.readouterr().err
    assert not stop.value.code, said
    return said


def verified(capsys: pytest.CaptureFixture[str], damaged: int) -> object:
    """Exit status of ``cache verify``, after checking how many damaged tables of results it names."""
    from engine.cli import main

    with pytest.raises(SystemExit) as stop:
        main(["cache", "verify"])
    said = capsys.readouterr().out
    assert said.count("store/layers/") == said.count(".parquet: damaged, removed: ") == damaged
    assert f"tables of results read, {damaged} damaged" in said
    return stop.value.code or 0


def test_metrics_added_to_a_finished_job_and_damage(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def words(metric: str) -> list[str]:
        return [*WORDS[:2], f"metric={metric}", "cv.folds=3"]

    job(words("cka"), capsys)
    (first,) = (here / "results/store/rows").iterdir()
    made = first.stat().st_ino, first.read_bytes()
    job(words("[cka,rsa]"), capsys)
    assert (first.stat().st_ino, first.read_bytes()) == made
    assert len(list((here / "results/store/rows").iterdir())) == 2
    # The convention enters no raw row: only the small tables are made anew.
    job([*words("cka"), "ceiling.convention=r"], capsys)
    assert len(list((here / "results/store/rows").iterdir())) == 2
    assert "computed before" in job(words("cka"), capsys)
    # A damaged result is said to be, and computed again, where another job needs it.
    first.write_bytes(made[1][: len(made[1]) // 2])
    assert "is damaged" in job([*words("[cka,rsa]"), "ceiling.convention=r"], capsys)
    assert first.read_bytes() == made[1]
    # One that no other job reads is found by `cache verify`; the same job then makes what is missing, and that alone.
    layers = sorted((here / "results/store/layers").glob("[!.]*"))
    contents = [path.read_bytes() for path in layers]
    for path, content in zip(layers, contents, strict=True):
        path.write_bytes(content[:-200])
    assert verified(capsys, len(layers)) == 1
    assert not any(path.exists() for path in layers)
    first.unlink()
    assert "computed before" not in job(words("[cka,rsa]"), capsys)
    assert "computed before" in job(words("[cka,rsa]"), capsys)
    assert first.read_bytes() == made[1]
    assert [path.read_bytes() for path in layers] == contents
    assert verified(capsys, 0) == 0
    # Other content under the same names is another job.
    np.savez("features.npz", **{**np.load("features.npz"), "layer0": np.random.default_rng(5).normal(size=(18, 5))})
    assert "computed before" not in job(words("cka"), capsys)
    assert len(list((here / "results/store/rows").iterdir())) == 3
