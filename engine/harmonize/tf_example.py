"""``tf.train.Example``: named lists of bytes, floats or integers, as protocol-buffer bytes.

The three levels of messages (TensorFlow, ``core/example/{example,feature}.proto``), field numbers in front:

    Example   1 features: Features
    Features  1 feature: map, each entry a message {1 key: string, 2 value: Feature}
    Feature   one of  1 bytes_list,  2 float_list (float32),  3 int64_list;  each a message {1 value: repeated}

Numbers may be packed into one field or come one by one; unknown fields are passed over. This reader only slices bytes:
whatever a file holds, nothing in it is run, and no length in it makes more memory than the record has.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from engine.errors import InputError

Values = list[bytes] | np.ndarray
"""Of one feature: byte strings, or a vector of float32 or int64."""

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_BYTES, _FLOATS, _INTEGERS = 1, 2, 3


class _Malformed(Exception):
    """What is wrong, and at which byte of the record."""


def parse_example(record: bytes, where: str, start: int = 0) -> dict[str, Values]:
    """Features of one example by name.

    Args:
        record: the data of one record.
        where: file and number, for error messages.
        start: the byte of the file at which ``record`` begins.

    Raises:
        InputError: names ``where`` and the byte at which the record is not an example.
    """
    features: dict[str, Values] = {}
    try:
        for field, first, last in _submessages(record, 0, len(record)):
            if field == 1:
                for inner, begin, end in _submessages(record, first, last):
                    if inner == 1:
                        name, values = _entry(record, begin, end)
                        features[name] = values
    except _Malformed as error:
        what, place = error.args
        raise InputError(f"{where}, byte {start + place}: not a tf.train.Example, {what}") from None
    return features


def _entry(data: bytes, place: int, end: int) -> tuple[str, Values]:
    name, values = "", None
    for field, first, last in _submessages(data, place, end):
        if field == 1:
            try:
                name = data[first:last].decode()
            except UnicodeDecodeError:
                raise _Malformed("a feature's name is not UTF-8", first) from None
        elif field == 2:
            values = _feature(data, first, last)
    return name, [] if values is None else values


def _feature(data: bytes, place: int, end: int) -> Values:
    values: Values = []
    kind = None
    for field, first, last in _submessages(data, place, end):
        if field in (_BYTES, _FLOATS, _INTEGERS):
            found = (_byte_strings if field == _BYTES else _floats if field == _FLOATS else _integers)(
                data, first, last
            )
            # "One of": a second list of another kind replaces the first, of the same kind it is joined to it.
            if kind != field:
                values = found
            else:
                values = values + found if isinstance(values, list) else np.concatenate([values, found])
            kind = field
    return values


def _byte_strings(data: bytes, place: int, end: int) -> list[bytes]:
    return [data[first:last] for field, first, last in _submessages(data, place, end) if field == 1]


def _floats(data: bytes, place: int, end: int) -> np.ndarray:
    pieces = []
    for field, wire, first, last in _fields(data, place, end):
        if field == 1 and wire in (_FIXED32, _DELIMITED):
            if (last - first) % 4:
                raise _Malformed(f"{last - first} bytes of packed float32", first)
            pieces.append(data[first:last])
    return np.frombuffer(b"".join(pieces), "<f4").astype(np.float32)


def _integers(data: bytes, place: int, end: int) -> np.ndarray:
    values: list[int] = []
    for field, wire, first, last in _fields(data, place, end):
        if field == 1 and wire in (_VARINT, _DELIMITED):
            while first < last:
                value, first = _varint(data, first, last)
                values.append(value)
    return np.array(values, np.uint64).astype(np.int64)  # two's complement


def _submessages(data: bytes, place: int, end: int) -> list[tuple[int, int, int]]:
    """Field number, first byte and end of every length-delimited field; other fields are passed over."""
    return [(field, first, last) for field, wire, first, last in _fields(data, place, end) if wire == _DELIMITED]


def _fields(data: bytes, place: int, end: int) -> list[tuple[int, int, int, int]]:
    """Field number, wire type, first byte and end of the value of every field of the message in these bytes."""
    found = []
    while place < end:
        at = place
        tag, place = _varint(data, place, end)
        field, wire = tag >> 3, tag & 7
        if field == 0 or wire not in (_VARINT, _FIXED64, _DELIMITED, _FIXED32):
            raise _Malformed(f"field {field} of wire type {wire}", at)
        first = place
        if wire == _VARINT:
            _, place = _varint(data, place, end)
        elif wire == _DELIMITED:
            length, first = _varint(data, place, end)
            place = first + length
        else:
            place += 8 if wire == _FIXED64 else 4
        if place > end:
            raise _Malformed(f"a field of {place - first} bytes where {end - first} are left", at)
        found.append((field, wire, first, place))
    return found


def _varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    """An integer of seven bits per byte, least significant first, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if place + shift // 7 >= end:
            raise _Malformed("an integer goes on after the end", place)
        byte = data[place + shift // 7]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 1 << 64:
                break
            return value, place + shift // 7 + 1
    raise _Malformed("an integer of more than 64 bits", place)


def encode_example(features: Mapping[str, bytes | int | Sequence[float] | np.ndarray]) -> bytes:
    """The bytes of an example: byte strings, single integers (int64) and vectors of floats (float32), by name.

    Features are written in the order of their names, so that equal examples give equal bytes.
    """
    entries = b"".join(
        _delimited(1, _delimited(1, name.encode()) + _delimited(2, _encoded(features[name])))
        for name in sorted(features)
    )
    return _delimited(1, entries)


def _encoded(value: bytes | int | Sequence[float] | np.ndarray) -> bytes:
    if isinstance(value, bytes):
        return _delimited(_BYTES, _delimited(1, value))
    if isinstance(value, int | np.integer):
        return _delimited(_INTEGERS, _delimited(1, _encoded_varint(int(value) % (1 << 64))))
    floats = np.asarray(value, np.float32)
    return _delimited(_FLOATS, _delimited(1, floats.astype("<f4").tobytes()))


def _delimited(field: int, content: bytes) -> bytes:
    return _encoded_varint(field << 3 | _DELIMITED) + _encoded_varint(len(content)) + content


def _encoded_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
