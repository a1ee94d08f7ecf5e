"""The command as a user meets it: what it prints, where, and its exit status."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.cli import main

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
        (["score", "model=alexnett"], "unknown model 'alexnett'; did you mean alexnet?"),
        (["score", "dataset=cowley2023"], "unknown data set 'cowley2023'; did you mean cowley2023-v4"),
        (["score", "metric=rigde"], "unknown metric 'rigde'; did you mean ridge?"),
        (["score", "cv=kfolds"], "unknown cross-validation 'kfolds'; did you mean kfold?"),
        (["score", "cv.fold=3"], "unknown setting 'cv.fold'; did you mean cv.folds"),
        (["score", "layers=[blok3]"], "unknown layer of efficientnet-lite0 'blok3'; did you mean block3"),
        (["score", "regions=[V5]", "dataset.stimuli=30"], "unknown region of sim"),
        (["score", "dataset=cowley2023-v4", "dataset.sessions=[190999]"], "unknown session '190999'; did you mean"),
        (["score", "cv.folds=many"], "'many'"),
        (["score", "cv.folds=50", "dataset.stimuli=30"], "30 stimuli cannot be split into 50 folds"),
        (["score", "cv.group=habitat", "dataset.stimuli=60", "cv.folds=20"], "for 20 folds"),
        (["score", "cv.group=movie", "dataset.stimuli=30"], "unknown stimulus column of sim"),
        (["score", "metric.select=r3"], "metric.select=r3: wanted one of r2, pearson, mse"),
        (["score", "metric.penalties=[10,1]"], "ascending"),
        (["score", "memory.budget=0"], "memory.budget"),
        (["score", "memory.budget=1e-6", "dataset.stimuli=300"], "memory.budget"),
        (["score", "dataset=nowhere.h5"], "no recording at 'nowhere.h5'"),
        (["score", "mirror=/nowhere", "dataset=images92"], "'/nowhere' is not a folder"),
        (["score", "nonsense"], "wanted KEY=VALUE"),
        (["model", "show", "alexnett"], "unknown model 'alexnett'; did you mean alexnet?"),
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
    assert "RSA" in err


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
    from engine import datasets
    from models import zoo

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
