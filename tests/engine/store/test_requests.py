"""Jobs that were asked before are found; whatever could make another job of them is not."""

from pathlib import Path

import pytest

from engine.commands import asked as by_words
from engine.commands import settings
from engine.commands.asked import request
from engine.commands.schema import typed
from engine.store import requests


def asked(*words: str) -> str | None:
    return request(typed(settings.composed(settings.overrides([*words]))))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.h5", "features.npz", "weights.pth"):
        Path(name).write_bytes(name.encode())
    return tmp_path


def test_what_changes_no_number_is_not_in_the_request(here: Path) -> None:
    first = asked()
    assert first is not None
    assert asked("memory.budget=1", "output=elsewhere", "mirror=/tmp", "-q") == first
    Path("moved").mkdir()
    Path("moved/mine.h5").write_bytes(b"mine.h5")
    assert asked("dataset=moved/mine.h5") == asked("dataset=mine.h5") is not None


def test_settings_and_the_content_of_files_are(here: Path) -> None:
    requests = [
        asked(),
        asked("cv.seed=1"),
        asked("metric=rsa"),
        asked("metric=[ridge,rsa]"),
        asked("dataset.stimuli=30"),
        asked("ceiling.convention=r"),
        asked("weights=random"),
        asked("weights=weights.pth"),
        asked("features=features.npz"),
        asked("dataset=mine.h5"),
    ]
    for name in ("mine.h5", "features.npz", "weights.pth"):
        Path(name).write_bytes(name.encode() + b"changed")
    requests += [asked("weights=weights.pth"), asked("features=features.npz"), asked("dataset=mine.h5")]
    assert None not in requests
    assert len(set(requests)) == len(requests)


@pytest.mark.parametrize(
    "words",
    [
        ["model.entry=my_models:edges"],
        ["reduction.kind=pca", "reduction.images=pictures"],
        ["dataset=missing.h5"],
        ["features=missing.npz"],
        ["weights=missing.pth"],
    ],
)
def test_code_folders_and_missing_files_are_never_answered(here: Path, words: list[str]) -> None:
    assert asked(*words) is None


def test_words_are_answered_like_the_settings_they_mean(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = settings.overrides(["dataset=mine.h5", "features=features.npz", "cv.folds=3"])
    wanted = typed(settings.composed(words))
    store, folder = Path("results/store"), Path("results/mine/features-abc")
    folder.mkdir(parents=True)
    (folder / "summary.json").touch()

    def found(words: list[str] = words, output: str = "results") -> Path | None:
        return by_words.answered(words, output, store, "summary.json")

    assert found() is None
    requests.remember(Path("results"), store, str(request(wanted)), folder, [])
    assert found() is None  # its words were not noted
    by_words.remember(words, wanted, store)
    assert found() == folder
    assert found([*words[:-1], "cv.folds=4"]) is None
    assert found(output="elsewhere") is None
    (folder / "summary.json").unlink()
    assert found() is None
    (folder / "summary.json").touch()

    for name in ("mine.h5", "features.npz"):
        before = Path(name).read_bytes()
        Path(name).write_bytes(before[::-1])
        assert found() is None
        Path(name).write_bytes(before)
        assert found() == folder  # by their content, whenever they were written
    Path("mine.h5").rename("gone.h5")
    assert found() is None
    Path("gone.h5").rename("mine.h5")

    with monkeypatch.context() as changed:  # the program or a file of its settings
        changed.setattr(by_words, "code", lambda: "other")
        assert found() is None
    (store / "words" / f"{by_words.words_key(words)}.json").write_bytes(b"{")
    assert found() is None


def test_words_that_mean_something_else_elsewhere_are_never_noted(here: Path) -> None:
    for word in ("cv.seed=${oc.env:SEED}", "hydra.searchpath=['file:///a']"):
        assert by_words.words_key([word]) is None
    wanted = typed(settings.composed(settings.overrides(["model.entry=mine:model", "model.name=mine"])))
    by_words.remember(["model.entry=mine:model"], wanted, here)
    assert not (here / "words").exists()


def test_only_a_complete_folder_answers(tmp_path: Path) -> None:
    store = tmp_path / "store"
    folder = tmp_path / "sim" / "model-abc"
    requests.remember(tmp_path, store, "ab", folder, ["rows/a.parquet", "layers/b.parquet"])
    for file in ("rows/a.parquet", "layers/b.parquet"):
        (store / file).parent.mkdir()
        (store / file).touch()
    assert requests.find(tmp_path, store, "ab", "summary.json") is None
    folder.mkdir(parents=True)
    (folder / "summary.json").touch()
    assert requests.find(tmp_path, store, "ab", "summary.json") == folder
    assert requests.find(tmp_path, store, "cd", "summary.json") is None
    (store / "layers" / "b.parquet").rename(store / "gone")
    assert requests.find(tmp_path, store, "ab", "summary.json") is None
    (store / "gone").rename(store / "layers" / "b.parquet")
    assert requests.find(tmp_path, store, "ab", "summary.json") == folder
    (store / "jobs" / "ab.json").write_bytes(b"{")
    assert requests.find(tmp_path, store, "ab", "summary.json") is None
