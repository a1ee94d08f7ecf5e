"""``corticalign cotrain`` as a user runs it, on a small simulated recording."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file

from models import zoo
from models.port import Choice, load
from tests.engine.commands.test_cli import run

TERMS = "terms=[{layer:V2.output-t0,region:V4,warm_up:1},{layer:V4.output-t0,region:V4,kind:linear,weight:0.5}]"
SMALL = (
    "model=cornet-z",
    "model.size=32",
    "weights=random",
    "dataset=sim",
    "dataset.stimuli=60",
    "dataset.neurons=8",
    "dataset.repetitions=2",
    TERMS,
    "cv.folds=3",
    "held_out.stimuli=0.3",
    "selection=0.2",
    "train.steps=4",
    "train.batch=4",
    "train.neural_batch=16",
    "train.warmup=0",
    "train.method=adamw",
    "train.learning_rate=0.001",
    "every=2",
)


def only(folder: Path) -> Path:
    (found,) = (folder / "cotrained").iterdir()
    return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_leaves_weights_and_tables_resumes_and_is_set_against_its_control(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    # Killed after its first checkpoints in one folder, whole in another: the same weights.
    words = ["cotrain", *SMALL, "output=killed"]
    job = subprocess.Popen([sys.executable, "-m", "engine.cli", *words], start_new_session=True)
    deadline = time.monotonic() + 300
    while not list(here.glob("killed/cotrained/*/checkpoints/2")) and job.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert not list(here.rglob("summary.json"))
    status, out, error = run(capsys, "cotrain", *SMALL)
    assert status == 0, error
    folder = only(here / "results")
    status, continued, error = run(capsys, *words)
    assert status == 0, error
    assert continued.replace("killed/", "results/") == out
    again = only(here / "killed")
    weights, uninterrupted = (load_file(each / "weights.safetensors") for each in (again, folder))
    assert weights.keys() == uninterrupted.keys()
    assert all(np.array_equal(weights[name], uninterrupted[name]) for name in weights)
    assert (again / "log" / "terms.csv").read_bytes() == (folder / "log" / "terms.csv").read_bytes()

    left = {path.name for path in folder.iterdir()}
    assert left == {
        *("weights.safetensors", "summary.json", "neuroids.parquet", "scores.csv", "loss.png", "loss.svg", "log")
    }
    assert "SIMULATED" in out
    summary = json.loads((folder / "summary.json").read_text())
    rows = pd.read_parquet(folder / "neuroids.parquet")
    assert len(rows) == 2 * 8  # layers x neuroids of V4; none of V1 and IT, which no term names
    assert rows[~rows["trained"]].groupby("layer").size().tolist() == [2, 2]  # a quarter
    for row in summary["scores"]:
        mine = rows[(rows["region"] == row["region"]) & (rows["layer"] == row["layer"])]
        mine = mine[mine["trained"] == (row["neuroids"] == "trained neuroids")]
        assert row["count"] == len(mine)
        assert row["before"]["value"] == pytest.approx(mine["before"].mean())
        assert row["difference"]["value"] == pytest.approx((mine["after"] - mine["before"]).mean())
        assert row["difference"]["low"] <= row["difference"]["value"] <= row["difference"]["high"]
    terms = pd.read_csv(folder / "log" / "terms.csv")
    assert {"log_cka:V2.output-t0:V4", "linear:V4.output-t0:V4", "cross_entropy"} <= set(terms)
    # The warm-up of the first term: in the first step it does not count.
    first = terms.iloc[0]
    assert first["neural"] == pytest.approx(0.5 * first["linear:V4.output-t0:V4"])
    assert not any("training_heads" in name for name in weights)

    # Asked again it answers from its folder; a control is set against it; weights are read as any file.
    status, same, error = run(capsys, "cotrain", *SMALL)
    assert (status, same) == (0, out)
    assert "nothing was done again" in error
    status, out, error = run(capsys, "cotrain", *SMALL, "control=shuffled")
    assert status == 0, error
    assert "CONTROL" in out
    assert "against the run with control=null" in out
    status, out, error = run(capsys, "cotrain", *SMALL)
    assert "against the run with control=shuffled" in out
    assert not load(zoo.spec("cornet-z"), Choice(str(folder / "weights.safetensors"))).pinned


def test_task_pictures_of_ones_own_without_those_held_out(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    rng = np.random.default_rng(0)
    (here / "pictures").mkdir()
    for number in range(10):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)).save(here / "pictures" / f"{number}.png")
    status, _, error = run(capsys, "cotrain", *SMALL, "images.source=pictures", "train.steps=1", "choose=best")
    assert status == 0, error
    summary = json.loads((only(here / "results") / "summary.json").read_text())
    assert summary["agreement"]["pictures"] == 3
    assert summary["step"] in (0, 1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["terms=[{layer:V2.outptu-t0,region:V4}]"], "did you mean V2.output-t0"),
        (["terms=[{layer:V2*,region:V4}]"], "fits 2 layers; give one term for each"),
        (["terms=[{layer:V2.output-t0,region:V5}]"], "unknown region 'V5'; did you mean"),
        (["terms=[{layer:V2.output-t0}]"], "term 1 of terms= has no region"),
        (["terms=[]"], "co-training without a term"),
        (
            ["terms=[{layer:V2.output-t0,region:V4,kind:cka}]"],
            "unknown kind of neural term 'cka'; did you mean log_cka",
        ),
        (["held_out.where={session:[210225]}"], "unknown column of the neuroid table 'session'"),
        (["held_out.where={subject:[PE]}"], "unknown subject 'PE'"),
        (["held_out.where.region=[V1,V4,IT]"], "nothing to train on; hold out less"),
        (["held_out.stimuli=1"], "held-out share of stimuli"),
        (["held_out.stimuli=0", "held_out.neuroids=0"], "nothing is held out"),
        (["held_out.stimuli=0.04"], "cannot be split into 3 folds"),
        (["selection=0"], "selection=0: wanted a share"),
        (["control=shufled"], "control=shufled: wanted one of null, shuffled, surrogate"),
        (["control=surrogate", "train.neural_batch=200"], "fewer than a neural batch of 200"),
        (["metric=rsa"], "metric=rsa: wanted a metric that predicts single neuroids"),
        (["metric=[ridge,pls]"], "wanted one metric"),
        (
            ["model=alexnet-trunk", "model.size=64"],
            "has no classifier, so it has no task to go on with: set task.weight=0",
        ),
        (["model=cornett"], "did you mean cornet"),
        (["train.learnin_rate=1"], "did you mean train.learning_rate"),
        (["images.source=nowhere"], "there is no folder nowhere"),
    ],
)
def test_one_clear_error_and_nothing_left(
    capsys: pytest.CaptureFixture[str], here: Path, words: list[str], told: str
) -> None:
    if "model=alexnet-trunk" in words:
        words = [*words, "terms=[{layer:relu2,region:V4}]"]
    given = [word for word in SMALL if word.partition("=")[0] not in {each.partition("=")[0] for each in words}]
    status, out, error = run(capsys, "cotrain", *given, *words)
    assert status == 2
    assert told in error
    assert error.count("error:") == 1
    assert "Traceback" not in error
    assert not out
    assert not list(here.rglob("cotrained"))


def test_a_learning_rate_that_diverges_is_told_with_its_step(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    status, _, error = run(capsys, "cotrain", *SMALL, "train.learning_rate=1e30", "task.weight=0")
    assert status == 2
    assert "training diverged at step" in error
    assert "a lower learning rate" in error
