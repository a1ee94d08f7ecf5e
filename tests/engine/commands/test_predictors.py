"""Other things to score than a trained model of the zoo: one's own, features made elsewhere, an untrained network."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from models import zoo
from models.preprocessing import normalise
from models.weights.sources import default_places
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
    return pd.read_parquet(path.parent / "scores-ridge.parquet"), json.loads(path.read_text())


def test_own_model_and_features_of_it_made_elsewhere_score_the_same(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    # Penalties well above the rounding of float32 features, which differs between the two ways.
    grid = "metric.ridge.penalties=[1,10,100]"
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
    np.testing.assert_allclose(of_file["score"], of_model["score"], rtol=0, atol=1e-4)


def test_a_model_is_shown_pictures_of_the_size_asked_for(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    """Of 16 pixels the stimuli are; cut out of 32, their middle half is what is seen, enlarged."""
    grid = "metric.ridge.penalties=[1,10,100]"
    spec = zoo.spec("pixels")
    whole = normalise(images(), spec.preprocessing)
    np.savez("features.npz", stimulus_id=np.array(ids()), pixels=whole)
    of_file, _ = scored(capsys, here, "features=features.npz", grid)
    words = ("model=pixels", "layers=[pixels]", "model.size=16", grid)
    of_model, summary = scored(capsys, here, *words)
    assert summary["model"]["preprocessing"]["size"] == 16
    np.testing.assert_allclose(of_model["score"], of_file["score"], rtol=0, atol=1e-4)

    twice = [np.asarray(Image.fromarray(each).resize((32, 32), Image.Resampling.BILINEAR)) for each in images()]
    middle = normalise(np.stack(twice)[:, 8:24, 8:24], spec.preprocessing)
    np.savez("features.npz", stimulus_id=np.array(ids()), pixels=middle)
    of_file, _ = scored(capsys, here, "features=features.npz", grid)
    of_model, _ = scored(capsys, here, *words, "model.fit=crop", "model.resize=32")
    np.testing.assert_allclose(of_model["score"], of_file["score"], rtol=0, atol=1e-4)


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
    assert summary["model"]["licence"] is summary["model"]["citation"] is None
    other, _ = scored(capsys, here, *words, "weights.seed=1")
    assert not np.allclose(first["score"], other["score"])


def test_licence_and_citation_are_stated_of_the_weights_that_have_them(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    """A file of the user's own, though it may be the same, is under whatever terms the user got it."""
    spec = zoo.spec("alexnet-trunk")
    words = ("model=alexnet-trunk", "layers=[pool5]")
    of_zoo, pinned = scored(capsys, here, *words)
    assert pinned["model"]["licence"] == spec.weights.licence
    assert pinned["model"]["citation"] == spec.citation
    own = here / "own.ckpt"
    own.write_bytes(spec.weights.source.locate(default_places()).read_bytes() + b"\0")
    of_file, own_summary = scored(capsys, here, *words, f"weights={own}")
    assert own_summary["model"]["licence"] is own_summary["model"]["citation"] is None
    np.testing.assert_array_equal(of_file["score"], of_zoo["score"])


def test_principal_components_of_pictures_of_their_own(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    words = ("model=pixels", "layers=[pixels]", "reduction.kind=pca", "reduction.images=pictures", "reduction.size=5")
    rng = np.random.default_rng(3)
    (here / "pictures").mkdir()
    for index in range(6):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(here / f"pictures/{index}.png")
    first, summary = scored(capsys, here, *words)
    assert summary["settings"]["reduction"]["images"] == "pictures"
    Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(here / "pictures/0.png")
    other, _ = scored(capsys, here, *words)  # results of its own
    assert not np.allclose(first["score"], other["score"])
    (here / "pictures/5.png").write_bytes(b"no picture")
    status, _, err = run(capsys, "score", "-q", "dataset=mine.h5", *words)
    assert status == 2
    assert "5.png" in err


def test_reductions_are_part_of_the_key(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    words = ("model=pixels", "layers=[pixels]")
    whole, _ = scored(capsys, here, *words)
    for more in (["reduction.kind=mean"], ["reduction.kind=subset"], ["reduction.kind=projection"]):
        reduced, summary = scored(capsys, here, *words, *more, "reduction.size=20")
        assert summary["settings"]["reduction"]["kind"] in more[0]
        assert not np.allclose(reduced["score"], whole["score"])
    components, _ = scored(capsys, here, *words, "metric.ridge.components=3")
    assert not np.allclose(components["score"], whole["score"])
