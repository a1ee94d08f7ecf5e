"""Maps through the command: a folder as the publishers' archive unpacks, two layers, and what is refused."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from engine.metrics.spatial_map import ceiling, grid_features
from tests.engine.commands.test_cli import run
from tests.engine.test_spatial_maps_file import write

IMAGES, GRID = 4, 4
SOURCE = """
def layers(images):
    return {"map": images[:, ::2, ::2], "vector": images.mean((1, 2))}
"""
ARCARO = ("score", "dataset=arcaro2020", "dataset.path=Arcaro2020", "model.entry=seen:layers", "model.size=16")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module ``seen`` and Red's recording: 3 sites that see the pictures' colours, and some noise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "seen", raising=False)
    Path("seen.py").write_text(SOURCE)
    Path("Arcaro2020/Red/red_naturalface").mkdir(parents=True)
    write(Path("Arcaro2020/Red/red_062419_data.mat"), recorded()[::-1, ::-1].repeat(130, axis=2), IMAGES)
    for number, picture in enumerate(pictures()):
        Image.fromarray(picture).save(f"Arcaro2020/Red/red_naturalface/face{number}.jpg", format="PNG")
    return tmp_path


def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (IMAGES, 16, 16, 3), np.uint8)


def recorded() -> np.ndarray:
    """x, y, time, channel, image, lying as the pictures do."""
    rng = np.random.default_rng(2)
    seen = grid_features(pictures()[:, ::2, ::2] / 255, (GRID, GRID))
    maps = seen @ rng.normal(size=(3, 3)) + 0.02 * rng.normal(size=(IMAGES, GRID, GRID, 3))
    return maps.transpose(1, 2, 3, 0)[:, :, None]


def test_maps_are_scored_by_the_command(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    words = (*ARCARO, "dataset.monkeys=[Red]", "metric=spatial_map", "metric.spatial_map.components=3", "cv.folds=9")
    status, out, err = run(capsys, *words)
    assert status == 0, err
    assert "(3,) have no height and width; no score" in err
    assert "splits: 4 images, each held out by itself as the metric is defined, whatever cv says" in out
    assert "r/c: score over c, the largest correlation between the maps of two neuroids, mean over images" in out
    assert "best layer" not in out  # nothing chooses one
    (path,) = here.rglob("summary.json")
    assert path.parent.parent.name == "arcaro2020"
    assert (path.parent / "layers-spatial_map.png").is_file()
    rows = pd.read_parquet(path.parent / "scores-spatial_map.parquet")
    assert len(rows) == 2 * 3 * IMAGES  # layers x sites x images
    # The sites follow three colours with little noise, and three components are all there are.
    assert (rows.loc[rows["layer"] == "map", "score"] > 0.95).all()
    assert rows.loc[rows["layer"] == "vector", "score"].isna().all()
    summary = json.loads(path.read_text())
    assert summary["recordings"][0]["held_out"] == [[f"face{number}.jpg"] for number in range(IMAGES)]
    (row,) = [each for each in summary["layers"] if each["layer"] == "map"]
    best_pair = ceiling(recorded()[:, :, 0].transpose(3, 0, 1, 2)).mean()
    assert row["region"] == "ML"
    assert row["ceiling"] == pytest.approx(best_pair)
    assert row["ceiled"] == pytest.approx(row["score"] / best_pair)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*ARCARO, "dataset.monkeys=[Red]", "metric=ridge"), "metric=ridge: recording 'arcaro2020/Red' holds maps"),
        ((*ARCARO, "metric=spatial_map"), "there is no Arcaro2020/George/george_060118_data.mat"),
        ((*ARCARO, "metric=spatial_map", "reduction.kind=mean"), "height and width of a layer, and reduction.kind"),
        ((*ARCARO, "metric=spatial_map", "metric.spatial_map.components=0"), "components=0: wanted at least 1"),
        (("score", "dataset=arcaro2020", "metric=spatial_map"), "dataset.path is needed"),
        (("score", "dataset.stimuli=30", "metric=spatial_map"), "recording 'sim (SIMULATED)' holds no maps"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], here: Path, words: tuple[str, ...], message: str
) -> None:
    status, _, err = run(capsys, *words)
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not list(here.rglob("summary.json"))


def test_the_data_set_is_listed_with_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "dataset", "list")
    (line,) = [line for line in out.splitlines() if line.startswith("arcaro2020")]
    assert "bring it" in line
    _, out, _ = run(capsys, "dataset", "show", "arcaro2020")
    assert "Arcaro2020.zip: unpack it yourself; without a published checksum" in out
