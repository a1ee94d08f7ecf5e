"""Resizing and cropping are Pillow's and torchvision's, written out by hand in tests.models.reference, to the byte."""

import math

import numpy as np
import pytest
from PIL import Image

from models.preprocessing import Fit, Preprocessing, normalise, prepare
from tests.models.reference import preprocessing as definition

INTERPOLATIONS = ["bilinear", "bicubic"]
SHAPES = [(7, 5), (31, 23), (16, 9), (64, 40), (200, 3), (12, 50), (33, 33)]


def preprocessing(size: int, interpolation: str = "bilinear", resize: int | None = None) -> Preprocessing:
    return Preprocessing(
        size=size,
        interpolation=interpolation,
        mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
        std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
        resize=resize,
    )


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_squash_equals_the_definition(shape: tuple[int, int], interpolation: str) -> None:
    image = noise(*shape)
    wanted = definition.squashed(image, 16, interpolation)
    np.testing.assert_array_equal(prepare(image, preprocessing(16, interpolation)), wanted)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("resize", [16, 17, 21])
@pytest.mark.parametrize("shape", [(7, 5), (31, 23), (64, 40), (60, 9), (12, 50), (33, 33)])
def test_crop_equals_the_definition(shape: tuple[int, int], resize: int, interpolation: str) -> None:
    image = noise(*shape)
    wanted = definition.cropped(image, 16, resize, interpolation)
    assert wanted.shape == (16, 16, 3)
    np.testing.assert_array_equal(prepare(image, preprocessing(16, interpolation, resize), "crop"), wanted)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("fit", ["squash", "crop"])
@pytest.mark.parametrize("name", definition.SHAPES)
def test_golden_files(name: str, fit: Fit, interpolation: str) -> None:
    """Committed files, so that neither the definition, nor Pillow, nor the code can drift unseen."""
    image, wanted = (
        np.asarray(Image.open(definition.GOLDEN / f"{file}.png")) for file in (name, f"{name}-{fit}-{interpolation}")
    )
    assert image.shape == (*definition.SHAPES[name], 3)
    assert wanted.shape == (definition.SIZE, definition.SIZE, 3)
    np.testing.assert_array_equal(prepare(image, preprocessing(definition.SIZE, interpolation), fit), wanted)
    np.testing.assert_array_equal(definition.fitted(image, fit, interpolation), wanted)


def test_two_columns_become_four() -> None:
    image = np.zeros((4, 2, 3), np.uint8)
    image[:, 1] = 255
    # centres at .25, .75, 1.25, 1.75 of the old columns: weights (1, 0), (3/4, 1/4), (1/4, 3/4), (0, 1)
    assert prepare(image, preprocessing(4))[2, :, 0].tolist() == [0, 64, 191, 255]


def test_bicubic_overshoots_and_is_clipped() -> None:
    image = np.full((8, 4, 3), 200, np.uint8)
    image[:, 2:] = 100
    # The cubic at distances 1.25, .25, .75 and 1.75 is -9, 111, 29 and -3 in 128ths. At these the fourth new column
    # lies from the old ones; the third at .75, .25 and 1.25 (one is missing: weights are divided by their sum).
    found = prepare(image, preprocessing(8, "bicubic"))[3, :, 0].tolist()
    assert found[3] == round((200 * (-9 + 111) + 100 * (29 - 3)) / 128) == 180
    assert found[2] == round((200 * (29 + 111) - 100 * 9) / (29 + 111 - 9)) == 207
    edge = np.full((8, 4, 3), 255, np.uint8)
    edge[:, 2:] = 0
    assert prepare(edge, preprocessing(8, "bicubic"))[3, 2:6:3, 0].tolist() == [255, 0]  # not 273 and -18


def test_antialiasing() -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 255
    small = prepare(stripes, preprocessing(4))
    assert np.ptp(small[:, 1:3].astype(int)) <= 1  # grey, where point sampling would give black or white
    assert math.isclose(small[0, 1, 0], 127.5, abs_tol=1.5)


def test_own_size_keeps_the_bytes() -> None:
    image = noise(24, 24)
    np.testing.assert_array_equal(prepare(image, preprocessing(24)), image)


@pytest.mark.parametrize(
    ("shape", "top", "left"),
    [
        ((256, 341), 16, 58),  # 58.5 to the even neighbour
        ((256, 343), 16, 60),  # 59.5 likewise
        ((341, 256), 58, 16),
        ((256, 256), 16, 16),
    ],
)
def test_crop_is_the_middle(shape: tuple[int, int], top: int, left: int) -> None:
    """Where the shorter side has its 256 pixels already, nothing is resized."""
    image = noise(*shape)
    found = prepare(image, preprocessing(224), "crop")
    np.testing.assert_array_equal(found, image[top : top + 224, left : left + 224])


def test_the_longer_side_rounds_down() -> None:
    # 375 x 500 to 256 x 341 (341.33), 427 x 640 to 256 x 383 (383.7): the centre of each as the definition has it
    for shape, resized in [((375, 500), (256, 341)), ((427, 640), (256, 383))]:
        image = noise(*shape)
        whole = np.asarray(Image.fromarray(image).resize((resized[1], shape[0]), Image.Resampling.BILINEAR))
        whole = np.asarray(Image.fromarray(whole).resize((resized[1], resized[0]), Image.Resampling.BILINEAR))
        left = round((resized[1] - 224) / 2)
        np.testing.assert_array_equal(prepare(image, preprocessing(224), "crop"), whole[16:240, left : left + 224])


def test_the_classic_crop_unless_another_is_known() -> None:
    assert [preprocessing(size).shorter_side for size in (224, 256, 299, 384)] == [256, 293, 342, 439]
    assert preprocessing(224, resize=232).shorter_side == 232
    with pytest.raises(ValueError, match="resize=200 leaves less than the 224 pixels"):
        preprocessing(224, resize=200)
    with pytest.raises(ValueError, match="interpolation=nearest"):
        preprocessing(224, "nearest")
    with pytest.raises(ValueError, match="fit=stretch: wanted one of squash, crop"):
        prepare(noise(4, 4), preprocessing(4), "stretch")  # type: ignore[arg-type]  # wrong on purpose


def test_normalise_is_that_of_the_unit_range() -> None:
    image = np.random.default_rng(2).integers(0, 256, (2, 5, 6, 3), dtype=np.uint8)
    wanted = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    found = normalise(image, preprocessing(6))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6)
