"""TFRecord framing against bytes put together here with a checksum computed bit by bit, from its polynomial."""

import resource
import struct
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.harmonize.records import RecordFile, masked_crc, write_records


def crc32c(data: bytes) -> int:
    """CRC-32C one bit at a time: reflected polynomial 0x82f63b78, all ones in and out."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def by_hand(records: list[bytes]) -> bytes:
    def masked(data: bytes) -> bytes:
        crc = crc32c(data)
        return struct.pack("<I", (crc // 2**15 + crc % 2**15 * 2**17 + 0xA282EAD8) % 2**32)

    lengths = [struct.pack("<Q", len(data)) for data in records]
    return b"".join(
        length + masked(length) + data + masked(data) for length, data in zip(lengths, records, strict=True)
    )


RECORDS = [b"", b"123456789", bytes(range(256)), b"\xff" * 33]


def test_the_checksum_is_the_published_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C (RFC 3720 and the CRC catalogue)
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    for data in RECORDS:
        crc = crc32c(data)
        assert masked_crc(data) == (((crc >> 15) | (crc << 17) & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def test_files_are_those_put_together_by_hand_and_read_back_in_any_order(tmp_path: Path) -> None:
    assert write_records(tmp_path / "a", RECORDS) == 4
    assert (tmp_path / "a").read_bytes() == by_hand(RECORDS)
    file = RecordFile(tmp_path / "a")
    assert [file[number] for number in (2, 0, 3, 1)] == [RECORDS[number] for number in (2, 0, 3, 1)]
    whole = (tmp_path / "a").read_bytes()
    assert whole[file.start(2) :].startswith(RECORDS[2])
    assert len(file) == 4


def read_all(path: Path) -> list[bytes]:
    file = RecordFile(path)
    return [file[number] for number in range(len(file))]


def test_any_byte_altered_is_found(tmp_path: Path) -> None:
    whole = by_hand([b"abc", b"", b"0123456789"])
    path = tmp_path / "a.tfrecords"
    for place in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
            with pytest.raises(InputError, match=r"a\.tfrecords, record [012] \(from 0\) at byte \d+: "):
                read_all(path)
    path.write_bytes(whole)
    assert read_all(path) == [b"abc", b"", b"0123456789"]


def test_any_cut_is_found_before_the_first_record_is_read(tmp_path: Path) -> None:
    first, whole = by_hand([b"abc"]), by_hand([b"abc", b"0123456789"])
    path = tmp_path / "a.tfrecords"
    for end in range(1, len(whole)):
        path.write_bytes(whole[:end])
        if end == len(first):  # cut between two records, what is left is a file of one
            assert len(RecordFile(path)) == 1
            continue
        number = 0 if end < len(first) else 1
        with pytest.raises(InputError, match=rf"record {number} .*the file ends at"):
            RecordFile(path)


def test_other_files_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match=r"empty is empty \(0 bytes\)"):
        RecordFile(tmp_path / "empty")
    (tmp_path / "packed").write_bytes(b"\x1f\x8b" + bytes(40))
    with pytest.raises(InputError, match="gzip"):
        RecordFile(tmp_path / "packed")
    with pytest.raises(InputError, match=r"cannot read .*absent: No such file"):
        RecordFile(tmp_path / "absent")
    huge = struct.pack("<Q", 2**63)
    (tmp_path / "huge").write_bytes(huge + struct.pack("<I", masked_crc(huge)) + bytes(8))
    with pytest.raises(InputError, match=r"record 0 .* it has 9223372036854775808 bytes"):
        RecordFile(tmp_path / "huge")


def test_nothing_is_overwritten_and_nothing_half_written_is_left(tmp_path: Path) -> None:
    write_records(tmp_path / "a", [b"1"])
    with pytest.raises(InputError, match="a exists and is not overwritten"):
        write_records(tmp_path / "a", [b"2"])
    with pytest.raises(InputError, match="no records"):
        write_records(tmp_path / "b", [])
    with pytest.raises(InputError, match="cannot write"):
        write_records(tmp_path / "no folder" / "c", [b"1"])

    def broken() -> object:
        yield b"1"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(tmp_path / "d", broken())  # type: ignore[arg-type]  # wrong on purpose
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_where_there_is_no_room_nothing_is_left(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(InputError, match=r"cannot write .*a: File too large"):
            write_records(tmp_path / "a", [bytes(600)] * 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
