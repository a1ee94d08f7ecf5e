"""The command itself, with its smallest row."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import chosen

ROOT = Path(__file__).parents[2]
KNOWN = ["R1", "R2", "R3", "R4", "R5", "R6", "P1", "P2", "B1"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    # One thread for the peers: theirs wait for each other where other work runs, and nothing is concluded here.
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment = os.environ | threads | {"XLA_FLAGS": "--xla_backend_optimization_level=0"}  # compiles faster
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )


def test_one_row_from_end_to_end(tmp_path: Path) -> None:
    done = run("--quick", "--only", "R3", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("*-quick.json")
    document = json.loads(file.read_text())
    assert list(document["rows"]) == ["R3", "G1"]
    row = document["rows"]["R3"]
    assert row["status"] == "measured"
    names = [entry["name"] for entry in row["entries"]]
    assert names[:2] == ["corticalign", "himalaya numpy"]
    for entry in row["entries"]:
        assert len(entry["runs"]) in (1, 2, 5)
        assert entry["agreement"]["median_r"] < 1e-5
    ours = row["entries"][0]
    assert len(ours["runs"]) == 5
    assert ours["agreement"]["holds"]
    assert 0 < ours["compile"] < ours["first"]
    assert 0 < row["share_of_peak"] < 1
    assert row["refits"] < 1e-7
    lines = done.stdout.splitlines()
    assert lines[2].startswith("| R3 |")
    assert "\n".join(lines[:3]) in file.with_suffix(".md").read_text()
    for text in (file.read_text(), file.with_suffix(".md").read_text()):
        assert str(ROOT) not in text
        assert os.uname().nodename not in text


def test_unknown_rows_are_refused(tmp_path: Path) -> None:
    done = run("--only", "R9", "--output", str(tmp_path))
    assert done.returncode == 2
    assert "--only R9: the rows are R1, R2, " in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("only", "found"),
    [("", KNOWN), ("P1, r3", ["R3", "P1"]), ("G1", ["R1", "R2", "R3", "R4", "B1"]), ("R3,R7", [])],
)
def test_rows_are_chosen_in_the_order_of_the_table(only: str, found: list[str]) -> None:
    assert chosen(only, KNOWN) == found
