"""ClickMe: photographs with maps of the places that let people recognise them, as published for the harmonizer.

The files (``train-0`` to ``train-317`` and ``val-0`` to ``val-16`` with the ending ``.tfrecords``, below
https://storage.googleapis.com/serrelab/prj_harmonization/dataset/click-me/ in ``train/`` and ``val/``) are TFRecords of
``tf.train.Example`` with three features:

    image     JPEG, 256 x 256, RGB          or, in the older files, 256 x 256 x 3 float32, 0 to 255
    heatmap   JPEG, 256 x 256, grey         or 256 x 256 float32
    label     one int64, 0 to 999, the ImageNet class

Fel, Felipe, Linsley & Serre (2022), Harmonizing the object recognition strategies of deep neural networks with humans,
NeurIPS; the maps: Linsley, Shiebler, Eberhardt & Serre (2019), Learning what and where to attend, ICLR. Other sizes
than 256 are read as well. How many records there are is counted, not known beforehand: published numbers differ.
"""

import io
import math
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from engine.errors import InputError
from engine.harmonize.records import RecordFile
from engine.harmonize.tf_example import Values, encode_example, parse_example
from engine.training.examples import Example

CLASSES = 1000
_FORMATS = ("JPEG", "PNG")  # what TensorFlow's decode_jpeg takes, too
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


class ClickMe:
    """Examples of several ClickMe files, one file after the other.

    Args:
        files: for instance those that `files_of` finds.
        classes: one more than the largest label allowed.

    Raises:
        InputError: a file is missing, empty, cut short or altered.
    """

    def __init__(self, files: Sequence[Path], classes: int = CLASSES) -> None:
        if not files:
            raise InputError("no ClickMe files were given")
        with ThreadPoolExecutor(8) as pool:  # each is read at many places, which on a network disk is mostly waiting
            self.files = list(pool.map(RecordFile, files))
        self._ends = np.cumsum([len(file) for file in self.files])
        self._classes = classes

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, number: int, /) -> Example:
        if not 0 <= number < len(self):
            raise IndexError(number)
        place = int(np.searchsorted(self._ends, number, side="right"))
        file = self.files[place]
        record = number - int(self._ends[place]) + len(file)
        start = file.start(record)
        where = f"{file.path}, record {record} (from 0) at byte {start}"
        return decode(parse_example(file[record], where, start), where, self._classes)


def files_of(folder: Path, split: str) -> list[Path]:
    """The files ``<split>-<number>.tfrecords`` of a folder, or of the folder ``<split>`` in it, by their numbers.

    Raises:
        InputError: there are none, or one before the last is missing.
    """
    numbered = re.compile(rf"{re.escape(split)}-(\d+)\.tfrecords?")
    found: dict[int, Path] = {}
    for place in (folder, folder / split):
        for path in place.iterdir() if place.is_dir() else ():
            if match := numbered.fullmatch(path.name):
                found[int(match[1])] = path
    if not found:
        raise InputError(
            f"there are no ClickMe files '{split}-<number>.tfrecords' in {folder}; download them (see "
            "https://github.com/serre-lab/Harmonization), or make some from pictures and maps of your own"
        )
    if missing := sorted(set(range(max(found))) - set(found)):
        raise InputError(
            f"of the ClickMe files {split}-0 to {split}-{max(found)} in {folder} these are missing: "
            f"{', '.join(map(str, missing[:20]))}{' ...' if len(missing) > 20 else ''}; bring them as well"
        )
    return [found[number] for number in sorted(found)]


def decode(features: dict[str, Values], where: str, classes: int = CLASSES) -> Example:
    """An example from the features of a record.

    Returns:
        The picture, height x width x 3 uint8, and its map, height x width float32, as they are in the record.

    Raises:
        InputError: names ``where``, and the feature that is missing or not what it should be.
    """
    image = _picture(_only_bytes(features, "image", where), f"{where}, image")
    heat = _heat(_only_bytes(features, "heatmap", where), f"{where}, heatmap")
    if image.shape[:2] != heat.shape:
        raise InputError(
            f"{where}: the picture is {image.shape[0]} x {image.shape[1]}, its map {heat.shape[0]} x {heat.shape[1]}; "
            "wanted equal sizes"
        )
    label = features.get("label")
    if not isinstance(label, np.ndarray) or label.dtype != np.int64 or label.size != 1:
        raise InputError(f"{where}: {_absent('label', features)}, one int64")
    if not 0 <= label[0] < classes:
        raise InputError(f"{where}: label {label[0]} is out of range, wanted 0 to {classes - 1}")
    return Example(image=image, label=int(label[0]), map=heat, has_map=1.0)


def encode(picture: bytes, heat: np.ndarray, label: int) -> bytes:
    """A record: the picture's JPEG bytes as they are, the map as a grey JPEG of the best quality.

    Args:
        picture: a JPEG file.
        heat: height x width, not negative; 255 stands for its maximum.
        label: number of the class.
    """
    grey = np.rint(heat * (255 / heat.max())).astype(np.uint8)
    return encode_example({"image": picture, "heatmap": jpeg(grey, 100), "label": label})


def jpeg(array: np.ndarray, quality: int) -> bytes:
    """A uint8 picture as JPEG bytes, with colour at full resolution."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def _absent(name: str, features: dict[str, Values]) -> str:
    if name not in features:
        return f"the feature '{name}' is missing (there are {', '.join(sorted(features)) or 'none'}); wanted"
    return f"the feature '{name}' is not what was wanted"


def _only_bytes(features: dict[str, Values], name: str, where: str) -> bytes:
    values = features.get(name)
    if not isinstance(values, list) or len(values) != 1:
        raise InputError(f"{where}: {_absent(name, features)}, one string of bytes")
    return values[0]


def _picture(data: bytes, where: str) -> np.ndarray:
    if _is_file(data):
        return _opened(data, "RGB", where)
    raw = _raw(data, 3, where)
    if raw.min() < -0.5 or raw.max() >= 255.5 or raw.max() <= 1:
        raise InputError(f"{where}: its float32 pixels are {raw.min():g} to {raw.max():g}, wanted the range 0 to 255")
    return np.rint(raw).astype(np.uint8)


def _heat(data: bytes, where: str) -> np.ndarray:
    heat = _opened(data, "L", where).astype(np.float32) if _is_file(data) else _raw(data, 1, where)[..., 0]
    if heat.min() < 0:
        raise InputError(f"{where}: its smallest value is {heat.min():g}; wanted none below 0")
    return heat


def _is_file(data: bytes) -> bool:
    return data.startswith((b"\xff\xd8\xff", b"\x89PNG"))


def _opened(data: bytes, mode: str, where: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            return np.asarray(image.convert(mode))
    except _BROKEN as error:
        raise InputError(f"{where}: no intact JPEG or PNG ({error or type(error).__name__})") from error


def _raw(data: bytes, channels: int, where: str) -> np.ndarray:
    """A square of float32 numbers."""
    side = math.isqrt(len(data) // (4 * channels))
    if side == 0 or side * side * channels * 4 != len(data):
        raise InputError(f"{where}: {len(data)} bytes are no JPEG, and no square of {channels} float32 per pixel")
    square = np.frombuffer(data, "<f4").reshape(side, side, channels).astype(np.float32)
    if not np.isfinite(square).all():
        raise InputError(f"{where}: it holds numbers that are not finite")
    return square
