"""``corticalign harmonize`` as a user runs it, on small pictures."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file

from tests.engine.commands.test_cli import run

PICTURES = 12
SMALL = (
    "model=squeezenet1-1",
    "model.size=48",
    "weights=random",
    "maps.source=pictures",
    "held_out=0.25",
    "selection=0.25",
    "train.steps=2",
    "train.batch=4",
    "train.warmup=0",
    "train.learning_rate=0.0001",
    "every=1",
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``pictures/images`` and ``pictures/maps``: bright squares, and where they are."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for kind in ("images", "maps"):
        (tmp_path / "pictures" / kind).mkdir(parents=True)
    for number in range(PICTURES):
        picture = rng.integers(0, 120, (60, 60, 3), np.uint8)
        where = np.zeros((60, 60), np.uint8)
        top, left = rng.integers(0, 30, 2)
        where[top : top + 20, left : left + 20] = 255
        picture[where > 0] = (240, 200, rng.integers(0, 255))
        Image.fromarray(picture).save(tmp_path / "pictures" / "images" / f"{number}.png")
        Image.fromarray(where).save(tmp_path / "pictures" / "maps" / f"{number}.png")
    return tmp_path


def test_a_run_leaves_weights_tables_and_figures_and_is_not_done_twice(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    status, out, _ = run(capsys, "harmonize", *SMALL)
    assert status == 0
    (folder,) = (here / "results" / "harmonized").iterdir()
    left = {path.name for path in folder.iterdir()}
    assert left >= {"weights.safetensors", "summary.json", "pictures.parquet", "saliency.png", "loss.png", "log"}
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["held_out"] == 3
    assert summary["labels"] == "the model's own answers before training"
    pictures = pd.read_parquet(folder / "pictures.parquet")
    published = pictures["spearman_before"].mean() / 0.65753
    assert summary["scores"]["before"]["alignment"]["value"] == pytest.approx(published)
    rise = summary["scores"]["after"]["dice"]["value"] - summary["scores"]["before"]["dice"]["value"]
    assert summary["scores"]["difference"]["dice"]["value"] == pytest.approx(rise)
    assert len(pd.read_csv(folder / "log" / "terms.csv")) == 2
    assert len(pd.read_csv(folder / "log" / "scores.csv")) == 3  # before, and after each step
    assert f"score it:  corticalign score model=squeezenet1-1 weights={folder.relative_to(here)}" in out
    weights = load_file(folder / "weights.safetensors")
    assert all(np.isfinite(tensor).all() for tensor in weights.values())

    status, again, error = run(capsys, "harmonize", *SMALL)
    assert status == 0
    assert "nothing was done again" in error
    assert again == out
    # Pictures are known by what they are: moved they are the same, changed they are not.
    (here / "pictures").rename(here / "moved")
    moved = [word.replace("=pictures", "=moved") for word in SMALL]
    status, again, error = run(capsys, "harmonize", *moved)
    assert status == 0
    assert "nothing was done again" in error
    assert again == out
    Image.fromarray(np.zeros((60, 60, 3), np.uint8)).save(here / "moved" / "images" / "0.png")
    status, _, error = run(capsys, "harmonize", *moved)
    assert status == 0
    assert len(list((here / "results" / "harmonized").iterdir())) == 2
    # And what was made is scored like any file of weights.
    status, out, error = run(
        capsys,
        "score",
        "model=squeezenet1-1",
        f"weights={folder / 'weights.safetensors'}",
        "layers=2",
        "dataset.stimuli=20",
        "dataset.neurons=2",
    )
    assert status == 0, error
    status, _, error = run(capsys, "score", "model=alexnet", f"weights={folder / 'weights.safetensors'}")
    assert status == 2
    assert "squeezenet1-1" in error


def test_pictures_cut_to_be_judged_are_judged_as_what_is_left(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    """A frame that is cut away without resizing changes nothing: neither picture nor map nor the model's labels."""
    rng = np.random.default_rng(1)
    for kind, ends in (("images", (48, 48, 3)), ("maps", (48, 48))):
        for folder in ("framed", "bare"):
            (here / folder / kind).mkdir(parents=True)
        for number in range(PICTURES):
            inner = rng.integers(0, 256, ends, np.uint8)
            framed = rng.integers(0, 256, (96, 96, *ends[2:]), np.uint8)
            framed[24:72, 24:72] = inner
            Image.fromarray(inner).save(here / "bare" / kind / f"{number}.png")
            Image.fromarray(framed).save(here / "framed" / kind / f"{number}.png")
    found = {}
    given = [word for word in SMALL if not word.startswith("maps.source")]
    for folder, words in (("bare", []), ("framed", ["model.fit=crop", "model.resize=96"])):
        status, _, error = run(
            capsys, "harmonize", *given, f"maps.source={folder}", *words, "train.steps=1", f"output={folder}/out"
        )
        assert status == 0, error
        (path,) = (here / folder / "out").rglob("summary.json")
        found[folder] = json.loads(path.read_text())["scores"]["before"]
    assert found["framed"] == found["bare"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["maps.source=nowhere"], "maps.source=nowhere: there is no such folder"),
        (["labels=given"], "there is no pictures/labels.csv"),
        (["train.learnin_rate=1"], "did you mean train.learning_rate"),
        (["train.statistics=moving"], "wanted one of frozen, updated"),
        (["held_out=0.6", "selection=0.5"], "leave none to train on"),
        (["train.multipliers=['featurez:0']"], "unknown parameter or group of parameters"),
        (["train.multipliers=['features']"], "is not PATTERN:FACTOR"),
        (["loss.parity=release"], "loss.parity=release: wanted one of null, released, training"),
        (["train.method=adam"], "train.method=adam: wanted one of adamw, sgd, natural"),
        (["model=pixels"], "has no classifier"),
        (["images.source=nowhere"], "there is no folder nowhere"),
        (["model.size=16"], "model.size=16: 'squeezenet1-1' cannot take images of 16 pixels"),
        (["model.resize=60"], "model.resize=60 with model.fit=squash"),
        (["model.fit=crop", "model.resize=40"], "model.resize=40: wanted at least the 48 pixels"),
        (["model.fit=cut"], "model.fit=cut: wanted one of squash, crop"),
        (["train.smallest_view=0.5", "train.largest_view=0.4"], "train.smallest_view=0.5, train.largest_view=0.4"),
        (["train.steps=0"], "train.steps=0: wanted at least 1"),
    ],
)
def test_one_clear_error_and_nothing_left(
    capsys: pytest.CaptureFixture[str], here: Path, words: list[str], told: str
) -> None:
    given = [word for word in SMALL if word.partition("=")[0] not in {each.partition("=")[0] for each in words}]
    if "model=pixels" in words:
        given.remove("weights=random")
    status, out, error = run(capsys, "harmonize", *given, *words)
    assert status == 2
    assert told in error
    assert "Traceback" not in error
    assert not out
    assert not list((here / "results").rglob("*")) if (here / "results").exists() else True


def test_maps_and_pictures_of_different_sizes_are_refused(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    Image.fromarray(np.full((50, 60), 9, np.uint8)).save(here / "pictures" / "maps" / "3.png")
    status, _, error = run(capsys, "harmonize", *SMALL)
    assert status == 2
    assert "wanted equal sizes" in error
