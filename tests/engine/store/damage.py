"""A file with one damaged byte after the other."""

from collections.abc import Iterator
from pathlib import Path


def damaged(path: Path, every: int) -> Iterator[int]:
    """Writes the file once for each of its bytes, ``every`` apart, with that byte turned over; gives its place."""
    whole = path.read_bytes()
    for place in range(0, len(whole), every):
        content = bytearray(whole)
        content[place] ^= 255
        path.write_bytes(content)
        yield place
