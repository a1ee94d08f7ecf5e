"""Decoding of stimulus pictures."""

import io
import multiprocessing
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import InputError
from engine.images import ArrayImages, FileImages, ZipImages

PICTURES = np.random.default_rng(0).integers(0, 256, (12, 9, 7, 3), dtype=np.uint8)


def png(array: np.ndarray, mode: str | None = None) -> bytes:
    content = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def archive(tmp_path: Path) -> ZipImages:
    path = tmp_path / "pictures.zip"
    members = [f"folder/{number}.png" for number in range(len(PICTURES))]
    with zipfile.ZipFile(path, "w") as opened:
        for member, picture in zip(reversed(members), PICTURES[::-1], strict=True):
            opened.writestr(member, png(picture))
    return ZipImages(path, members, [f"s{number}" for number in range(len(members))])


def test_three_homes_give_the_same_pictures(archive: ZipImages, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(len(PICTURES))]
    for path, picture in zip(paths, PICTURES, strict=True):
        path.write_bytes(png(picture))
    for images in (FileImages(paths), archive, ArrayImages(PICTURES)):
        assert len(images) == len(PICTURES)
        for index, picture in enumerate(PICTURES):
            assert images[index].dtype == np.uint8
            np.testing.assert_array_equal(images[index], picture)


def decoded(content: bytes, tmp_path: Path) -> np.ndarray:
    path = tmp_path / "picture"
    path.write_bytes(content)
    return FileImages([path])[0]


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = PICTURES[0, :, :, 0]
    wanted = np.stack([grey] * 3, axis=2)
    np.testing.assert_array_equal(decoded(png(grey), tmp_path), wanted)
    np.testing.assert_array_equal(ArrayImages(grey[None])[0], wanted)


def test_16_bit_grey_is_scaled(tmp_path: Path) -> None:
    grey = np.array([[0, 257, 32767, 32768, 65535]], np.uint16)
    wanted = np.round(grey.astype(float) * 255 / 65535)
    np.testing.assert_array_equal(decoded(png(grey), tmp_path)[:, :, 1], wanted)


def test_palette_and_black_and_white(tmp_path: Path) -> None:
    colours = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
    np.testing.assert_array_equal(decoded(png(colours, "P"), tmp_path), colours)
    assert decoded(png(colours, "1"), tmp_path).shape == (1, 2, 3)


def test_alpha_is_dropped_without_blending(tmp_path: Path) -> None:
    alpha = np.concatenate([PICTURES[0], np.full((9, 7, 1), 10, np.uint8)], axis=2)
    np.testing.assert_array_equal(decoded(png(alpha), tmp_path), PICTURES[0])


def test_pixels_without_a_white_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "float.tiff"
    Image.fromarray(np.ones((4, 4), np.float32)).save(path)
    with pytest.raises(InputError, match=r"float\.tiff \(stimulus s0\) has 32-bit pixels"):
        FileImages([path], ["s0"])[0]


@pytest.mark.parametrize("content", [png(PICTURES[0])[:150], b"", b"no picture"], ids=["cut", "empty", "text"])
def test_a_broken_picture_names_file_and_stimulus(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"stimulus s7, .*cat\.png"):
        FileImages([path], ["s7"])[0]
    zipped = tmp_path / "cats.zip"
    with zipfile.ZipFile(zipped, "w") as opened:
        opened.writestr("cat.png", content)
    with pytest.raises(InputError, match=r"stimulus s7, cat\.png in .*cats\.zip"):
        ZipImages(zipped, ["cat.png"], ["s7"])[0]


def test_a_missing_picture_or_a_broken_archive(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"stimulus 0, .*gone\.png"):
        FileImages([tmp_path / "gone.png"])[0]
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a.png", png(PICTURES[0]))
    with pytest.raises(InputError, match=r"no member 'b\.png' \(stimulus s0\)"):
        ZipImages(path, ["b.png"], ["s0"])[0]
    content = bytearray(path.read_bytes())
    content[60] ^= 255  # inside the stored picture: its CRC no longer fits
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"stimulus s0, a\.png in .*a\.zip"):
        ZipImages(path, ["a.png"], ["s0"])[0]
    path.write_bytes(content[:40])
    with pytest.raises(InputError, match=r"a\.zip"):
        ZipImages(path, ["a.png"], ["s0"])[0]


def test_arrays_other_than_8_bit_are_refused() -> None:
    for array in (PICTURES / 255.0, PICTURES[..., :2], PICTURES[0, 0]):
        with pytest.raises(InputError, match="wanted uint8"):
            ArrayImages(array)
    with pytest.raises(InputError, match="1 pictures for 2 stimulus ids"):
        FileImages([Path("a.png")], ["a", "b"])


def test_an_archive_is_read_by_threads(archive: ZipImages) -> None:
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(archive.__getitem__, list(range(len(PICTURES))) * 20))
    np.testing.assert_array_equal(np.stack(read), np.concatenate([PICTURES] * 20))


def test_an_archive_travels_to_other_processes(archive: ZipImages) -> None:
    assert archive[0].shape == PICTURES[0].shape  # open here before it travels
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(archive))[3], PICTURES[3])
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(archive.__getitem__, (5,)), PICTURES[5])
