from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from engine.report.figure import save
from engine.report.loss_figure import loss_figure, running_mean


def run(steps: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    step = np.arange(1, steps + 1)
    loss = 3 * np.exp(-step / 80) + 0.3 + 0.1 * rng.random(steps)
    terms = pd.DataFrame({"step": step, "loss": loss, "map": loss / 3, "cross_entropy": 2 * loss / 3})
    at = np.arange(0, steps + 1, max(1, steps // 6))
    return terms, pd.DataFrame({"step": at, "alignment": 0.5 - 0.3 * np.exp(-at / 60), "agreement": 0.98 + 0 * at})


def test_the_running_mean_by_hand() -> None:
    assert running_mean(np.array([1.0, 3.0, 5.0, np.nan, 7.0]), 2).tolist() == [1, 2, 4, 5, 7]


def lines(figure: Figure) -> dict[str, np.ndarray]:
    return {str(line.get_label()): np.asarray(line.get_ydata()) for axes in figure.axes for line in axes.get_lines()}


def test_it_shows_every_term_and_score() -> None:
    terms, scores = run(300)
    figure = loss_figure(terms, scores, "EfficientNet-Lite0 on 311 scenes", "lambda 2, seed 0", best=250)
    drawn = lines(figure)
    assert {"loss", "map", "cross_entropy", "alignment", "agreement"} <= set(drawn)
    assert drawn["map"][-1] == pytest.approx(terms["map"][-6:].mean())
    assert np.array_equal(drawn["alignment"], scores["alignment"])
    assert figure.axes[0].get_yscale() == "log"
    assert len(loss_figure(terms, scores.iloc[:0], "title", "").axes) == 1


def test_the_same_run_gives_the_same_bytes_and_long_runs_stay_small(tmp_path: Path) -> None:
    for folder, steps in (("a", 50), ("b", 50), ("long", 60_000)):
        (tmp_path / folder).mkdir()
        save(loss_figure(*run(steps), "title", "note"), tmp_path / folder, "loss")
    for name in ("loss.png", "loss.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "long" / "loss.svg").stat().st_size < 400_000


def test_a_run_of_one_step_or_with_gaps_is_drawn() -> None:
    terms, scores = run(1)
    assert lines(loss_figure(terms, scores.iloc[:1], "title", ""))["loss"].tolist() == terms["loss"].tolist()
    terms, scores = run(20)
    terms.loc[3, "map"] = np.nan
    assert np.isfinite(lines(loss_figure(terms, scores, "title", ""))["loss"]).all()
