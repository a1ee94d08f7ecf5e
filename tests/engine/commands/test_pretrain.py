"""``corticalign pretrain`` as a user runs it, on small pictures."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file

from models import zoo
from models.port import Choice, abstract, dotted
from models.weights import own_file
from tests.engine.commands.test_cli import run
from tests.engine.test_hosts import started
from tests.engine.test_meeting import free_port

PICTURES = 20
COMMON = ("images.source=pictures", "train.steps=4", "train.batch=4", "train.warmup=0", "every=2")
SIMCLR = ("model=cornet-z", "model.size=32", *COMMON)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``pictures``: discs of a colour each, at two depths."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "pictures" / "deeper").mkdir(parents=True)
    y, x = np.mgrid[:48, :64]
    for number in range(PICTURES):
        picture = rng.integers(0, 60, (48, 64, 3), np.uint8)
        inside = (y - rng.integers(16, 32)) ** 2 + (x - rng.integers(20, 44)) ** 2 < 200
        picture[inside] = rng.integers(100, 256, 3)
        Image.fromarray(picture).save(tmp_path / "pictures" / ("deeper" if number % 2 else ".") / f"{number}.png")
    return tmp_path


def only(folder: Path) -> Path:
    (found,) = (folder / "pretrained").iterdir()
    return found


def start(name: str) -> None:
    """``start.safetensors``: weights drawn with NumPy, because XLA takes seconds to compile the drawing."""
    rng = np.random.default_rng(0)
    _, leaves = abstract(zoo.spec(name).port())
    drawn = {
        dotted(path): rng.normal(size=leaf.shape) / np.prod(leaf.shape[:-1]) ** 0.5 * (len(leaf.shape) > 1)
        for path, leaf in leaves.items()
    }
    own_file.write(Path("start.safetensors"), drawn, name)


def changed(folder: Path) -> set[str]:
    """Names of the tensors that training changed."""
    before, after = load_file("start.safetensors"), load_file(folder / "weights.safetensors")
    assert before.keys() == after.keys()  # no head is left
    assert all(np.isfinite(tensor).all() for tensor in after.values())
    return {name for name in before if not np.array_equal(before[name], after[name])}


def test_simclr_leaves_weights_and_is_done_once(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    start("cornet-z")
    # Gradients of one convolution alone, which compile faster than all.
    words = [*SIMCLR, "weights=start.safetensors", "train.multipliers=['*:0','IT:1','training_heads:1']"]
    status, out, error = run(capsys, "pretrain", *words)
    assert status == 0, error
    folder = only(here / "results")
    left = {path.name for path in folder.iterdir()}
    assert left == {"weights.safetensors", "summary.json", "loss.png", "loss.svg", "log"}
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["trained"], summary["held_out"]) == (18, 2)
    assert changed(folder) == ({"IT.conv.weight", "IT.conv.bias"} if summary["best_step"] else set())
    assert len(pd.read_csv(folder / "log" / "terms.csv")) == 4
    scores = pd.read_csv(folder / "log" / "scores.csv").set_index("step")["information"]
    assert list(scores.index) == [0, 2, 4]
    assert scores.idxmax() == summary["best_step"]
    assert summary["scores"]["information"] == {"before": scores[0], "after": scores.max()}
    assert f"score it:  corticalign score model=cornet-z weights={folder.relative_to(here)}" in out

    # The same pictures in another place are the same training.
    (here / "pictures").rename(here / "moved")
    words = [word.replace("=pictures", "=moved") for word in words]
    status, again, error = run(capsys, "pretrain", *words)
    assert (status, again) == (0, out)
    assert "nothing was done again" in error


def test_an_autoencoder_is_trained_and_read_again(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    start("vae")
    words = ["objective=vae", "weights=start.safetensors", "train.multipliers=['*:0','decoder.5:1']", *COMMON]
    status, _, error = run(capsys, "pretrain", *words)
    assert status == 0, error
    folder = only(here / "results")
    assert changed(folder) == {"decoder.5.weight", "decoder.5.bias"}
    summary = json.loads((folder / "summary.json").read_text())
    scores = {name: row["after"] for name, row in summary["scores"].items()}
    assert scores["bound"] == pytest.approx(-scores["reconstruction"] - scores["divergence"], rel=1e-6)
    assert scores["bound"] > summary["scores"]["bound"]["before"]
    # And it is read as any file of the model's weights.
    weights = folder / "weights.safetensors"
    model = zoo.load("vae", Choice(str(weights)))
    assert model.weights_digest == sha256(weights.read_bytes()).hexdigest()
    np.testing.assert_array_equal(model.params["decoder"][5]["weight"], load_file(weights)["decoder.5.weight"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["images.source=null"], "images.source=null: wanted a folder of pictures, or tfds:NAME"),
        (["images.source=nowhere"], "there is no folder nowhere"),
        (["images.source=empty"], "there are no pictures"),
        (["train.batch=19"], "train.batch=19: of 20 pictures 18 are left to train on after 2 are held out"),
        (["objective=simcrl"], "unknown objective 'simcrl'; did you mean simclr"),
        (["objective.kind=vea"], "unknown objective 'vea'; did you mean vae"),
        (["model=cornett"], "unknown model 'cornett'; did you mean cornet"),
        (["objective=vae"], "model=cornet-z with objective=vae: wanted model=vae"),
        (["objective=vae", "model=vae"], "model.size=32: 'vae' cannot take images of 32 pixels; give its own, 64"),
        (["objective=vae", "objective.temperature=1"], "unknown setting 'objective.temperature'"),
        (["objective.temperature=0"], "objective.temperature=0: wanted a number above 0"),
        (["objective.jitter=3"], "objective.jitter=3: wanted a strength from 0 to 2"),
        (["held_out=1"], "held_out=1: wanted a share above 0 and below 1"),
        (["train.ema=1"], "train.ema=1: wanted a decay"),
    ],
)
def test_one_clear_error_and_nothing_left(
    capsys: pytest.CaptureFixture[str], here: Path, words: list[str], told: str
) -> None:
    (here / "empty").mkdir()
    given = [word for word in SIMCLR if word.partition("=")[0] not in {each.partition("=")[0] for each in words}]
    status, out, error = run(capsys, "pretrain", *given, *words)
    assert status == 2
    assert told in error
    assert error.count("error:") == 1
    assert "Traceback" not in error
    assert not out
    assert not list(here.rglob("pretrained"))


def test_two_processes_train_as_one(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    start("cornet-z")
    words = [*SIMCLR, "weights=start.safetensors", "train.multipliers=['*:0','IT:1','training_heads:1']"]
    port = free_port()
    both = [started(number, port, "pretrain", *words, "output=two") for number in (0, 1)]
    status, out, error = run(capsys, "pretrain", *words)
    assert status == 0, error
    for number, process in enumerate(both):
        process.join()
        assert process.exitcode == 0, (here / f"err{number}").read_text()
    assert (here / "out1").read_text() == ""
    one, two = only(here / "results"), only(here / "two")
    assert one.name == two.name
    for name in ("terms", "scores"):
        found, wanted = (pd.read_csv(folder / "log" / f"{name}.csv") for folder in (two, one))
        pd.testing.assert_frame_equal(found, wanted, rtol=1e-4, atol=1e-5)  # sums of four pictures in another order
    assert (here / "out0").read_text().splitlines()[0] == out.splitlines()[0]
    assert not (two / "checkpoints").exists()
    status, _, error = run(capsys, "pretrain", *words, "hosts=localhost:7000")
    assert status == 2
    assert "wanted the number of processes" in error
