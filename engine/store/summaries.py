"""Layer summaries kept between runs, up to a number of bytes; what was used longest ago goes first.

One file per summary: an npz, whose members carry checksums, with its own key inside. The modification time of a file
is the mark of its last use: setting it needs no lock, and unlike the access time no backup program moves it.
"""

import contextlib
import io
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from engine.errors import InputError
from engine.store.atomic import tidy, write_file

if TYPE_CHECKING:
    from engine.gram import Summary

LIMIT = "CORTICALIGN_CACHE_GB"
DEFAULT_LIMIT = 100.0  # GB: about 160 model x recording pairs of 18 layers x 3000 stimuli
# What damaged bytes make of an npz: a checksum that fails, or a header that cannot be.
_DAMAGED = (ValueError, KeyError, EOFError, RuntimeError, struct.error, SyntaxError, MemoryError, zipfile.BadZipFile)
ENTRIES = "*/*.npz"


class Entry(NamedTuple):
    """One file of the cache: its path, key, bytes, and when it was last used (seconds since 1970)."""

    path: Path
    name: str
    size: int
    used: float


def load_summary(folder: Path, name: str, say: Callable[[str], None] = lambda sentence: None) -> "Summary | None":
    """The layer summary of that key, or None where there is none or its file is damaged.

    A damaged file is removed and reported through ``say``, so that it is made again. Marks the entry as used.
    """
    path = _path(folder, name)
    try:
        found = _read(path, name)
    except FileNotFoundError:
        return None
    except OSError as error:
        say(f"the layer summary '{path}' cannot be read ({error.strerror}); it is computed again")
        return None
    except _DAMAGED as error:
        say(f"the layer summary '{path}' is damaged ({error}); it is removed and computed again")
        path.unlink(missing_ok=True)
        return None
    with contextlib.suppress(OSError):  # evicted meanwhile, or a cache that may only be read
        os.utime(path)
    return found


def save_summary(folder: Path, name: str, summary: "Summary") -> None:
    """Writes the summary under that key, atomically. An OSError (disk full) leaves nothing behind."""

    def fill(file: BinaryIO) -> None:
        np.savez(file, key=np.array(name), **summary._asdict())

    write_file(_path(folder, name), fill)


def has_summary(folder: Path, name: str) -> bool:
    """Whether there is an entry of that key. It is not read, so it may turn out to be damaged."""
    return _path(folder, name).is_file()


def entries(folder: Path) -> list[Entry]:
    """All that is kept, least recently used first."""
    found = []
    for path in (folder / "summaries").glob(ENTRIES):
        with contextlib.suppress(FileNotFoundError):  # evicted by another process meanwhile
            status = path.stat()
            found.append(Entry(path, path.stem, status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: (entry.used, entry.name))


def evict(folder: Path, limit: float) -> list[Entry]:
    """Removes the least recently used summaries until at most ``limit`` bytes are kept, and files of dead writers.

    Returns what was removed. A process that was about to read one computes it again.
    """
    for own in ("summaries", "pixels"):
        tidy(folder / own)
    kept = entries(folder)
    total, removed = sum(entry.size for entry in kept), []
    for entry in kept:
        if total <= limit:
            break
        entry.path.unlink(missing_ok=True)
        total -= entry.size
        removed.append(entry)
    return removed


def verify(folder: Path) -> Iterator[tuple[Entry, str | None]]:
    """Reads every entry: (entry, what is wrong with it, or None). Damaged ones are removed. Nothing is marked used."""
    for entry in entries(folder):
        try:
            _read(entry.path, entry.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield entry, f"cannot be read: {error.strerror}"
        except _DAMAGED as error:
            entry.path.unlink(missing_ok=True)
            yield entry, f"damaged, removed: {error}"
        else:
            yield entry, None


def size_limit() -> float:
    """Bytes that summaries may take: $CORTICALIGN_CACHE_GB x 1e9, by default 100 GB.

    Raises:
        InputError: it is not a number of at least 0.
    """
    given = os.environ.get(LIMIT) or str(DEFAULT_LIMIT)
    try:
        gigabytes = float(given)
    except ValueError:
        gigabytes = -1.0
    if not gigabytes >= 0:
        raise InputError(f"{LIMIT}={given}: wanted a number of GB, at least 0, that layer summaries may take")
    return gigabytes * 1e9


def _read(path: Path, name: str) -> "Summary":
    content = path.read_bytes()
    try:
        return _parsed(io.BytesIO(content), name)
    except OSError as error:  # of what a damaged directory points to, not of the disk
        raise ValueError(str(error)) from error


def _parsed(file: BinaryIO, name: str) -> "Summary":
    from engine.gram import Summary

    # First all checksums: a header that lies about its shape would stop the reader before the end of a member,
    # where zipfile looks at its checksum.
    with zipfile.ZipFile(file) as archive:
        if broken := archive.testzip():
            raise ValueError(f"the checksum of '{broken}' fails")
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        if str(stored["key"]) != name:
            raise ValueError("it is the entry of another key")
        return Summary(
            stored["gram"],
            stored["sums"],
            stored["along_shift"],
            float(stored["shift_squared"]),
            int(stored["units"]),
        )


def _path(folder: Path, name: str) -> Path:
    return folder / "summaries" / name[:2] / f"{name}.npz"
