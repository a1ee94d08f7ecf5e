"""From a decoded picture to what a model was trained on: resize on the host, normalise on the device."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

Fit = Literal["squash", "crop"]
FITS: tuple[str, ...] = get_args(Fit)

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Preprocessing:
    """What a model expects of its input.

    Attributes:
        size: height and width in pixels.
        interpolation: ``bilinear`` or ``bicubic``, as Pillow defines them.
        mean, std: per channel (red, green, blue), in units of the 8-bit pixel (0 to 255): the input is
            (pixel - mean) / std.
        resize: what the shorter side was resized to before the centre was cut out, where the model was evaluated
            (torchvision's ``resize_size``; timm's floor(size / crop_pct)); None where that is not known.
    """

    size: int
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: int | None = None

    def __post_init__(self) -> None:
        if self.interpolation not in _FILTERS:
            raise ValueError(f"interpolation={self.interpolation}: wanted one of {', '.join(_FILTERS)}")
        if self.shorter_side < self.size:
            raise ValueError(f"resize={self.resize} leaves less than the {self.size} pixels to be cut out")

    @property
    def shorter_side(self) -> int:
        """``resize``, or the classic 256 for 224 in proportion: seven eighths of the shorter side are kept."""
        return self.resize if self.resize is not None else round(self.size / 0.875)


def prepare(image: np.ndarray, preprocessing: Preprocessing, fit: Fit = "squash") -> np.ndarray:
    """Brings one picture to the model's square.

    ``squash`` resizes both sides to ``size``: the aspect ratio is not kept, every part of the picture is. It is what
    Brain-Score does. ``crop`` is how the models were evaluated, torchvision's ``Resize`` and ``CenterCrop`` of a PIL
    image (timm's default too): the shorter side to ``shorter_side``, the longer in proportion, rounded down; then the
    middle ``size`` x ``size``, where half a pixel rounds to the even neighbour.

    Args:
        image: uint8, height x width x 3.
        preprocessing: of the model.
        fit: ``squash`` or ``crop``.

    Returns:
        uint8, size x size x 3; the picture's own bytes where nothing needs to be resized.
    """
    size = preprocessing.size
    how = _FILTERS[preprocessing.interpolation]
    if fit == "squash":
        return _resized(image, size, size, how)
    if fit != "crop":
        raise ValueError(f"fit={fit}: wanted one of {', '.join(FITS)}")
    height, width = image.shape[:2]
    short = preprocessing.shorter_side
    long = int(short * max(height, width) / min(height, width))
    resized = _resized(image, *((short, long) if height <= width else (long, short)), how)
    top, left = (round((side - size) / 2) for side in resized.shape[:2])
    return resized[top : top + size, left : left + size]


def _resized(image: np.ndarray, height: int, width: int, how: Image.Resampling) -> np.ndarray:
    """``PIL.Image.fromarray(image).resize((width, height), how)`` of Pillow before version 13.

    Where the picture shrinks, the filter's support grows with it (antialiasing); columns first, then rows, both
    rounded to 8 bits.
    """
    if image.shape[:2] == (height, width):
        return image
    # One axis at a time: since version 13 Pillow takes the rows first where the height shrinks more than the
    # width, and the rounding in between then moves up to a fifth of the pixels by one grey level.
    columns = Image.fromarray(image).resize((width, image.shape[0]), how)
    return np.asarray(columns.resize((width, height), how))


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
