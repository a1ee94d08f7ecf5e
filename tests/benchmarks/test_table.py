import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks import record, table
from benchmarks.rows import device
from benchmarks.rows.scaling_model import Measured, Model, Point, budget, fitted, predicted_memory, predicted_seconds

MACHINE = {
    "processor": "AMD EPYC",
    "cores": 2,
    "memory_gb": 16.0,
    "system": "Linux x86_64",
    "backend": "cpu",
    "accelerator": None,
    "accelerators": 0,
}
GPU = MACHINE | {"accelerator": "NVIDIA H200", "accelerators": 1, "backend": "gpu"}


def entry(name: str, ours: bool, median: float, **others: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": name,
        "ours": ours,
        "settings": "",
        "tried": {},
        "part": "",
        "factor": 1.0,
        "runs": [median] * 5,
        "median": median,
        "least": median / 2,
        "most": median * 2,
        "host": 12_000_000,
        "device": None,
        "agreement": None,
    }
    return base | ({"compile": 1.5} if ours else {}) | others


def row(**others: Any) -> dict[str, Any]:
    good = {"worst_r": 2e-6, "median_r": 1e-7, "other_penalties": 3, "lost": 1e-8, "holds": True, "predictions": None}
    base = {
        "work": "some work",
        "wanted": "4x",
        "status": "measured",
        "dtype": "float32",
        "entries": [entry("corticalign", True, 0.5, agreement=good), entry("himalaya torch", False, 3.0)],
        "ratio": 6.0,
        "goal": 4.0,
        "flops_per_second": 2e11,
        "share_of_peak": 0.52,
        "peak": {"before": 3e11, "after": 4e11},
        "cost": {"targets": 1e11},
        "versions": {"jax": "1.2.3"},
        "sizes": {"stimuli": 3200},
        "load": 0.1,
    }
    return base | others


def document(machine: dict[str, Any] = MACHINE, **rows: dict[str, Any]) -> dict[str, Any]:
    return {"format": record.FORMAT, "date": "2026-01-02", "machine": machine, "quick": False, "rows": rows}


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()]


def test_a_row_tells_times_ratio_share_and_agreement() -> None:
    first, ours, theirs = cells(table.row_lines("R3", row()))
    assert first == ["R3", "**some work**, float32", "", "", "", "", "", "**6x**, reached", "4x", ""]
    assert ours[1:7] == ["corticalign", "0.500 (0.250 to 1.00)", "5", "1.50", "12 MB", "200 (52 %)"]
    assert ours[9] == "r within 2e-06 (median 1e-07); 3 other penalties, losing 1e-08 at most"
    assert theirs[1:8] == ["himalaya torch", "3.00 (1.50 to 6.00)", "5", "", "12 MB", "", "6x"]
    assert {len(line) for line in cells(table.header())} == {len(first)}


def test_extrapolated_and_wrong_figures_are_marked() -> None:
    bad = {"worst_r": 0.2, "median_r": 1e-3, "other_penalties": 0, "lost": 0.0, "holds": False, "predictions": 0.1}
    part = entry("scikit-learn", False, 9.0, part="one split, times ten", factor=10, runs=[0.9], agreement=bad)
    text = table.row_lines("R4", row(entries=[entry("corticalign", True, 3.0), part], ratio=3.0, status="disagrees"))
    first, _, theirs = cells(text)
    assert "DISAGREES" in first[1]
    assert first[7] == "**3x**, not reached"
    assert theirs[1:4] == ["scikit-learn, *one split, times ten*", "9.00", "1"]
    assert theirs[9].endswith("predictions within 1e-01: **no**")


def test_peers_are_held_against_what_does_the_same_work() -> None:
    ours = [entry("corticalign spearman", True, 4.0), entry("corticalign cosine", True, 2.0)]
    peers = [entry("peer spearman", False, 12.0), entry("peer cosine", False, 3.0, against="corticalign cosine")]
    lines = cells(table.row_lines("D1", row(entries=[*ours, *peers], ratio=3.0, goal=None, limit=4.0)))
    assert [line[7] for line in lines] == ["**3x**, reached", "", "", "3x", "1.5x"]
    late = row(entries=[*ours, *peers], ratio=3.0, goal=None, limit=3.9)
    assert cells(table.row_lines("D1", late))[0][7] == "**3x**, not reached"


def test_what_was_compared_and_chosen_is_named() -> None:
    found = {"worst_r": 2e-6, "median_r": 1e-7, "lost": 1e-8, "holds": True, "predictions": None}
    found |= {"other_penalties": 2, "what": "similarities", "choices": "units"}
    words = cells(table.row_lines("N1", row(entries=[entry("corticalign", True, 1.0, agreement=found)])))[1][9]
    assert words == "similarities within 2e-06 (median 1e-07); 2 other units, losing 1e-08 at most"


def test_a_failed_row_says_why() -> None:
    failed = {"work": "w", "wanted": "4x", "status": "failed", "reason": "its process was killed"}
    assert cells(table.row_lines("R1", failed))[0][1] == "w: **failed: its process was killed**"


def test_the_document_is_whole_and_names_no_path() -> None:
    text = table.markdown(document(R3=row(), R1=row(versions={"jax": "1.2.4"})))
    assert text.index("| R1 |") < text.index("| R3 |")
    assert "R1: jax 1.2.4. R3: jax 1.2.3." in text
    assert "AMD EPYC, 2 cores, 16 GB; Linux x86_64." in text
    assert "peak 300 Gflop/s before and 400 after the row" in text
    assert not re.search(r"/(home|root|tmp|work|usr)\b", text)


def test_rows_of_one_day_and_machine_merge(tmp_path: Path) -> None:
    file = record.path(tmp_path / "new", "2026-01-02", MACHINE, quick=False)
    assert file.name == "2026-01-02-amd-epyc-2-cores.json"
    assert record.path(tmp_path, "2026-01-02", GPU, quick=True).name == "2026-01-02-nvidia-h200-quick.json"
    first = record.opened(file, "2026-01-02", MACHINE, quick=False)
    record.write(file, record.with_row(first, "R3", row(ratio=1.0)))
    again = record.opened(file, "2026-01-02", MACHINE, quick=False)
    record.write(file, record.with_row(record.with_row(again, "R1", row()), "R3", row(ratio=2.0)))
    found = json.loads(file.read_text())
    assert {name: one["ratio"] for name, one in found["rows"].items()} == {"R1": 6.0, "R3": 2.0}
    assert "**2x**" in file.with_suffix(".md").read_text()
    assert sorted(one.suffix for one in file.parent.iterdir()) == [".json", ".md"]


def test_a_failed_attempt_loses_no_figures() -> None:
    failed = {"work": "w", "wanted": "4x", "status": "failed", "reason": "killed"}
    kept = record.with_row(document(R3=row()), "R3", failed)["rows"]["R3"]
    assert (kept["ratio"], kept["last_attempt"]) == (6.0, failed)
    assert record.with_row(document(R3=failed), "R3", row())["rows"]["R3"] == row()
    assert record.with_row(document(), "R3", failed)["rows"]["R3"] == failed


def test_the_accelerator_row_is_put_together_from_the_others() -> None:
    assert "no accelerator here" in device.record(document(R1=row()))["reason"]
    assert device.record(document(GPU))["status"] == "not run"
    peers = [entry("himalaya torch", False, 5.0), entry("himalaya torch_cuda", False, 15.0)]
    measured = row(entries=[entry("corticalign", True, 0.5), *peers])
    assert device.record(document(GPU, R1=measured))["status"] == "R1 30x, 52 % of the peak"


@pytest.fixture
def model() -> Model:
    small, eliminating = Measured([0.01, 0.01, 0.02], 10_000_000, 0.0), Measured([0.11] * 5, 0, 1e10)
    at = Point(400, 20_000)
    found = fitted(small, eliminating, Measured([1.0], 0, 0.0), at)
    assert predicted_seconds(at, found) == pytest.approx(1.0)
    return found


def test_the_model_passes_through_its_references(model: Model) -> None:
    assert model.overhead == 0.01
    assert model.eliminating == pytest.approx(1e11)
    assert predicted_seconds(Point(50, 1, layers=7), model) == pytest.approx(0.07, rel=0.05)


def test_predicted_memory_stays_within_the_budget(model: Model) -> None:
    points = [Point(n, t, layers) for n in (200, 12_800) for t in (100, 10**6) for layers in (1, 64)]
    for point in points:
        assert predicted_memory(point, model) <= budget(point, model)
    # Streamed: a hundred times the targets take their results and no more.
    few, many = (predicted_memory(Point(4000, t), model) for t in (10**5, 10**7))
    assert many - few < 5e9
