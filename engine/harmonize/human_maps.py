"""Human importance maps as they are scored and trained with: shrunk to 64 x 64, blurred, enlarged to the image.

Fel et al. (Harmonizing the object recognition strategies of deep neural networks with humans, NeurIPS 2022), from
their code. Every step works on rows and columns separately and is linear, so all of it is one matrix on either side,

    prepared = A map Bᵀ        A, B: size x 64 resize · 64 x 64 blur · 64 x height (or width) resize

whose three factors have 2, 10 and 2 or 4 numbers in a row that are not zero: sparse, and one after the other, they take
4 size² + 256 size + 512 h + 2e5 flops for a map of h x h pixels, about an eightieth of the dense products at 224. (In
the threads that read pictures, BLAS would also start threads of its own, which on a busy machine cost far more.)
The matrices of the shapes seen last are kept.

The blur's kernel has 10 x 10 weights exp(-(x² + y²) / 200), made to add up to one: x = -5 ... 4 from left to right and
y = 4 ... -5 from top to bottom, over the rows -4 ... 5 and columns -4 ... 5 around the pixel. So it is even, nearly a
box, lies half a pixel too far down and right (so that maps move up and left), and is heaviest one pixel to the right;
kept for the sake of equal scores. Outside the map are zeros. Resizing is TensorFlow 2's ``tf.image.resize``: centres of
pixels at halves, no antialiasing, the cubic with a = -1/2.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from engine.errors import InputError

BLURRED = 64  # pixels of either side where the blur is
WIDTH = 10
SIGMA = 10.0
EPSILON = 1e-5  # beside the maximum of a map for training

Method = Literal["bilinear", "bicubic"]


def evaluation_maps(maps: np.ndarray, size: int) -> np.ndarray:
    """Human maps for the alignment score: bilinear to 64 x 64, blurred, bilinear to size x size; scale kept.

    Args:
        maps: maps x height x width, any real dtype (the published ones 256 x 256, 0 to 255); squashed if not square.
        size: of the model's image.

    Returns:
        maps x size x size, float32.

    Raises:
        InputError: not of that shape, or not finite.
    """
    return _prepared(maps, size, "bilinear").astype(np.float32)


def training_maps(maps: np.ndarray, size: int) -> np.ndarray:
    """Human maps for the map loss: bicubic to 64 x 64, blurred, bilinear to size x size, scaled to 0 ... 1.

    The scaling is (map - min) / (max - min + 1e-5), each map by itself; a constant map becomes zeros. The published
    code crops image and map alike before this, and does it in bfloat16; here it is float64.

    Args, returns and raises as ``evaluation_maps``.
    """
    prepared = _prepared(maps, size, "bicubic")
    prepared -= prepared.min((1, 2), keepdims=True)
    prepared /= prepared.max((1, 2), keepdims=True) + EPSILON
    return prepared.astype(np.float32)


def resize_matrix(before: int, after: int, method: Method) -> np.ndarray:
    """What one axis is multiplied by to be resized, after x before; its rows add up to one.

    Equals ``jax.image.resize(..., method, antialias=False)`` along one axis, and TensorFlow 2's ``tf.image.resize``.
    """
    centres = (np.arange(after) + 0.5) * (before / after) - 0.5
    distance = np.abs(centres[:, None] - np.arange(before))
    weights = _triangle(distance) if method == "bilinear" else _cubic(distance)
    return weights / weights.sum(1, keepdims=True)  # what lies outside the map does not count


def blur_kernel() -> np.ndarray:
    """The 10 x 10 weights: rows (top to bottom) x columns (left to right), to be correlated with the map."""
    down, right = _blur_weights()
    return np.outer(down, right)


def _prepared(maps: np.ndarray, size: int, method: Method) -> np.ndarray:
    maps = np.asarray(maps)
    if maps.ndim != 3 or 0 in maps.shape[1:]:
        raise InputError(f"human maps of shape {maps.shape}: wanted maps x height x width")
    if size < 1:
        raise InputError(f"human maps of size {size} were asked for: wanted 1 pixel or more")
    broken = ~np.isfinite(maps).all((1, 2))
    if broken.any():
        raise InputError(f"human map {broken.argmax()} (and {broken.sum() - 1} more) of {len(maps)} is not finite")
    steps = list(zip(*(_steps(maps.shape[axis + 1], size, method, axis) for axis in (0, 1)), strict=True))
    prepared = np.empty((len(maps), size, size))
    for number, one in enumerate(maps):
        done = one.astype(np.float64)
        for down, across in steps:
            done = (across @ (down @ done).T).T
        prepared[number] = done
    return prepared


@lru_cache(maxsize=64)
def _steps(before: int, after: int, method: Method, axis: int) -> tuple[csr_array, ...]:
    """Shrinking, blurring and enlarging along one axis."""
    weights = _blur_weights()[axis]
    # Row i of the blur holds the weights at columns i - 4 ... i + 5, those inside the map.
    blur = sum(np.diag(np.full(BLURRED - abs(k), w), k) for k, w in zip(range(-4, 6), weights, strict=True))
    steps = (resize_matrix(before, BLURRED, method), blur, resize_matrix(BLURRED, after, "bilinear"))
    return tuple(csr_array(step) for step in steps)


def _blur_weights() -> tuple[np.ndarray, np.ndarray]:
    """Along rows (downwards) and along columns (to the right), each adding up to one."""
    y, x = np.arange(4, 4 - WIDTH, -1), np.arange(-5, -5 + WIDTH)
    down, right = (np.exp(-(np.square(at)) / (2 * SIGMA**2)) for at in (y, x))
    return down / down.sum(), right / right.sum()


def _triangle(distance: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - distance)


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Keys (1981) with a = -1/2."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))
