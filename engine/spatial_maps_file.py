"""Reads spatially resolved recordings as published with Linsley et al. (2023): a MATLAB file of response maps.

The recordings are those of Arcaro, Ponce & Livingstone (eLife 2020): each image was shown at a grid of places around a
fixed receptive field, so that every neuron has a map of responses over the image. ``imageRF`` is x, y, time in ms,
channel, image; ``UniqueNames`` names the images. Maps are turned over in x and y to lie as the image does.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io

from engine.errors import InputError

POSTERIOR = 32  # channels of the first array of the first monkey; the published code takes one more


class SpatialMaps(NamedTuple):
    """Attributes:
    responses: image x x x y x time (ms) x channel, as the image lies; a view of what the file holds.
    images: file names, without their folder.
    """

    responses: np.ndarray
    images: tuple[str, ...]


def read_maps(path: Path) -> SpatialMaps:
    """Raises InputError where the file is not one of these."""
    try:
        content = scipy.io.loadmat(path, variable_names=["imageRF", "UniqueNames"])
    except (ValueError, NotImplementedError, OSError) as error:
        raise InputError(f"{path} cannot be read as a MATLAB file of maps: {error}") from error
    if "imageRF" not in content or "UniqueNames" not in content:
        raise InputError(f"{path}: wanted the variables imageRF and UniqueNames; the file has other ones")
    maps = content["imageRF"]
    names = tuple(str(np.ravel(cell)[0]).replace("\\", "/").split("/")[-1] for cell in np.ravel(content["UniqueNames"]))
    if maps.ndim != 5 or len(names) < maps.shape[-1]:
        raise InputError(
            f"{path}: wanted imageRF as x, y, time, channel, image with a name for each image, got shape {maps.shape} "
            f"and {len(names)} names"
        )
    return SpatialMaps(maps.transpose(4, 0, 1, 2, 3)[:, ::-1, ::-1], names[: maps.shape[-1]])


def in_window(maps: SpatialMaps, start: int, stop: int) -> np.ndarray:
    """Mean response from ``start`` up to, not including, ``stop`` (ms): image x x x y x channel, float64.

    The authors' windows: 130 to 170 for the first monkey's middle lateral array, 90 to 130 for its posterior one and
    for the second monkey.
    """
    length = maps.responses.shape[3]
    if not 0 <= start < stop <= length:
        raise InputError(f"wanted a window within 0 to {length} ms, got {start} to {stop}")
    return maps.responses[:, :, :, start:stop].mean(axis=3, dtype=np.float64)


def posterior(channels: int, *, parity: bool = False) -> np.ndarray:
    """Which channels of the first monkey are of the posterior array; the others are of the middle lateral one.

    The file's description has channels 1 to 32 posterior; the published code takes 33 (``parity``).
    """
    first = POSTERIOR + parity
    if channels <= first:
        raise InputError(f"{channels} channels cannot be divided after the first {first}; the recording has 63")
    return np.arange(channels) < first
