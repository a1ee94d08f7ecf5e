"""From a decoded picture to what a model was trained on: resize on the host, normalise on the device."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Preprocessing:
    """What a model expects of its input.

    Attributes:
        size: height and width in pixels.
        interpolation: ``bilinear`` or ``bicubic``, as Pillow defines them.
        mean, std: per channel (red, green, blue), in units of the 8-bit pixel (0 to 255): the input is
            (pixel - mean) / std.
    """

    size: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def prepare(image: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Resizes one picture to the model's square, its aspect ratio not kept, as Brain-Score does.

    Equals ``PIL.Image.fromarray(image).resize((size, size), filter)`` of Pillow before version 13: where the picture
    shrinks, the filter's support grows with it (antialiasing); columns first, then rows, both rounded to 8 bits.

    Args:
        image: uint8, height x width x 3.
        preprocessing: of the model.

    Returns:
        uint8, size x size x 3; the picture's own bytes where it already has that size.
    """
    size, height = preprocessing.size, image.shape[0]
    if image.shape[:2] == (size, size):
        return image
    # One axis at a time: since version 13 Pillow takes the rows first where the height shrinks more than the
    # width, and the rounding in between then moves up to a fifth of the pixels by one grey level.
    how = _FILTERS[preprocessing.interpolation]
    return np.asarray(Image.fromarray(image).resize((size, height), how).resize((size, size), how))


def normalise(batch: Any, preprocessing: Preprocessing) -> Any:
    """(pixel - mean) / std per channel.

    Args:
        batch: uint8, images x height x width x 3; a NumPy or (inside ``jit``) JAX array.
        preprocessing: of the model.

    Returns:
        float32, same shape and kind of array.
    """
    mean, std = (np.asarray(values, np.float32) for values in (preprocessing.mean, preprocessing.std))
    return (batch.astype(np.float32) - mean) / std
