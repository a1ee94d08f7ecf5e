"""Folders of pictures, and TFDS data sets prepared here as ArrayRecord, without TensorFlow."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.errors import InputError
from engine.training.examples import FolderExamples, TfdsExamples, sorted_classes


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (4 + number, 6, 3), np.uint8)


def png(array: np.ndarray) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    buffer.seek(0)
    return buffer


def save(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(picture(number)).getvalue())


def test_class_folders_are_labelled_by_the_list_that_is_given(tmp_path: Path) -> None:
    save(tmp_path / "n02" / "b.png", 0)
    save(tmp_path / "n02" / "a.png", 1)
    save(tmp_path / "n01" / "z.PNG", 2)
    (tmp_path / "n01" / "notes.txt").touch()
    (tmp_path / ".git").mkdir()
    source = FolderExamples(tmp_path, ["n00", "n01", "n02"])
    assert len(source) == 3
    assert [source[number]["label"] for number in range(3)] == [1, 2, 2]
    for number, wanted in enumerate((2, 1, 0)):
        np.testing.assert_array_equal(source[number]["image"], picture(wanted))
        assert source[number]["map"].shape == picture(wanted).shape[:2]
        assert (source[number]["map"].any(), source[number]["has_map"]) == (False, 0.0)
    assert sorted_classes(tmp_path) == ["n01", "n02"]
    with pytest.raises(InputError, match=r"unknown class \(a folder in .*\) 'n01'; did you mean n02"):
        FolderExamples(tmp_path, ["n02"])


def test_pictures_without_labels_are_found_at_any_depth(tmp_path: Path) -> None:
    save(tmp_path / "one" / "two" / "a.png", 0)
    save(tmp_path / "b.png", 1)
    source = FolderExamples(tmp_path, None)
    assert [path.name for path in source.paths] == ["b.png", "a.png"]
    assert [source[number]["label"] for number in range(2)] == [-1, -1]
    (tmp_path / "b.png").write_bytes(b"\x89PNG cut short")
    with pytest.raises(InputError, match=r"stimulus b\.png"):
        source[0]


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no pictures"):
        FolderExamples(tmp_path, None)
    with pytest.raises(InputError, match="there is no folder"):
        FolderExamples(tmp_path / "absent", ["a"])


def write_tfds(folder: Path, name: str, version: str, pictures: list[np.ndarray], shape: tuple[Any, ...]) -> Path:
    """A data set written by TFDS itself as ArrayRecord, labels 0 to 4 in turn."""
    tfds = pytest.importorskip("tensorflow_datasets")

    class Written(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc, call-arg]  # a class of a package that may be missing
        # Beside classes that are in packages TFDS looks for files, with another package that is not here.
        __module__ = "nowhere"
        VERSION = tfds.core.Version(version)

        def _info(self) -> Any:
            features = {
                "image": tfds.features.Image(shape=shape),
                "label": tfds.features.ClassLabel(num_classes=10),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
            )

        def _split_generators(self, _: Any) -> dict[str, Any]:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
            for number, one in enumerate(pictures):
                yield number, {"image": png(one), "label": number % 5}

    Written.name = name
    builder = Written(data_dir=folder, file_format="array_record")
    tfds.disable_progress_bar()
    builder.download_and_prepare()
    return Path(builder.data_dir)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of seven pictures."""
    pictures = [picture(number) for number in range(7)]
    return write_tfds(tmp_path_factory.mktemp("tfds"), "tiny", "1.0.0", pictures, (None, None, 3))


def test_array_records_of_tfds_are_read_without_tensorflow(prepared: Path) -> None:
    source = TfdsExamples(str(prepared), "train")
    assert len(source) == 7
    for number in (6, 0, 3):
        example = source[number]
        np.testing.assert_array_equal(example["image"], picture(number))
        assert (example["label"], example["has_map"]) == (number % 5, 0.0)
    part = TfdsExamples(str(prepared), "train[2:4]", label=None)
    assert [part[number]["image"].shape[0] for number in range(len(part))] == [6, 7]
    assert part[0]["label"] == -1
    assert "tensorflow" not in sys.modules


def test_data_sets_are_found_by_their_names_and_grey_becomes_rgb(tmp_path: Path) -> None:
    grey = [np.random.default_rng(number).integers(0, 256, (28, 28), np.uint8) for number in range(3)]
    write_tfds(tmp_path, "mnist", "3.0.1", grey, (28, 28, 1))
    source = TfdsExamples("mnist", "train", tmp_path)
    assert len(source) == 3
    np.testing.assert_array_equal(source[2]["image"], np.repeat(grey[2][..., None], 3, axis=2))
    assert source[2]["label"] == 2


def test_other_data_sets_splits_and_features_are_refused(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read split 'test' of the data set .*; known: train"):
        TfdsExamples(str(prepared), "test")
    with pytest.raises(InputError, match=r"unknown feature of the data set .* 'labels'; did you mean label\?"):
        TfdsExamples(str(prepared), "train", label="labels")
    with pytest.raises(InputError, match=r"unknown TFDS data set .* 'imagenet2013'; did you mean imagenet2012"):
        TfdsExamples("imagenet2013", "train", tmp_path)
    with pytest.raises(InputError, match=r"imagenet2012 is not prepared in .*tfds build imagenet2012 --file_format"):
        TfdsExamples("imagenet2012", "train", tmp_path)
    (tmp_path / "dataset_info.json").write_text("{broken")
    with pytest.raises(InputError, match="cannot open the data set"):
        TfdsExamples(str(tmp_path), "train")


def test_data_prepared_as_tfrecord_are_refused_with_the_remedy(prepared: Path, tmp_path: Path) -> None:
    for path in prepared.iterdir():
        text = path.read_bytes().replace(b'"fileFormat": "array_record"', b'"fileFormat": "tfrecord"')
        (tmp_path / path.name).write_bytes(text)
    with pytest.raises(InputError, match="without random access; prepare it again as ArrayRecord"):
        TfdsExamples(str(tmp_path), "train")


def test_features_that_name_other_classes_are_not_imported(prepared: Path, tmp_path: Path) -> None:
    for path in prepared.iterdir():
        text = path.read_bytes().replace(b"tensorflow_datasets.core.features.class_label", b"engine.training.evil")
        (tmp_path / path.name).write_bytes(text)
    with pytest.raises(InputError, match=r"names the class engine\.training\.evil.*it is not opened"):
        TfdsExamples(str(tmp_path), "train")
