"""Sweeps as a user meets them, with jobs of features made elsewhere."""

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.sweep.status import load
from tests.engine.commands.test_cli import run

# Of finished jobs: a folder that was being written when its process was killed begins with a dot.
COMPLETE = "results/mine/[!.]*/scores-ridge.parquet"
JOB = ["dataset=mine.h5", "features=feat.npz"]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recording of 24 stimuli and the features of two layers."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    ids = [f"s{number:02d}" for number in range(24)]
    images = rng.integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
    np.savez("mine.npz", X=images, Y=rng.normal(size=(24, 3)), stimulus_id=ids)
    a, b = (rng.normal(size=(24, width)).astype(np.float32) for width in (6, 9))
    np.savez("feat.npz", stimulus_id=ids, a=a, b=b)
    assert run(capsys, "dataset", "import", "mine.npz", "--name", "mine", "--region", "V4")[0] == 0
    return tmp_path


def sweeps() -> list[Path]:
    return sorted(Path("results/sweeps").iterdir())


def states(folder: Path) -> dict[str, str]:
    """Label without its digest -> state."""
    found = sorted(folder.glob("jobs/*/status.json"))
    return {path.parent.name.rpartition("-")[0]: json.loads(path.read_text())["state"] for path in found}


def test_a_failure_stops_no_other_job_and_only_it_is_done_again(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    status, out, err = run(capsys, "score", "-m", *JOB, "cv.folds=40,3", "metric.ridge.penalties=[1,10]")
    assert status == 2
    assert "24 stimuli cannot be split into 40 folds" in err
    assert re.search(r"cv.folds=3 +done", out)
    assert "2 jobs: 1 done, 1 failed" in out
    (first,) = sweeps()
    assert states(first) == {"cv.folds=3": "done", "cv.folds=40": "failed"}
    logs = {path.parent.name.rpartition("-")[0]: path.read_text() for path in first.glob("jobs/*/log.txt")}
    assert "best layer" in logs["cv.folds=3"]
    assert "24 stimuli cannot be split into 40 folds" in logs["cv.folds=40"]
    done = next(first.glob("jobs/cv.folds=3-*/status.json"))
    assert json.loads(done.read_text())["images"] == 24

    (retry,) = re.findall(r"only these again: corticalign (.*)", out)
    status, out, err = run(capsys, *retry.split())
    assert status == 2
    assert "sweep of 1 jobs" in err
    assert json.loads(done.read_text())["attempt"] == 1

    status, out, _ = run(capsys, "score", "-m", *JOB, "cv.folds=3", "metric.ridge.penalties=[1,10]")
    assert status == 0
    assert "1 job: 1 cached" in out
    status, out, _ = run(capsys, "sweep", "show", str(sweeps()[-1]))
    assert (status, "1 job: 1 cached" in out) == (0, True)


def test_a_sweep_that_is_killed_goes_on_in_worker_processes_with_the_same_numbers(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    words = ["score", "-m", *JOB, "launcher=local", "launcher.workers=1", "cv.seed=0,1,2"]
    with subprocess.Popen([sys.executable, "-m", "engine.cli", *words], stderr=subprocess.PIPE) as sweep:
        deadline = time.monotonic() + 300
        while not list(here.glob(COMPLETE)) and sweep.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        sweep.kill()
    (folder,) = sweeps()
    before = {path: path.read_bytes() for path in here.glob(COMPLETE)}
    assert len(before) < 3
    workers = {json.loads(path.read_text())["process"] for path in folder.glob("jobs/*/status.json")}
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers), "a worker outlived its sweep"
    status, _, err = run(capsys, "sweep", "retry", str(folder), "launcher=sequential")
    assert status == 0, err
    assert {*states(folder).values()} <= {"done", "cached"}
    assert "best layer" in "".join(path.read_text() for path in folder.glob("jobs/*/log.txt"))
    tables = sorted(path.read_bytes() for path in here.glob(COMPLETE))
    assert len(tables) == 3
    assert set(before.values()) <= set(tables)
    one = next(iter(here.glob(COMPLETE)))
    assert len(pd.read_parquet(one)) == 2 * 3 * 5  # layers x neuroids x splits


def test_a_job_that_was_killed_is_done_again_in_smaller_passes_once_it_is_dead(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    status, out, _ = run(capsys, "score", "-m", *JOB, "metric=cka", "cv.folds=3")
    assert status == 0
    assert "peak memory" in out
    (folder,) = sweeps()
    sweep = load(folder)
    (job,) = sweep.jobs
    assert sweep.read(job.name).memory > 10_000_000
    began = sweep.begin(job.name)
    status, _, err = run(capsys, "sweep", "retry", str(folder))
    assert status == 2
    assert "still runs: job" in err
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    sweep.write(job.name, replace(began, process=dead.pid))
    status, _, err = run(capsys, "sweep", "retry", str(folder))
    assert status == 0, err
    assert "passes 4 times smaller" in sweep.log(job.name).read_text()
    assert load(folder).read(job.name).killed == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["score", "-m", "launcher=slrm", "cv.folds=3,4"], "unknown launcher 'slrm'; did you mean slurm"),
        (["score", "-m", "launcher=local", "launcher.worker=2"], "did you mean launcher.workers"),
        (["score", "-m", "launcher=local", "launcher.workers=0"], "launcher.workers=0: wanted at least 1"),
        (["score", "-m", "launcher=local", "launcher.memory_fraction=2"], "wanted above 0, at most 1"),
        (["score", "-m", "hydra/launcher=joblib"], "who runs the jobs is launcher=NAME"),
        (["sweep", "shwo", "x"], "did you mean sweep show"),
        (["sweep", "show"], "wanted the folder of a sweep"),
        (["sweep", "retry", "nowhere"], "no sweep in 'nowhere'"),
    ],
)
def test_one_clear_error_before_a_sweep_begins(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, *words)
    assert status == 2
    assert message in err
    assert list(tmp_path.iterdir()) == []
