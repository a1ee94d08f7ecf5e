import time

import numpy as np
import pytest

from benchmarks import comparison, measure
from benchmarks.agreement import Agreement
from benchmarks.comparison import Contender, compare


def test_memory_is_the_peak_above_what_was_there() -> None:
    kept = np.ones(30_000_000, np.uint8)

    def work() -> None:
        large = np.ones(80_000_000, np.uint8)
        time.sleep(30 * measure.PERIOD)
        del large
        time.sleep(30 * measure.PERIOD)

    run = measure.timed(work)[1]
    assert run.host == pytest.approx(80e6, rel=0.1)
    assert run.device is None
    assert kept.all()


def test_making_up_data_is_not_counted() -> None:
    def work() -> str:
        with measure.uncounted():
            time.sleep(0.05)
        return "done"

    start = time.perf_counter()
    result, run = measure.timed(work)
    assert result == "done"
    assert 0 <= run.seconds <= time.perf_counter() - start - 0.05


def test_machine_peak_is_positive() -> None:
    assert measure.product_peak("float64", quick=True) > 1e8


def result(holds: bool = True) -> Agreement:
    return Agreement(1e-6, 1e-7, 0, 0.0, holds)


def test_every_contender_is_warmed_up_checked_and_run_five_times() -> None:
    calls: list[str] = []

    def contender(name: str, seconds: float, **settings: object) -> Contender:
        def work() -> str:
            calls.append(name)
            time.sleep(seconds)
            return name

        return Contender(name, work, lambda found: calls.append(f"{found} checked") or result(), **settings)

    found = compare(
        [contender("ours", 0.002)],
        [contender("theirs", 0.02), contender("part", 0.01, factor=10, rounds=2)],
        dtype="float32",
        cost=lambda ours: {"work": 1e6 if ours == "ours" else 0.0},
        quick=True,
        goal=3.0,
    )
    assert calls[:6] == ["ours", "ours checked", "theirs", "theirs checked", "part", "part checked"]
    assert calls[6:] == ["ours", "theirs", "part"] * 2 + ["ours", "theirs"] * 3
    ours, theirs, part = found["entries"]
    assert [len(entry["runs"]) for entry in found["entries"]] == [5, 5, 2]
    assert ours["least"] <= ours["quartiles"][0] <= ours["median"] <= ours["quartiles"][1] <= ours["most"]
    assert part["median"] == pytest.approx(10 * np.median(part["runs"]))
    assert found["ratio"] == pytest.approx(theirs["median"] / ours["median"])
    assert found["flops_per_second"] == pytest.approx(1e6 / ours["median"])
    assert (found["goal"], found["status"]) == (None, "measured")  # goals are about the full sizes


def test_disagreement_is_told() -> None:
    wrong = Contender("ours", lambda: None, lambda found: result(holds=False))
    found = compare([wrong], [], dtype="float32", cost={"work": 1.0}, quick=True)
    assert found["status"] == "disagrees"


def test_work_without_products_has_no_rate_and_peers_of_others_no_ratio() -> None:
    ours = [Contender("first", lambda: time.sleep(0.01)), Contender("second", lambda: None)]
    peers = [Contender("slow", lambda: time.sleep(0.2)), Contender("quick", lambda: None, against="second")]
    found = compare(ours, peers, dtype="float32", cost={}, quick=True)
    assert "share_of_peak" not in found
    assert found["ratio"] > 2
    assert [one["against"] for one in found["entries"]] == ["", "", "", "second"]


@pytest.mark.parametrize(
    ("ours", "first", "most", "rounds"),
    [(True, 100, 5, 5), (False, 1, 5, 5), (False, 1, 2, 2), (False, 25, 5, 2), (False, 50, 5, 1), (False, 25, 1, 1)],
)
def test_slow_peers_run_once_or_twice(ours: bool, first: float, most: int, rounds: int) -> None:
    entry = comparison.Entry("", ours, "", {}, 1.0, "", first)
    assert comparison.planned_rounds(Contender("", lambda: None, rounds=most), entry) == rounds


def test_the_fastest_settings_are_taken() -> None:
    best, tried = comparison.fastest({"slow": lambda: time.sleep(0.5), "fast": lambda: None})
    assert best == "fast" == min(tried, key=tried.__getitem__)
    assert tried["slow"] >= 0.5
