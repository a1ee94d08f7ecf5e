"""``tf.train.Example`` against Google's own protocol buffers, with the message definition that TFDS carries."""

import numpy as np
import pytest

from engine.errors import InputError
from engine.harmonize.tf_example import encode_example, parse_example

proto = pytest.importorskip("tensorflow_datasets.proto.tf_example_generated_pb2")

INTEGERS = [0, 1, 127, 128, 999, -1, 2**62, -(2**63), 2**63 - 1]
FLOATS = [0.0, -1.5, 3.25e20, 1e-30]


def example() -> object:
    made = proto.Example()
    feature = made.features.feature
    feature["image"].bytes_list.value.extend([b"\xff\xd8 jpeg", b"", b"third"])
    feature["label"].int64_list.value.extend(INTEGERS)
    feature["größe"].float_list.value.extend(FLOATS)
    feature["nothing"].SetInParent()
    return made


def test_reads_what_protocol_buffers_write() -> None:
    found = parse_example(example().SerializeToString(), "here")  # type: ignore[attr-defined]  # a class made at run time
    assert found["image"] == [b"\xff\xd8 jpeg", b"", b"third"]
    np.testing.assert_array_equal(found["label"], np.array(INTEGERS, np.int64))
    np.testing.assert_array_equal(found["größe"], np.array(FLOATS, np.float32))
    assert found["nothing"] == []
    assert set(found) == {"image", "label", "größe", "nothing"}


def test_protocol_buffers_read_what_is_written_here() -> None:
    written = encode_example({"image": b"\x00\x01" * 300, "label": -7, "map": np.array([[0.5, -2], [3, 4]])})
    feature = proto.Example.FromString(written).features.feature
    assert list(feature["image"].bytes_list.value) == [b"\x00\x01" * 300]
    assert list(feature["label"].int64_list.value) == [-7]
    assert list(feature["map"].float_list.value) == [0.5, -2, 3, 4]
    back = parse_example(written, "here")
    assert list(back) == ["image", "label", "map"]
    np.testing.assert_array_equal(back["label"], [-7])


def length_delimited(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2, len(content)]) + content


def one_feature(feature: bytes) -> bytes:
    return length_delimited(1, length_delimited(1, length_delimited(1, b"x") + length_delimited(2, feature)))


def test_numbers_one_by_one_lists_in_pieces_and_unknown_fields_are_read_as_the_format_says() -> None:
    pieces = (
        length_delimited(3, b"\x08\x05\x08\x80\x01")  # 5, 128, not packed
        + b"\x28\x07"  # an unknown field, an integer
        + length_delimited(3, length_delimited(1, b"\x01\x02"))  # 1, 2, packed
    )
    assert list(parse_example(one_feature(pieces), "here")["x"]) == [5, 128, 1, 2]
    assert list(proto.Example.FromString(one_feature(pieces)).features.feature["x"].int64_list.value) == [5, 128, 1, 2]
    floats = length_delimited(2, b"\x0d" + np.float32(2.5).tobytes())
    assert list(parse_example(one_feature(floats), "here")["x"]) == [2.5]
    replaced = length_delimited(3, b"\x08\x05") + length_delimited(1, length_delimited(1, b"b"))
    assert parse_example(one_feature(replaced), "here")["x"] == [b"b"]
    assert list(proto.Example.FromString(one_feature(replaced)).features.feature["x"].bytes_list.value) == [b"b"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"\x0a\x05abc", "byte 100: .*a field of 5 bytes where 3 are left"),
        (b"\x0a", "byte 101: .*goes on after the end"),
        (b"\x0a" + b"\xff" * 11, "byte 101: .*more than 64 bits"),
        (b"\x03", "byte 100: .*wire type 3"),  # groups, which the format gave up
        (b"\x02\x00", "byte 100: .*field 0"),
        (one_feature(length_delimited(2, length_delimited(1, b"abc"))), "byte 113: .*3 bytes of packed float32"),
        (length_delimited(1, length_delimited(1, length_delimited(1, b"\xff"))), "byte 106: .*not UTF-8"),
    ],
)
def test_malformed_records_name_the_byte(record: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=f"file, record 3, {reason}"):
        parse_example(record, "file, record 3", 100)
    with pytest.raises(Exception, match=r"parsing|Error|decode"):
        proto.Example.FromString(record)


def test_no_cut_or_altered_byte_does_more_than_raise_input_error() -> None:
    record = example().SerializeToString()  # type: ignore[attr-defined]  # a class made at run time
    for end in range(len(record)):
        for altered in (record[:end], record[:end] + bytes([record[end] ^ 0xFF]) + record[end + 1 :]):
            try:
                parse_example(altered, "here")
            except InputError as error:
                assert "here, byte" in str(error)  # noqa: PT017 - some alterations leave an example
