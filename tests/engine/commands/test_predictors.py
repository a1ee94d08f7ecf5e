"""Other things to score than a trained model of the zoo: one's own, features made elsewhere, an untrained network."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.engine.commands.test_cli import run

SOURCE = """
import jax.numpy as jnp

def edges(images):
    return {"down": jnp.diff(images, axis=1), "grey": images.mean(-1), "colour": images.mean((1, 2))}
"""


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module ``my_models`` and a recording ``mine.h5`` of 24 stimuli named by letters."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    Path("my_models.py").write_text(SOURCE)
    rng = np.random.default_rng(0)
    np.savez("mine.npz", X=images(), Y=rng.normal(size=(24, 3)), stimulus_id=ids())
    assert run(capsys, "dataset", "import", "mine.npz", "--name", "mine", "--region", "V4")[0] == 0
    return tmp_path


def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (24, 16, 16, 3), np.uint8)


def ids() -> list[str]:
    return [chr(ord("a") + index) for index in range(24)]


def scored(capsys: pytest.CaptureFixture[str], here: Path, *words: str) -> tuple[pd.DataFrame, dict[str, object]]:
    """The rows and the summary of one more job."""
    before = set(here.rglob("summary.json"))
    status, _, err = run(capsys, "score", "-q", "dataset=mine.h5", *words)
    assert status == 0, err
    (path,) = set(here.rglob("summary.json")) - before
    return pd.read_parquet(path.parent / "scores.parquet"), json.loads(path.read_text())


def test_own_model_and_features_of_it_made_elsewhere_score_the_same(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    # Penalties well above the rounding of float32 features, which differs between the two ways.
    grid = "metric.penalties=[1,10,100]"
    of_model, summary = scored(capsys, here, "model.entry=my_models:edges", "model.size=16", grid)
    assert summary["model"]["name"] == "my_models.edges"
    assert summary["model"]["weights"].startswith("answers ")
    order = np.random.default_rng(2).permutation(24)  # rows are found by id
    x = images()[order] / 255.0
    features = {"down": np.diff(x, axis=1), "grey": x.mean(-1), "colour": x.mean((1, 2))}
    np.savez("features.npz", stimulus_id=np.array(ids())[order], **features)
    of_file, summary = scored(capsys, here, "features=features.npz", grid)
    assert summary["model"]["name"] == "features"
    assert list(of_file["layer"].unique()) == list(of_model["layer"].unique()) == ["down", "grey", "colour"]
    np.testing.assert_allclose(of_file["r"], of_model["r"], rtol=0, atol=1e-4)


def test_features_that_lack_a_stimulus_are_refused(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    np.savez("features.npz", stimulus_id=ids()[:-1], layer=np.zeros((23, 2)))
    status, _, err = run(capsys, "score", "dataset=mine.h5", "features=features.npz")
    assert status == 2
    assert "no features for 1 of 24 stimuli: x" in err
    assert not list(here.rglob("summary.json"))


def test_untrained_network_says_so_and_has_results_of_its_own(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    words = ("model=alexnet-trunk", "layers=[pool5]", "weights=random")
    first, summary = scored(capsys, here, *words)
    assert summary["model"]["weights"] == "random, seed 0"
    assert summary["model"]["licence"] is None
    other, _ = scored(capsys, here, *words, "weights.seed=1")
    assert not np.allclose(first["r"], other["r"])


def test_reductions_are_part_of_the_key(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    words = ("model=pixels", "layers=[pixels]")
    whole, _ = scored(capsys, here, *words)
    for more in (["reduction.kind=mean"], ["reduction.kind=subset"], ["reduction.kind=projection"]):
        reduced, summary = scored(capsys, here, *words, *more, "reduction.size=20")
        assert summary["settings"]["reduction"]["kind"] in more[0]
        assert not np.allclose(reduced["r"], whole["r"])
    components, _ = scored(capsys, here, *words, "metric.components=3")
    assert not np.allclose(components["r"], whole["r"])
