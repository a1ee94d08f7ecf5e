"""ClickMe records, written here as published: through protocol buffers, JPEG by Pillow, framing from the spec."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import InputError
from engine.harmonize.clickme import ClickMe, encode, files_of, jpeg
from engine.harmonize.records import write_records
from tests.engine.harmonize.test_records import crc32c

proto = pytest.importorskip("tensorflow_datasets.proto.tf_example_generated_pb2")


def picture(seed: int, side: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def published(image: bytes, heat: bytes, *labels: int) -> bytes:
    made = proto.Example()
    made.features.feature["image"].bytes_list.value.append(image)
    made.features.feature["heatmap"].bytes_list.value.append(heat)
    made.features.feature["label"].int64_list.value.extend(labels)
    return made.SerializeToString()


def file_of(path: Path, records: list[bytes]) -> Path:
    def masked(data: bytes) -> bytes:
        crc = crc32c(data)
        return struct.pack("<I", (crc // 2**15 + crc % 2**15 * 2**17 + 0xA282EAD8) % 2**32)

    with path.open("wb") as file:
        for data in records:
            length = struct.pack("<Q", len(data))
            file.write(length + masked(length) + data + masked(data))
    return path


def grey_jpeg(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def one(tmp_path: Path, record: bytes) -> ClickMe:
    return ClickMe([file_of(tmp_path / "train-0.tfrecords", [record])])


def test_published_records_are_read_from_several_files_by_number(tmp_path: Path) -> None:
    heats = [picture(10 + number)[..., 0] for number in range(5)]
    records = [
        published(grey_jpeg(picture(number)), grey_jpeg(heats[number]), label)
        for number, label in enumerate((0, 999, 7, 7, 300))
    ]
    files = [
        file_of(tmp_path / "train-0.tfrecords", records[:2]),
        file_of(tmp_path / "train-1.tfrecords", records[2:3]),
        file_of(tmp_path / "train-2.tfrecords", records[3:]),
    ]
    source = ClickMe(files)
    assert len(source) == 5
    for number in (4, 0, 2, 1, 3):
        found = source[number]
        with Image.open(io.BytesIO(grey_jpeg(picture(number)))) as wanted:
            np.testing.assert_array_equal(found["image"], np.asarray(wanted))
        with Image.open(io.BytesIO(grey_jpeg(heats[number]))) as wanted:
            np.testing.assert_array_equal(found["map"], np.asarray(wanted))
        assert found["label"] == (0, 999, 7, 7, 300)[number]
        assert (found["map"].dtype, found["has_map"]) == (np.float32, 1.0)
    with pytest.raises(IndexError):
        source[5]


def test_the_older_kind_holds_raw_numbers(tmp_path: Path) -> None:
    pixels, heat = picture(0), np.random.default_rng(1).gamma(2, 3, (32, 32)).astype("<f4")
    found = one(tmp_path, published(pixels.astype("<f4").tobytes(), heat.tobytes(), 5))[0]
    np.testing.assert_array_equal(found["image"], pixels)
    np.testing.assert_array_equal(found["map"], heat)


def test_what_is_written_protocol_buffers_read(tmp_path: Path) -> None:
    heat = np.random.default_rng(2).gamma(2, 3, (32, 32)).astype(np.float32)
    bytes_of_picture = jpeg(picture(3), 95)
    record = encode(bytes_of_picture, heat, 12)
    feature = proto.Example.FromString(record).features.feature
    assert feature["image"].bytes_list.value[0] == bytes_of_picture
    assert list(feature["label"].int64_list.value) == [12]
    with Image.open(io.BytesIO(feature["heatmap"].bytes_list.value[0])) as image:
        assert (image.mode, image.format, image.size) == ("L", "JPEG", (32, 32))
        # Rounded to grey levels, and again by JPEG, which at its best quality keeps coefficients to half a step.
        assert np.abs(np.asarray(image) - heat / heat.max() * 255).max() < 3


RIGHT = jpeg(picture(0), 95)
HEAT = grey_jpeg(picture(1)[..., 0])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (published(RIGHT, HEAT, 1000), r"record 0 \(from 0\) at byte 12: label 1000 is out of range, wanted 0 to 999"),
        (published(RIGHT, HEAT, -1), "label -1 is out of range"),
        (published(RIGHT, HEAT), r"at byte 12: the feature 'label' is not what was wanted"),
        (published(RIGHT, HEAT, 1, 2), "the feature 'label' is not what was wanted, one int64"),
        (published(RIGHT, grey_jpeg(picture(1, 16)[..., 0]), 1), "the picture is 32 x 32, its map 16 x 16"),
        (published(RIGHT[:-200], HEAT, 1), r"record 0 .*, image: no intact JPEG"),
        (published(b"GIF89a" + bytes(90), HEAT, 1), "image: 96 bytes are no JPEG, and no square of 3 float32"),
        (published(picture(0).astype("<f4").tobytes(), b"", 1), "heatmap: 0 bytes are no JPEG"),
        (published((picture(0) / 255).astype("<f4").tobytes(), HEAT, 1), "wanted the range 0 to 255"),
        (published(RIGHT, np.full((32, 32), np.nan, "<f4").tobytes(), 1), "heatmap: it holds numbers that are not"),
        (published(RIGHT, np.full((32, 32), -1, "<f4").tobytes(), 1), "heatmap: its smallest value is -1"),
        (b"", r"the feature 'image' is missing \(there are none\)"),
        (b"\x0a\x05abc", r"train-0.tfrecords, record 0 .*, byte 12: not a tf.train.Example"),
    ],
)
def test_records_that_are_not_so_are_named(tmp_path: Path, record: bytes, message: str) -> None:
    source = one(tmp_path, record)
    with pytest.raises(InputError, match=message):
        source[0]


def test_files_are_found_in_the_order_of_their_numbers_and_none_may_miss(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for number in range(11):
        write_records(tmp_path / "train" / f"train-{number}.tfrecords", [b"1"])
    (tmp_path / "train" / "train-notes.txt").touch()
    write_records(tmp_path / "val-0.tfrecords", [b"1"])
    assert [path.stem for path in files_of(tmp_path, "train")] == [f"train-{number}" for number in range(11)]
    assert files_of(tmp_path, "val") == [tmp_path / "val-0.tfrecords"]
    (tmp_path / "train" / "train-4.tfrecords").unlink()
    with pytest.raises(InputError, match=r"train-0 to train-10 in .* these are missing: 4;"):
        files_of(tmp_path, "train")
    with pytest.raises(InputError, match="there are no ClickMe files 'test-<number>"):
        files_of(tmp_path, "test")
    with pytest.raises(InputError, match="no ClickMe files were given"):
        ClickMe([])
