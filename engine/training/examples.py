"""Pictures to train on, by number: decoded, with a label and, where people made one, a map of what they looked at."""

import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict, cast

import numpy as np

from engine.errors import InputError, unknown
from engine.images import FileImages, decode

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
UNLABELLED = -1


class Example(TypedDict):
    """One picture.

    image: height x width x 3, uint8.
    label: number of its class; -1 where it has none.
    map: height x width, float32, not negative; zeros where there is none.
    has_map: 1.0 or 0.0.
    """

    image: np.ndarray
    label: int
    map: np.ndarray
    has_map: float


class Examples(Protocol):
    """Examples by number, in an order that never changes; read by several threads at once."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Example: ...


def without_map(image: np.ndarray, label: int) -> Example:
    """An example of which no map is known."""
    return Example(image=image, label=label, map=np.zeros(image.shape[:2], np.float32), has_map=0.0)


class FolderExamples:
    """Pictures of a folder, ordered by their paths.

    Args:
        folder: holds one folder per class, as ImageNet is kept, or with ``classes=None`` pictures at any depth, which
            then have no labels.
        classes: names of the folders in the order of their labels (ImageNet: the 1000 WordNet ids, sorted). Of
            pictures of a few classes a model's own labels cannot be guessed, so the list is always given;
            ``sorted_classes`` makes it where the folders are all the classes there are.

    Raises:
        InputError: there are no pictures, or folders that no class is named after.
    """

    def __init__(self, folder: Path, classes: Sequence[str] | None) -> None:
        _check_folder(folder)
        if classes is None:
            self.paths, self.labels = _pictures(folder), None
        else:
            numbers = {name: number for number, name in enumerate(classes)}
            self.paths, self.labels = [], []
            for name in sorted_classes(folder):
                if name not in numbers:
                    raise unknown(f"class (a folder in {folder})", name, numbers)
                found = _pictures(folder / name)
                self.paths += found
                self.labels += [numbers[name]] * len(found)
        if not self.paths:
            raise InputError(f"there are no pictures ({', '.join(sorted(SUFFIXES))}) in the folder {folder}")
        self._images = FileImages(self.paths, [str(path.relative_to(folder)) for path in self.paths])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int, /) -> Example:
        return without_map(self._images[number], UNLABELLED if self.labels is None else self.labels[number])


def sorted_classes(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted."""
    _check_folder(folder)
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give one that holds pictures")


def _pictures(folder: Path) -> list[Path]:
    found = [
        Path(parent) / name
        for parent, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
    ]
    return sorted(found)


class TfdsExamples:
    """Pictures of a TensorFlow Datasets builder that was prepared as ArrayRecord files, read without TensorFlow.

    ``tfds.data_source`` reads only that format at random places. The order is that of the files: TFDS shuffles by
    hashes of its keys when it writes.

    Args:
        name: of the data set, ``imagenet2012`` or ``imagenet2012:5.1.0``, or the folder of a prepared one (which holds
            ``dataset_info.json``).
        split: such as ``train`` or ``validation[:10%]``.
        folder: where prepared data sets are; None for TFDS's own, ``~/tensorflow_datasets``.
        image, label: names of the features; ``label=None`` for pictures without.

    Raises:
        InputError: the data set is not prepared here, is in another format, or has no such split or feature.
    """

    def __init__(
        self, name: str, split: str, folder: Path | None = None, *, image: str = "image", label: str | None = "label"
    ) -> None:
        import tensorflow_datasets as tfds  # slow to import, and only needed here

        self.name, self._image, self._label = f"{name} ({split})", image, label
        builder = _builder(tfds, name, folder)
        for feature in filter(None, (image, label)):
            if feature not in builder.info.features:
                raise unknown(f"feature of the data set {name}", feature, builder.info.features)
        # TFDS decodes with OpenCV or Pillow, whichever there is; their pixels differ.
        keep = {image: tfds.decode.SkipDecoding()}
        try:
            self._source = cast(Sequence[Mapping[str, Any]], builder.as_data_source(split, decoders=keep))
        except NotImplementedError as error:
            raise InputError(
                f"the data set {name} is prepared in a format without random access; prepare it again as ArrayRecord: "
                f"tfds build {name} --file_format=array_record"
            ) from error
        except ValueError as error:
            raise InputError(
                f"cannot read split '{split}' of the data set {name} ({error}); known: {', '.join(builder.info.splits)}"
            ) from error

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, number: int, /) -> Example:
        features = self._source[number]
        image = decode(io.BytesIO(features[self._image]), f"feature '{self._image}'", f"{number} of {self.name}")
        return without_map(image, UNLABELLED if self._label is None else int(features[self._label]))


def _builder(tfds: Any, name: str, folder: Path | None) -> Any:
    given = Path(name).expanduser()
    prepared = (given / "dataset_info.json").is_file()
    known = tfds.list_builders(with_community_datasets=False)
    if not prepared and re.split("[:/]", name)[0] not in known:
        raise unknown("TFDS data set (or folder of a prepared one)", name, known)
    try:
        if prepared:
            _check_features(given / "features.json")
            return tfds.builder_from_directory(given)
        builder = tfds.builder(name, data_dir=folder)
    except InputError:
        raise
    except Exception as error:  # whatever its readers of JSON, versions and features raise; no class of its own
        raise InputError(f"cannot open the data set {name}: {error}") from error
    if not builder.info.splits:
        raise InputError(
            f"the data set {name} is not prepared in {builder.data_dir}; where TensorFlow is installed run: "
            f"tfds build {name} --file_format=array_record"
        )
    return builder


def _check_features(path: Path) -> None:
    """TFDS imports the classes that this file names: only its own may be named."""

    def check(members: list[tuple[str, Any]]) -> None:
        for key, value in members:
            names_class = key in ("pythonClassName", "python_class_name") or (key == "type" and "." in str(value))
            if names_class and not re.fullmatch(r"tensorflow_datasets\.core\.features\.[\w.]+", str(value)):
                raise InputError(f"{path} names the class {value}, which is none of TFDS's features; it is not opened")

    json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=check)
