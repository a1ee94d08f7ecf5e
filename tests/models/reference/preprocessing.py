"""Resizing, cropping and normalising written out from the definitions of Pillow and torchvision, one pixel at a time.

``python -m tests.models.reference.preprocessing`` makes the files in ``tests/models/golden`` from nothing but these.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

GOLDEN = Path(__file__).parent.parent / "golden"
SIZE = 24  # of the golden squares; cut out of 27 = round(24 / 0.875)
SHAPES = {"tall": (61, 47), "wide": (40, 91), "small": (20, 16)}  # height, width


def triangle(x: float) -> float:
    """Bilinear."""
    return max(0.0, 1 - abs(x))


def cubic(x: float) -> float:
    """Keys' piecewise cubic with a = -1/2."""
    a, x = -0.5, abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    if x < 2:
        return (((x - 5) * x + 8) * x - 4) * a
    return 0.0


FILTERS: dict[str, tuple[Callable[[float], float], float]] = {"bilinear": (triangle, 1.0), "bicubic": (cubic, 2.0)}


def resized_rows(image: np.ndarray, size: int, interpolation: str) -> np.ndarray:
    """The first axis resized by a filter that widens where it shrinks; weights in 22 bits, result in 8, clipped."""
    if len(image) == size:
        return image
    function, support = FILTERS[interpolation]
    scale = len(image) / size
    widened = max(scale, 1.0)
    radius = support * widened
    out = np.empty((size, *image.shape[1:]), np.uint8)
    for row in range(size):
        centre = (row + 0.5) * scale
        first, last = max(int(centre - radius + 0.5), 0), min(int(centre + radius + 0.5), len(image))
        weights = [function((at - centre + 0.5) * (1 / widened)) for at in range(first, last)]
        # a weight is rounded to the nearest whole number of 2^-22, away from zero
        fixed = [int(math.copysign(0.5, weight) + weight / sum(weights) * 2**22) for weight in weights]
        total = sum(weight * image[at].astype(np.int64) for at, weight in enumerate(fixed, first))
        out[row] = ((total + 2**21) >> 22).clip(0, 255)
    return out


def resized(image: np.ndarray, height: int, width: int, interpolation: str) -> np.ndarray:
    """Columns first, then rows, 8 bits in between."""
    columns = resized_rows(image.swapaxes(0, 1), width, interpolation).swapaxes(0, 1)
    return resized_rows(columns, height, interpolation)


def squashed(image: np.ndarray, size: int, interpolation: str) -> np.ndarray:
    """Both sides to ``size``."""
    return resized(image, size, size, interpolation)


def cropped(image: np.ndarray, size: int, resize: int, interpolation: str) -> np.ndarray:
    """torchvision's Resize(resize) and CenterCrop(size)."""
    height, width = image.shape[:2]
    if width <= height:
        image = resized(image, int(resize * height / width), resize, interpolation)
    else:
        image = resized(image, resize, int(resize * width / height), interpolation)
    top, left = int(round((image.shape[0] - size) / 2.0)), int(round((image.shape[1] - size) / 2.0))  # noqa: RUF046  as torchvision writes it
    return np.stack([image[top + row, left : left + size] for row in range(size)])


def fitted(image: np.ndarray, fit: str, interpolation: str) -> np.ndarray:
    """To the golden size by either way."""
    return squashed(image, SIZE, interpolation) if fit == "squash" else cropped(image, SIZE, 27, interpolation)


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """A ramp, a disc with a hard edge, stripes one pixel wide, and noise down to black and up to white."""
    y, x = np.mgrid[:height, :width]
    ramp = 255 * (x + y) / (height + width)
    disc = np.where((y - height / 3) ** 2 + (x - width / 3) ** 2 < (min(height, width) / 4) ** 2, 255.0, 0.0)
    stripes = np.where((x % 2 == 0) & (y > height / 2), 255.0, ramp)
    noise = np.random.default_rng(seed).normal(0, 25, (height, width, 3))
    return (np.stack([ramp, disc, stripes], axis=2) + noise).round().clip(0, 255).astype(np.uint8)


def make() -> None:
    """Writes the golden files: PNG pictures, and what becomes of them as <picture>-<fit>-<interpolation>.png."""
    GOLDEN.mkdir(exist_ok=True)
    for seed, (name, shape) in enumerate(SHAPES.items()):
        image = picture(*shape, seed)
        Image.fromarray(image).save(GOLDEN / f"{name}.png")
        for fit in ("squash", "crop"):
            for interpolation in FILTERS:
                Image.fromarray(fitted(image, fit, interpolation)).save(GOLDEN / f"{name}-{fit}-{interpolation}.png")


if __name__ == "__main__":
    make()
