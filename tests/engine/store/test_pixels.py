"""Digests of pixels are found without decoding, and change with every picture and everything done to it."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.images import ArrayImages, FileImages, ZipImages
from engine.recording_file import read, write
from engine.store.pixels import load_digest, pixels_key, save_digest
from tests.engine.commands.test_cli import run


def pictures(folder: Path, changed: int | None = None) -> list[Path]:
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(4):
        array = rng.integers(0, 256, (8, 8, 3), np.uint8)
        array[0, 0, 0] ^= number == changed
        paths.append(folder / f"{number}.png")
        Image.fromarray(array).save(paths[-1])
    return paths


def every_kind(folder: Path, changed: int | None) -> list[object]:
    paths = pictures(folder, changed)
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for path in paths:
            archive.write(path, path.name)
    members = [path.name for path in paths]
    array = np.stack([np.asarray(Image.open(path)) for path in paths])
    return [FileImages(paths), ZipImages(folder / "all.zip", members), ArrayImages(array)]


def test_one_changed_value_of_one_picture_changes_the_key(tmp_path: Path) -> None:
    same = [pixels_key(images, {"size": 8}) for images in every_kind(tmp_path / "a", None)]
    again = [pixels_key(images, {"size": 8}) for images in every_kind(tmp_path / "b", None)]
    other = [pixels_key(images, {"size": 8}) for images in every_kind(tmp_path / "c", 2)]
    treated = [pixels_key(images, {"size": 9}) for images in every_kind(tmp_path / "d", None)]
    assert same[0] == again[0]
    assert same[2] == again[2]
    assert len({None, *same, *other, *treated}) == 10


def test_pictures_of_a_recording_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = pictures(tmp_path / "images")
    keys = []
    for number, kind in enumerate(("files", "files", "pixels")):
        if number == 1:
            pictures(tmp_path / "images", changed=3)
        arrays = {"Y": np.arange(12.0).reshape(4, 3), "stimulus_id": [path.stem for path in paths]}
        more = ["--images", "images"]
        if kind == "pixels":
            arrays["X"], more = np.stack([np.asarray(Image.open(path)) for path in paths]), []
        np.savez("mine.npz", **arrays)
        words = ["dataset", "import", "mine.npz", "--name", "mine", "--region", "V4", "--out", f"{number}.h5", *more]
        assert run(capsys, *words)[0] == 0
        recording = read(Path(f"{number}.h5"))
        keys.append(pixels_key(recording.images, {}))
        write(recording, Path(f"copy{number}.h5"))
        assert pixels_key(read(Path(f"copy{number}.h5")).images, {}) == keys[-1]
    assert keys[0] != keys[1]
    assert keys[1] == keys[2]  # the same pictures, however they came into the file


def test_pictures_that_cannot_be_identified_have_no_key(tmp_path: Path) -> None:
    assert pixels_key([np.zeros((8, 8, 3), np.uint8)], {}) is None
    assert pixels_key(FileImages([tmp_path / "missing.png"]), {}) is None


def test_a_damaged_note_is_not_believed(tmp_path: Path) -> None:
    assert load_digest(tmp_path, "ab12") is None
    save_digest(tmp_path, "ab12", "f" * 64)
    assert load_digest(tmp_path, "ab12") == "f" * 64
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    path.write_text(path.read_text().replace("f", "e", 1))
    assert load_digest(tmp_path, "ab12") is None


def test_known_pictures_are_not_decoded_for_another_metric(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["score", "-q", "dataset=sim", "dataset.stimuli=30", "dataset.neurons=3", "model=pixels", "layers=[pixels]"]
    assert run(capsys, *words, "metric=cka")[0] == 0

    def decoded(images: ArrayImages, index: int) -> np.ndarray:
        raise AssertionError("decoded")

    monkeypatch.setattr(ArrayImages, "__getitem__", decoded)
    assert run(capsys, *words, "metric=[cka,rsa]")[0] == 0
    status, _, err = run(capsys, *words, "metric=cka", "model.fit=crop", "model.visual_degrees=3")
    assert status == 1  # Hydra's, of what is no InputError
    assert "AssertionError: decoded" in err
