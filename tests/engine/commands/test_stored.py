"""The commands that look at what is kept: ``results`` and ``cache``."""

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from engine import store
from engine.fetch import default_cache
from engine.gram import Summary
from engine.store import results
from engine.store.results import Result
from tests.engine.commands.test_cli import run

SUMMARY = Summary(np.eye(3, dtype=np.float32), np.arange(3.0), np.zeros(3), 2.5, 17)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models on two sessions, with one result corrected by two conventions."""
    monkeypatch.chdir(tmp_path)
    for number, (model, session) in enumerate([("alex|net", "one"), ("alex|net", "two"), ("resnet", "one")]):
        result = Result({"number": number}, model, f"data/{session}", "ridge")
        layers = pd.DataFrame(
            {
                "metric": "ridge",
                "region": ["V1", "IT", "V1", "IT"],
                "layer": ["relu_1", "relu_1", "pool", "pool"],
                "depth": [0, 0, 1, 1],
                "score": [number + 0.125, 0.25, 0.5, np.nan],
                "low": [0.1, 0.2, 0.3, np.nan],
                "high": [0.2, 0.3, 0.6, np.nan],
                "ceiling": [0.9, 0.8, 0.9, np.nan],
                "ceiled": [0.2, 0.3, 0.4, np.nan],
                "targets": [5, 6, 5, 0],
                "targets_with_ceiling": [5, 6, 5, 0],
            }
        )
        best = layers.iloc[:2].drop(columns="depth").assign(chosen=[{"relu_1": 4, "pool": 1}] * 2)
        for convention in ("r", "r|r|/c") if number == 0 else ("r|r|/c",):
            results.save_layers(Path("results/store"), result, layers, best, measure="r", convention=convention)
    return tmp_path


def test_all_rows_are_printed_once_in_order(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    status, out, _ = run(capsys, "results")
    lines = out.splitlines()
    assert status == 0
    assert len(lines) == 1 + 12
    assert lines[1].split()[:5] == ["alex|net", "data/one", "ridge", "IT", "relu_1"]
    assert "0.125 [0.100, 0.200]" in out
    assert "alex|net" not in run(capsys, "results", "model=res*")[1]
    assert len(run(capsys, "results", "dataset=data/one", "region=V1", "layer=pool")[1].splitlines()) == 1 + 2
    assert len(run(capsys, "results", "dataset=data", "region=V1,IT", "--best")[1].splitlines()) == 1 + 6


def test_exports_hold_the_same_numbers(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    words = ["results", "--csv", "all.csv", "--parquet", "all.parquet", "--latex", "all.tex", "--markdown", "all.md"]
    assert run(capsys, *words)[:2] == (0, "")
    read = pd.read_csv("all.csv")
    parquet = pq.read_table("all.parquet").to_pandas()
    assert list(read) == list(parquet)
    pd.testing.assert_frame_equal(read, parquet, check_dtype=False)
    assert len(read) == 12
    markdown = Path("all.md").read_text().splitlines()
    assert len(markdown) == 2 + 12
    assert markdown[2].startswith("| alex\\|net | data/one | ridge | IT | relu_1 | 0.250 |")
    latex = Path("all.tex").read_text()
    assert r"alex\textbar{}net & data/one & ridge & IT & relu\_1 & 0.250 &" in latex
    assert latex.count("\\\\\n") == 1 + 12
    _, out, _ = run(capsys, "results", "region=V1", "layer=pool", "--csv", "-")
    assert [row["score"] for row in csv.DictReader(io.StringIO(out))] == ["0.5"] * 3


def test_a_convention_is_chosen(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    _, out, _ = run(capsys, "results", "--convention", "r|r|/c", "--csv", "-")
    assert {row["convention"] for row in csv.DictReader(io.StringIO(out))} == {"r|r|/c"}
    _, out, _ = run(capsys, "results", "--csv", "-")
    assert [row["convention"] for row in csv.DictReader(io.StringIO(out))].count("r") == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=resnett"], "unknown model among these results 'resnett'; did you mean resnet"),
        (["modell=resnet"], "unknown filter 'modell'; did you mean model?"),
        (["resnet"], "results resnet: wanted NAME=VALUE"),
        (["output=elsewhere"], "no results in 'elsewhere'"),
        (["--csv", "all.csv/x/all.csv"], "cannot write"),
    ],
)
def test_errors_name_what_was_wanted(
    capsys: pytest.CaptureFixture[str], here: Path, words: list[str], message: str
) -> None:
    Path("all.csv").touch()
    status, _, err = run(capsys, "results", *words)
    assert status == 2
    assert message in err


def test_nothing_is_imported_that_the_answer_does_not_need(here: Path) -> None:
    program = (
        "import sys; from engine.cli import run; run(['results', '--csv', 'all.csv']); "
        "print([name for name in ('jax', 'hydra', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_cache_is_listed_measured_pruned_and_verified(capsys: pytest.CaptureFixture[str]) -> None:
    cache = default_cache()
    for age, name in enumerate(("ab12", "cd34", "ef56")):
        store.save_summary(cache, name, SUMMARY)
        os.utime(next(cache.rglob(f"{name}.npz")), (1_000_000 + age,) * 2)
    size = next(cache.rglob("ab12.npz")).stat().st_size
    assert [line.split()[-1] for line in run(capsys, "cache", "ls")[1].splitlines()] == ["ab12", "cd34", "ef56"]
    assert "3 layer summaries" in run(capsys, "cache", "size")[1]
    assert run(capsys, "cache", "verify")[0] == 0
    assert "removed 1 layer summaries" in run(capsys, "cache", "prune", str(2.5 * size / 1e9))[1]
    assert not list(cache.rglob("ab12.npz"))
    damaged = next(cache.rglob("cd34.npz"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    status, out, _ = run(capsys, "cache", "verify")
    assert status == 1
    assert "cd34.npz: damaged, removed" in out
    assert "1 damaged" in out
    status, _, err = run(capsys, "cache", "prune", "nan")
    assert status == 2
    assert "at least 0" in err
