"""Random views of a picture: a part of it, mirrored or not, in other colours or not.

Everything that is random comes from a generator that the caller seeds by the number of the example, so that a view does
not depend on which thread made it, nor on what was made before. Pictures are uint8, height x width x 3, and Pillow
resizes them, as it does for evaluation.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance

AREA = (0.08, 1.0)
ASPECT = (3 / 4, 4 / 3)
ATTEMPTS = 10


class Jitter(NamedTuple):
    """How far colours change, and how often.

    SimCLR's, Chen, Kornblith, Norouzi & Hinton (ICML 2020), appendix A, for ImageNet at strength 1.

    brightness, contrast, saturation: b, a factor drawn from max(0, 1 - b) to 1 + b.
    hue: h, a turn of -h to h of the colour circle.
    applied: how often any of the four happens.
    grey: how often the picture loses its colours.
    """

    brightness: float = 0.8
    contrast: float = 0.8
    saturation: float = 0.8
    hue: float = 0.2
    applied: float = 0.8
    grey: float = 0.2


class View(NamedTuple):
    """The part from row ``top`` and column ``left`` on, and whether it is mirrored left to right."""

    top: int
    left: int
    height: int
    width: int
    mirrored: bool


def draw_view(rng: np.random.Generator, height: int, width: int, area: tuple[float, float] = AREA) -> View:
    """An Inception crop (Szegedy et al., CVPR 2015), mirrored half of the time.

    The share of the picture's area is uniform in ``area``, the logarithm of width / height uniform in that of 3/4 to
    4/3, the place uniform. After ten that do not fit, the largest part in the middle within those aspects: as
    torchvision's ``RandomResizedCrop``.
    """
    mirrored = bool(rng.random() < 0.5)
    for _ in range(ATTEMPTS):
        pixels = height * width * rng.uniform(*area)
        aspect = np.exp(rng.uniform(*np.log(ASPECT)))
        across, down = round(float(np.sqrt(pixels * aspect))), round(float(np.sqrt(pixels / aspect)))
        if 0 < across <= width and 0 < down <= height:
            top, left = int(rng.integers(height - down + 1)), int(rng.integers(width - across + 1))
            return View(top, left, down, across, mirrored)
    across = min(width, max(1, round(height * ASPECT[1])))
    down = min(height, max(1, round(width / ASPECT[0])))
    return View((height - down) // 2, (width - across) // 2, down, across, mirrored)


def resized_part(array: np.ndarray, view: View, size: int, interpolation: str) -> np.ndarray:
    """The part of a picture (uint8, x 3) or map (float32), size x size; not yet mirrored."""
    part = array[view.top : view.top + view.height, view.left : view.left + view.width]
    if part.shape[:2] == (size, size):
        return part
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(part)).resize((size, size), Image.Resampling[interpolation.upper()])
    )


def mirror(array: np.ndarray, view: View) -> np.ndarray:
    """Left to right, where the view is mirrored."""
    return np.ascontiguousarray(array[:, ::-1]) if view.mirrored else array


def recolour(rng: np.random.Generator, picture: np.ndarray, jitter: Jitter) -> np.ndarray:
    """Brightness, contrast, saturation and hue changed in random order, then perhaps grey: uint8 as before.

    As torchvision's ``ColorJitter`` and ``RandomGrayscale`` do with a PIL image.
    """
    image = Image.fromarray(picture)
    if rng.random() < jitter.applied:
        enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
        factors = [rng.uniform(max(0, 1 - by), 1 + by) for by in jitter[:3]]
        turn = rng.uniform(-jitter.hue, jitter.hue)
        for which in rng.permutation(4):
            if which < 3:
                image = enhancers[which](image).enhance(factors[which])
            elif turn:
                image = turned(image, turn)
    if rng.random() < jitter.grey:
        image = image.convert("L").convert("RGB")
    return np.asarray(image)


def turned(image: Image.Image, turn: float) -> Image.Image:
    """Hues moved along the circle, of which ``turn`` is the share, in steps of 1/256."""
    hue, saturation, value = image.convert("HSV").split()
    moved = (np.asarray(hue).astype(np.int32) + int(turn * 255)) % 256
    return Image.merge("HSV", (Image.fromarray(moved.astype(np.uint8)), saturation, value)).convert("RGB")
