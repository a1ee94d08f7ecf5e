"""Pictures with what people looked at in them, as examples or as files in the format of ClickMe.

The folder that is written is read by everything that reads ClickMe:

    train-0.tfrecords ...   val-0.tfrecords ...   manifest.json

A JPEG picture keeps its bytes; of others one is made. A map is stored as the format wants it, in grey levels with 255
for its maximum: its scale is lost, on which neither the map loss nor the alignment score depends, and what is less than
1/510 of the maximum becomes 0.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from engine.errors import InputError
from engine.harmonize import clickme
from engine.harmonize.records import write_records
from engine.images import decode
from engine.store import write_folder
from engine.training.examples import Example

MANIFEST = "manifest.json"


class Pair(NamedTuple):
    """A picture, what people looked at in it, and its class.

    Attributes:
        name: unique.
        picture: its file.
        heat: gives the map, height x width, not negative, of the picture's size; called when it is written.
        label: number of its class.
        points_outside: fixations left out because they lie outside the picture.
    """

    name: str
    picture: Path
    heat: Callable[[], np.ndarray]
    label: int
    points_outside: int = 0


class PairExamples:
    """Pairs as examples, their maps exactly as given.

    Pictures are decoded when they are asked for, maps made once and kept, four bytes a pixel: many pairs are better
    written to files.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._pairs = list(pairs)
        self._maps: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, number: int, /) -> Example:
        pair = self._pairs[number]
        if number not in self._maps:
            self._maps[number] = _checked(pair)
        image = decode(pair.picture, str(pair.picture), pair.name)
        return Example(image=image, label=pair.label, map=self._maps[number], has_map=1.0)


def write_clickme(
    pairs: Sequence[Pair],
    folder: Path,
    *,
    held_out: float = 0.1,
    seed: int = 0,
    classes: int = clickme.CLASSES,
    per_file: int = 1024,
    advance: Callable[[int], None] = lambda pictures: None,
) -> dict[str, Any]:
    """Writes the folder of ClickMe files whole or not at all, and reads every record back before it gets its name.

    Args:
        pairs: in any order; the result depends on their names, not on it.
        folder: must not exist.
        held_out: share of the pictures that go to ``val``, drawn by ``seed``; at least one, and never all.
        seed: of the split and of the order in the files.
        classes: one more than the largest label allowed.
        per_file: most records of one file.
        advance: called with 1 after each picture.

    Returns:
        What ``manifest.json`` says: seed, share, the names of the pictures in each file with the SHA-256 and size.

    Raises:
        InputError: the folder exists, labels are out of range, a map shows nothing, fewer than two pictures, a broken
            picture, a full disk. Nothing is left behind.
    """
    if folder.exists():
        raise InputError(f"the folder {folder} exists and is not overwritten; give another or remove it")
    _check(pairs, held_out, classes)
    ordered = sorted(pairs, key=lambda pair: pair.name)
    shuffled = [ordered[place] for place in np.random.default_rng(seed).permutation(len(ordered))]
    count = min(max(1, round(held_out * len(shuffled))), len(shuffled) - 1)
    files: dict[str, dict[str, Any]] = {}
    for split, part in (("val", shuffled[:count]), ("train", shuffled[count:])):
        for number, first in enumerate(range(0, len(part), per_file)):
            files[f"{split}-{number}.tfrecords"] = {"pictures": [pair.name for pair in part[first : first + per_file]]}
    by_name = {pair.name: pair for pair in ordered}
    manifest = {
        "format": "ClickMe TFRecords: image, heatmap (JPEG), label",
        "seed": seed,
        "held_out": held_out,
        "classes": classes,
        "train": len(shuffled) - count,
        "val": count,
        "fixations_outside_their_picture": sum(pair.points_outside for pair in pairs),
        "files": files,
    }

    def write(temporary: Path) -> None:
        for name, entry in files.items():
            path = temporary / name
            write_records(path, _records([by_name[picture] for picture in entry["pictures"]], advance))
            written = clickme.ClickMe([path], classes)
            for number in range(len(written)):
                written[number]
            content = path.read_bytes()
            entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")

    write_folder(folder, write)
    return manifest


def _records(pairs: Sequence[Pair], advance: Callable[[int], None]) -> Iterator[bytes]:
    for pair in pairs:
        yield clickme.encode(_jpeg_of(pair.picture), _checked(pair), pair.label)
        advance(1)


def _checked(pair: Pair) -> np.ndarray:
    heat = pair.heat()
    if not heat.max() > heat.min():
        raise InputError(f"the map of picture '{pair.name}' is {heat.max():g} everywhere: it shows nothing")
    return heat


def _check(pairs: Sequence[Pair], held_out: float, classes: int) -> None:
    if len(pairs) < 2:
        raise InputError(f"{len(pairs)} pictures with maps; wanted two or more, to train on and to hold out")
    if not 0 < held_out < 1:
        raise InputError(f"held_out={held_out}; wanted the share of the pictures to be held out, between 0 and 1")
    if len({pair.name for pair in pairs}) < len(pairs):
        raise InputError("two pictures have the same name; wanted each of its own")
    for pair in pairs:
        if not 0 <= pair.label < classes:
            raise InputError(f"picture '{pair.name}' has label {pair.label}; wanted 0 to {classes - 1}")


def _jpeg_of(path: Path) -> bytes:
    content = path.read_bytes()
    pixels = decode(io.BytesIO(content), str(path), path.stem)
    with Image.open(io.BytesIO(content)) as image:
        if image.format == "JPEG" and image.mode == "RGB":
            return content
    return clickme.jpeg(pixels, 95)
