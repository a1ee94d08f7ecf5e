"""Photographs of scenes and where people looked in them (Scene Saliency Dataset, NUS VIP lab, 2015): ``scenes311``.

500 photographs of SUN2012, each with the fixations of up to 12 people; pinned here are the 311 that are 256 x 256
pixels. Fixations are in one MATLAB file: photograph NNN is row NNN, people are columns, and each cell holds one row per
fixation: the ROW of the picture, the COLUMN (0 to 256, from the upper left corner), onset and duration in seconds. (The
order of the first two is told by the pictures: so read, people look at places of high contrast, the other way round
they do not.) The readme speaks of 15 people; the file has columns for 12, and a few cells are empty.

There are no labels: the caller gives them, for instance a trained model's own answers.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io import loadmat

from engine.datasets import pins
from engine.errors import InputError
from engine.fetch import Fetch
from engine.harmonize.fixations import fixation_map
from engine.harmonize.pairs import Pair
from engine.remote_file import RemoteFile

NAME = "scenes311"
LICENCE = "MIT, copyright 2015 NUS VIP (the photographs are from SUN2012)"
CITATION = "Liang & Zhao (2015). Scene Saliency Dataset: stimuli and eye fixations on 500 SUN2012 images"
SIZE = 256
SIGMA = 10.0  # pixels; the viewing distance, of which one degree would follow, is not given with the data
_BASE = "https://raw.githubusercontent.com/Yanakz/Scene/2cf042b013181a6339378827d094aafa9322ba0d/data/"
_FIXATIONS = "tidy/fixations.mat"


class Scene(NamedTuple):
    """A photograph and where people looked.

    Attributes:
        name: its number, such as ``001``.
        picture: its file.
        fixations: of each person, points x 4: x, y (pixels from the upper left corner), onset, duration (seconds).
    """

    name: str
    picture: Path
    fixations: tuple[np.ndarray, ...]


def files() -> list[RemoteFile]:
    """The photographs in the order of their numbers, then the fixations."""
    rows = pins.table(NAME)
    return [RemoteFile(_BASE + row["file"], git_blob=row["git_blob"], bytes=int(row["bytes"])) for row in rows]


def load(fetch: Fetch) -> list[Scene]:
    """All scenes, in the order of their numbers.

    Raises:
        InputError: a file that cannot be had, or fixations in another layout.
    """
    *pictures, table = files()
    paths = [fetch(picture) for picture in pictures]
    return scenes(paths, fetch(table))


def scenes(pictures: Sequence[Path], fixations: Path) -> list[Scene]:
    """Reads the fixations of photographs whose files are named by their numbers."""
    cells = loadmat(fixations).get("fixations")
    if cells is None or cells.dtype != object or cells.ndim != 2:
        raise InputError(f"{fixations}: wanted 'fixations', a table of cells, photographs x people")
    found = []
    for picture in pictures:
        number = int(picture.stem)
        if not 1 <= number <= len(cells):
            raise InputError(f"{fixations} has {len(cells)} photographs, none of them number {number} ({picture})")
        people = [cell for cell in cells[number - 1] if cell.size]
        if not people or any(cell.ndim != 2 or cell.shape[1] != 4 for cell in people):
            raise InputError(f"{fixations}, photograph {number}: wanted fixations x 4 of one person at least")
        found.append(Scene(picture.stem, picture, tuple(cell[:, [1, 0, 2, 3]] for cell in people)))
    return found


def pairs(found: Sequence[Scene], labels: Mapping[str, int], sigma: float = SIGMA) -> list[Pair]:
    """Scenes with their maps: every fixation of every person counts once, blurred with ``sigma`` in pixels.

    Raises:
        InputError: a scene without a label.
    """
    if missing := [scene.name for scene in found if scene.name not in labels]:
        raise InputError(f"{len(missing)} of {len(found)} scenes have no label: {', '.join(missing[:10])}")
    return [Pair(scene.name, scene.picture, partial(heat, scene, sigma), labels[scene.name]) for scene in found]


def heat(scene: Scene, sigma: float = SIGMA) -> np.ndarray:
    """The map of a scene, 256 x 256, float32."""
    points = np.concatenate(scene.fixations)[:, :2]
    return fixation_map(np.column_stack([points, np.ones(len(points))]), SIZE, SIZE, sigma)
