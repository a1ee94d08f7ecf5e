"""Resizing is Pillow's, written out here by hand, to the byte."""

import math

import numpy as np
import pytest

from models.preprocessing import Preprocessing, normalise, prepare


def preprocessing(size: int) -> Preprocessing:
    return Preprocessing(
        size=size,
        interpolation="bilinear",
        mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
        std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
    )


def resized_rows(image: np.ndarray, size: int) -> np.ndarray:
    """The first axis resized with a triangle that widens where the image shrinks; weights in 22 bits, result in 8."""
    scale = len(image) / size
    radius = max(scale, 1.0)
    out = np.empty((size, *image.shape[1:]), np.uint8)
    for row in range(size):
        centre = (row + 0.5) * scale
        first, last = max(int(centre - radius + 0.5), 0), min(int(centre + radius + 0.5), len(image))
        weights = [max(0.0, 1 - abs((at + 0.5 - centre) / radius)) for at in range(first, last)]
        fixed = [math.floor(weight / sum(weights) * 2**22 + 0.5) for weight in weights]
        total = sum(weight * image[at].astype(np.int64) for at, weight in enumerate(fixed, first))
        out[row] = ((total + 2**21) >> 22).clip(0, 255)
    return out


@pytest.mark.parametrize("shape", [(7, 5), (31, 23), (16, 9), (64, 40), (200, 3), (12, 50)])
def test_equals_the_definition(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    # columns first, then rows, 8 bits in between
    columns = resized_rows(image.swapaxes(0, 1), 16).swapaxes(0, 1)
    wanted = resized_rows(columns, 16)
    np.testing.assert_array_equal(prepare(image, preprocessing(16)), wanted)


def test_two_columns_become_four() -> None:
    image = np.zeros((4, 2, 3), np.uint8)
    image[:, 1] = 255
    # centres at .25, .75, 1.25, 1.75 of the old columns: weights (1, 0), (3/4, 1/4), (1/4, 3/4), (0, 1)
    assert prepare(image, preprocessing(4))[2, :, 0].tolist() == [0, 64, 191, 255]


def test_antialiasing() -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 255
    small = prepare(stripes, preprocessing(4))
    assert np.ptp(small[:, 1:3].astype(int)) <= 1  # grey, where point sampling would give black or white
    assert math.isclose(small[0, 1, 0], 127.5, abs_tol=1.5)


def test_own_size_keeps_the_bytes() -> None:
    image = np.random.default_rng(1).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    np.testing.assert_array_equal(prepare(image, preprocessing(24)), image)


def test_normalise_is_that_of_the_unit_range() -> None:
    image = np.random.default_rng(2).integers(0, 256, (2, 5, 6, 3), dtype=np.uint8)
    wanted = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    found = normalise(image, preprocessing(6))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6)
