"""The command as a user meets it: what it prints, where, and its exit status."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine import datasets
from engine.cli import main
from engine.field_of_view import place
from engine.stimuli import digest
from models import zoo
from models.preprocessing import prepare

SMALL = ["dataset=sim", "dataset.stimuli=30", "dataset.neurons=3", "layers=[relu1,pool5]", "model=alexnet-trunk"]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    with pytest.raises(SystemExit) as stop:
        main(words)
    printed = capsys.readouterr()
    return int(stop.value.code or 0), printed.out, printed.err


def test_help_answers_before_jax_is_imported() -> None:
    program = "import sys; from engine.cli import run; run(['--help']); print('jax' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "corticalign score" in done.stdout
    assert done.stderr == "False\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scroe"], "unknown command 'scroe'; did you mean score?"),
        (["score", "model=alexnett"], "unknown model 'alexnett'; did you mean alexnet or alexnet-trunk"),
        (["score", "dataset=cowley2023"], "unknown data set 'cowley2023'; did you mean cowley2023-v4"),
        (["score", "metric=rigde"], "unknown metric 'rigde'; did you mean ridge"),
        (["score", "cv=kfolds"], "unknown cross-validation 'kfolds'; did you mean kfold?"),
        (["score", "cv.fold=3"], "unknown setting 'cv.fold'; did you mean cv.folds"),
        (["score", "layers=[blok3]"], "unknown layer of efficientnet-lite0 'blok3'; did you mean block3"),
        (["score", "regions=[V5]", "dataset.stimuli=30"], "unknown region of sim"),
        (["score", "dataset=cowley2023-v4", "dataset.sessions=[190999]"], "unknown session '190999'; did you mean"),
        (["score", "cv.folds=many"], "'many'"),
        (["score", "cv.folds=50", "dataset.stimuli=30"], "30 stimuli cannot be split into 50 folds"),
        (["score", "cv.group=habitat", "dataset.stimuli=60", "cv.folds=20"], "for 20 folds"),
        (["score", "cv.group=movie", "dataset.stimuli=30"], "unknown stimulus column of sim"),
        (["score", "metric.ridge.select=r3"], "metric.ridge.select=r3: wanted one of r2, pearson, mse"),
        (["score", "metric.ridge.penalties=[10,1]"], "ascending"),
        (["score", "model.fit=stretch"], "model.fit=stretch: wanted one of squash, crop"),
        (["score", "model.fitt=crop"], "unknown setting 'model.fitt'; did you mean model.fit"),
        (["score", "model.visual_degrees=wide"], "'wide'"),
        (["score", "model.visual_degrees=0"], "model.visual_degrees=0: wanted null or a width above 0, at most 180"),
        (["score", "model.visual_degrees=nan"], "model.visual_degrees=nan: wanted null"),
        (["score", "model.visual_degrees=200"], "model.visual_degrees=200: wanted null"),
        (["score", "memory.budget=0"], "memory.budget"),
        (["score", "memory.budget=1e-6", "dataset.stimuli=300"], "memory.budget"),
        (["score", "dataset=nowhere.h5"], "no recording at 'nowhere.h5'"),
        (["score", "mirror=/nowhere", "dataset=images92"], "'/nowhere' is not a folder"),
        (["score", "nonsense"], "wanted KEY=VALUE"),
        (["score", "weights=nowhere.pth"], "weights=nowhere.pth: there is no such file"),
        (["score", "weights=random", "weights.seed=one"], "'one'"),
        (["score", "reduction.kind=tsne"], "reduction.kind=tsne: wanted one of none, mean, subset, projection, pca"),
        (["score", "reduction.kind=pca"], "reduction.kind=pca, reduction.images=null: pca is fitted to a folder"),
        (["score", "reduction.images=."], "reduction.kind=none, reduction.images=.: pca is fitted to a folder"),
        (
            ["score", "reduction.kind=pca", "reduction.images=nowhere"],
            "reduction.images=nowhere: there is no such folder",
        ),
        (["score", "reduction.kind=pca", "reduction.images=."], "reduction.images=.: 0 pictures"),
        (["score", "reduction.size=0"], "reduction.size=0: wanted at least 1"),
        (["score", "metric.ridge.components=0"], "metric.ridge.components=0: wanted at least 1"),
        (
            ["score", "features=a.h5", "reduction.kind=mean"],
            "reduction.kind=mean: features made elsewhere are scored as",
        ),
        (["score", "features=nowhere.h5"], "features=nowhere.h5: there is no such file"),
        (["score", "model.entry=nothing"], "model.entry=nothing: wanted package.module:name"),
        (["score", "model.entry=no_such_package:net"], "No module named 'no_such_package'"),
        (["model", "show", "alexnett"], "unknown model 'alexnett'; did you mean alexnet or alexnet-trunk"),
        (["dataset", "show", "image92"], "unknown data set 'image92'; did you mean images92?"),
    ],
)
def test_one_clear_error_and_status_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *words)
    assert status == 2
    assert message in err
    assert err.startswith("corticalign: error: ")
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []


def test_no_network_says_which_files_to_bring(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, "score", "dataset=cowley2023-v4", f"mirror={tmp_path}")
    assert status == 2
    assert "images_190925.zip" in err
    assert "responses_190925.npy" in err
    assert "CORTICALIGN_MIRROR" in err


def test_dissimilarities_alone_refuse_regression(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    distances = np.random.default_rng(0).random((8, 12, 12))
    np.savez("rdm.npz", rdm_IT=distances + distances.swapaxes(1, 2), X=np.zeros((12, 9, 9, 3), np.uint8))
    assert run(capsys, "dataset", "import", "rdm.npz", "--name", "mine")[0] == 0
    status, _, err = run(capsys, "score", "dataset=mine.h5")
    assert status == 2
    assert "dissimilarity matrices only" in err
    assert "metric=rsa" in err


def test_a_field_of_view_needs_the_width_of_the_stimuli(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("mine.npz", X=rng.integers(0, 256, (12, 9, 9, 3), dtype=np.uint8), Y=rng.random((12, 2)))
    assert run(capsys, "dataset", "import", "mine.npz", "--name", "mine", "--region", "V4")[0] == 0
    # refused before the model's weights are looked for
    words = ["score", "dataset=mine.h5", "weights=nowhere.pth"]
    status, _, err = run(capsys, *words, "model.visual_degrees=8")
    assert status == 2
    assert "recording 'mine' does not say how many degrees its stimuli are wide" in err
    assert "nowhere.pth" in run(capsys, *words)[2]


def test_fit_and_visual_degrees_are_obeyed_and_recorded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["dataset=sim", "dataset.stimuli=30", "dataset.neurons=2", "layers=[stem]"]
    status, out, _ = run(capsys, "score", *small, "model.fit=crop", "model.visual_degrees=10")
    assert status == 0
    assert "8 degrees wide on a field of view of 10 degrees" in out
    assert "shorter side to 256 pixels, then the middle 224 x 224" in out
    (path,) = tmp_path.rglob("summary.json")
    summary = json.loads(path.read_text())
    assert summary["settings"]["model"].items() >= {"fit": "crop", "visual_degrees": 10.0}.items()
    assert summary["model"]["preprocessing"]["resize"] == 256
    (recording,) = datasets.load("sim", {"stimuli": 30, "neurons": 2, "repetitions": 8, "seed": 0}, lambda file: None)
    preprocessing = zoo.spec("efficientnet-lite0").preprocessing
    pixels = np.stack([prepare(place(recording.images[i], 8, 10), preprocessing, "crop") for i in range(30)])
    assert summary["recordings"][0]["digests"]["stimuli"] == digest(pixels)


def test_output_that_cannot_be_written_is_refused_first(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("a file")
    status, _, err = run(capsys, "score", "output=taken/results")
    assert status == 2
    assert "cannot write to the output folder" in err


@pytest.mark.parametrize("words", [["model", "list"], ["dataset", "list"]])
def test_lists_name_everything_whole(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    status, out, _ = run(capsys, *words)
    assert status == 0
    for name in zoo.names() if words[0] == "model" else datasets.names():
        assert name in out
    assert "…" not in out  # nothing cut off, though there is no window


def test_show_says_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "model", "show", "alexnet-trunk")[1]
    assert "2,469,696" in out  # parameters of torchvision's convolutional trunk
    assert "55 x 55 x 64" in out
    out = run(capsys, "dataset", "show", "sim")[1]
    assert "SIMULATED" in out


def test_config_is_shown_without_running(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "score", "cv=shuffle", "--cfg", "job")
    assert status == 0
    assert "train_size: 0.9" in out


def test_show_model_says_how_pictures_reach_it(capsys: pytest.CaptureFixture[str]) -> None:
    def shown(name: str) -> str:
        status, out, _ = run(capsys, "model", "show", name)
        assert status == 0
        return out

    vit = shown("vit-base-patch16")
    assert "model.fit=crop: the shorter side resized to 248, bicubic, then the central 224 x 224 cut out" in vit
    assert "each pixel value (0 to 255), minus the mean 127.5, divided by the std 127.5\n" in vit
    assert "minus the mean 123.7, 116.3 and 103.5, divided by the std 58.4, 57.12 and 57.38\n" in shown("alexnet")
    assert "each pixel value (0 to 255), minus the mean 123.7, 116.8 and 103.9\n" in shown("resnet50-keras-v1")
    pixels = shown("pixels")
    assert "each pixel value (0 to 255), divided by 255\n" in pixels
    assert "weights     none needed\n" in pixels
    assert "weights     none pinned: give a file with weights=PATH\n" in shown("levit-small")
