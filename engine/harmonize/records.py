"""TFRecord files, read and written without TensorFlow.

A file is records one after the other, each

    length   8 bytes, unsigned, little-endian
    check    4 bytes, masked CRC-32C of the 8 before
    data     as many bytes as ``length`` says
    check    4 bytes, masked CRC-32C of the data

The mask turns the checksum by 15 bits and adds 0xa282ead8 (TensorFlow, ``core/lib/io/record_writer.h``), so that data
which hold checksums themselves are checked as well as others. The data are opaque here; see
:mod:`engine.harmonize.tf_example` for what they usually are.
"""

import contextlib
import os
import struct
from collections.abc import Iterable
from pathlib import Path

import google_crc32c
import numpy as np

from engine.errors import InputError

_HEADER = struct.Struct("<QI")
_CHECK = struct.Struct("<I")
_AROUND = _HEADER.size + _CHECK.size


def masked_crc(data: bytes) -> int:
    """CRC-32C (Castagnoli) of the data under TFRecord's mask."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


class RecordFile:
    """The records of one file by number.

    Opening it reads the length of every record and checks it: the file is complete from its first to its last byte.
    The data are checked whenever a record is read. Nothing stays open, so that several threads and processes may read.

    Raises:
        InputError: names the file, the record and the byte where the file is empty, cut short or altered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._starts, self._lengths = _index(path)

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, number: int, /) -> bytes:
        start, length = int(self._starts[number]), int(self._lengths[number])
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                read = file.read(length + _CHECK.size)
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror or error}") from error
        data = read[:length]
        if len(read) != length + _CHECK.size or masked_crc(data) != _CHECK.unpack(read[length:])[0]:
            raise _damaged(self.path, number, start, "its data do not fit their checksum")
        return data

    def start(self, number: int) -> int:
        """The byte of the file at which the data of a record begin."""
        return int(self._starts[number])


def _index(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """First byte and number of bytes of the data of every record."""
    starts: list[int] = []
    lengths: list[int] = []
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            place = 0
            while place < size:
                header = file.read(_HEADER.size)
                if len(header) < _HEADER.size:
                    raise _damaged(path, len(starts), place, f"the file ends at byte {size}, within a record's length")
                length, check = _HEADER.unpack(header)
                if masked_crc(header[:8]) != check:
                    told = "; it is compressed with gzip, unpack it" if header[:2] == b"\x1f\x8b" else ""
                    raise _damaged(path, len(starts), place, f"its length does not fit its checksum{told}")
                if length > size - place - _AROUND:
                    raise _damaged(
                        path, len(starts), place, f"it has {length} bytes of data, but the file ends at {size}"
                    )
                starts.append(place + _HEADER.size)
                lengths.append(length)
                place += length + _AROUND
                file.seek(place)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if not starts:
        raise InputError(f"the record file {path} is empty (0 bytes); bring an intact copy")
    return np.array(starts, np.int64), np.array(lengths, np.int64)


def _damaged(path: Path, number: int, place: int, what: str) -> InputError:
    return InputError(
        f"{path}, record {number} (from 0) at byte {place}: {what}; the file is cut short, altered or no TFRecord "
        "file: bring an intact copy"
    )


def write_records(path: Path, records: Iterable[bytes]) -> int:
    """Writes a file of records whole or not at all: under a temporary name beside ``path``, which it then takes.

    Returns:
        The number of records.

    Raises:
        InputError: there are no records, ``path`` exists, or the disk refuses; nothing is left behind.
    """
    if path.exists():
        raise InputError(f"{path} exists and is not overwritten; give another name or remove it")
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    count = 0
    try:
        with partial.open("wb") as file:
            for data in records:
                length = struct.pack("<Q", len(data))
                file.write(length + _CHECK.pack(masked_crc(length)) + data + _CHECK.pack(masked_crc(data)))
                count += 1
            file.flush()
            os.fsync(file.fileno())
        if not count:
            raise InputError(f"there are no records to write to {path}")
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # it has its own name by now, or never came to be
            partial.unlink()
    return count
