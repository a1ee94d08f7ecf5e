"""Pairs of a folder of pictures and a folder of maps, or of fixations, in files named alike but for their endings.

With :func:`engine.harmonize.pairs.write_clickme` they become a data set to train on.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from engine.errors import InputError
from engine.harmonize.fixations import fixation_map, inside_picture, read_points
from engine.harmonize.pairs import Pair
from engine.training.examples import SUFFIXES

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def pairs_of_maps(images: Path, maps: Path, labels: Mapping[str, int]) -> list[Pair]:
    """Pairs of two folders: maps are grey pictures of 8 or 16 bits, or ``.npy`` arrays (height x width, not negative).

    Raises:
        InputError: names the pictures without map or label, maps and labels without picture, pairs of different sizes.
    """
    pictures, files = _matched(images, maps, SUFFIXES | {".npy"}, "map", labels)
    for name, picture in pictures.items():
        size, other = _size(picture), _map_size(files[name])
        if size != other:
            raise InputError(
                f"picture {picture} is {size[0]} x {size[1]} (height x width), its map {files[name]} {other[0]} x "
                f"{other[1]}; wanted equal sizes"
            )
    return [Pair(name, pictures[name], _reader(files[name]), labels[name]) for name in pictures]


def pairs_of_fixations(images: Path, fixations: Path, sigma: float, labels: Mapping[str, int]) -> list[Pair]:
    """Pairs of a folder of pictures and one of CSV files (x,y or x,y,weight), blurred with ``sigma`` in pixels.

    Raises:
        InputError: as `pairs_of_maps`; sigma not above 0; a picture without a point in it.
    """
    if not sigma > 0:
        raise InputError(f"sigma={sigma}; wanted the width of the blur in pixels, above 0")
    pictures, files = _matched(images, fixations, {".csv"}, "file of fixations", labels)
    pairs = []
    for name, picture in pictures.items():
        points, (height, width) = read_points(files[name]), _size(picture)
        inside = inside_picture(points, height, width)
        if not points[inside, 2].sum() > 0:
            raise InputError(
                f"none of the {len(points)} fixations in {files[name]} lies in the picture ({height} x {width}) with a "
                "weight above 0; wanted x to the right and y downwards in pixels"
            )
        heat = _blurred(points, height, width, sigma)
        pairs.append(Pair(name, picture, heat, labels[name], points_outside=int((~inside).sum())))
    return pairs


def read_labels(path: Path) -> dict[str, int]:
    """Class numbers by picture, of a CSV file with the columns ``image`` (name with or without its ending), ``label``.

    Raises:
        InputError: names the file, and the line that is not so.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the labels {path}: {error}") from error
    if list(table.columns) != ["image", "label"]:
        raise InputError(f"the labels {path} have columns {', '.join(map(str, table.columns))}; wanted image,label")
    labels: dict[str, int] = {}
    for line, (image, label) in enumerate(zip(table["image"], table["label"], strict=True), start=2):
        name = Path(image).stem if Path(image).suffix.lower() in SUFFIXES else image
        if not label.isdecimal() or name in labels:
            wrong = "is named twice" if name in labels else f"has the label '{label}', wanted a whole number from 0"
            raise InputError(f"the labels {path}, line {line}: picture '{image}' {wrong}")
        labels[name] = int(label)
    return labels


def _matched(
    images: Path, others: Path, suffixes: frozenset[str] | set[str], kind: str, labels: Mapping[str, int]
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Files of both folders by their names without ending, which must be the same, and the same as the labels'."""
    pictures, files = _by_stem(images, SUFFIXES), _by_stem(others, suffixes)
    for missing, what in (
        (pictures.keys() - files.keys(), f"of {len(pictures)} pictures have no {kind} in {others}"),
        (files.keys() - pictures.keys(), f"of {len(files)} in {others} have no picture in {images}"),
        (pictures.keys() - labels.keys(), f"of {len(pictures)} pictures in {images} have no label"),
    ):
        if missing:
            names = sorted(missing)
            raise InputError(
                f"{len(names)} {what}: {', '.join(names[:10])}{' ...' if len(names) > 10 else ''}; "
                "wanted one for each, named alike but for the ending"
            )
    return pictures, files


def _by_stem(folder: Path, suffixes: frozenset[str] | set[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            if path.stem in found:
                raise InputError(f"{found[path.stem]} and {path.name} have the same name but for their endings")
            found[path.stem] = path
    if not found:
        raise InputError(f"the folder {folder} holds no files {', '.join(sorted(suffixes))}")
    return found


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except _BROKEN as error:
        raise InputError(f"cannot read the picture {path}: {error or type(error).__name__}") from error


def _map_size(path: Path) -> tuple[int, int]:
    if path.suffix.lower() != ".npy":
        return _size(path)
    height, width = _array(path, mapped=True).shape
    return height, width


def _reader(path: Path) -> Callable[[], np.ndarray]:
    return lambda: _read_map(path)


def _blurred(points: np.ndarray, height: int, width: int, sigma: float) -> Callable[[], np.ndarray]:
    return lambda: fixation_map(points, height, width, sigma)


def _read_map(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        heat = _array(path)
    else:
        try:
            with Image.open(path) as image:
                deep = image.mode.startswith("I") or image.mode == "F"
                heat = np.asarray(image if deep else image.convert("RGB"), np.float32)
        except _BROKEN as error:
            raise InputError(f"cannot read the map {path}: {error or type(error).__name__}") from error
        if heat.ndim == 3:
            if (heat != heat[..., :1]).any():
                raise InputError(
                    f"the map {path} is coloured, and which colour means how much is not known; save it in grey levels"
                )
            heat = heat[..., 0]
    if not np.isfinite(heat).all() or heat.min() < 0:
        raise InputError(f"the map {path} holds negative or not finite numbers; wanted none below 0")
    return heat.astype(np.float32)


def _array(path: Path, mapped: bool = False) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"cannot read the map {path}: {error}") from error
    if array.ndim != 2 or array.dtype.kind not in "uifb" or 0 in array.shape:
        raise InputError(f"the map {path} is {array.dtype} of shape {array.shape}; wanted numbers, height x width")
    return array
