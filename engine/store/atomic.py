"""Files and folders that appear whole or not at all, whoever else writes them, on local disks and over NFS.

Written under a temporary name in the same folder, synced, renamed, and the folder synced, so that after a crash a
name that is there has its content. No locks: NFS may not have them. Two writers of one name hold the same content,
and whichever renames last leaves it. Temporary names start with a dot, which readers of Parquet data sets pass over.
"""

import contextlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from engine.errors import DISK_FULL, InputError

PART = ".part"
ABANDONED = 86400.0  # seconds after which a temporary file is nobody's: another machine may still write a younger one


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Lets ``write`` fill a temporary file, then renames it to ``path``. An OSError (disk full) leaves nothing."""
    _make(path.parent)
    temporary = _temporary(path)
    try:
        # Not tempfile's: its files are for their owner only, and a store may be a group's.
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        _rename(temporary, path)
    except BaseException:  # Ctrl-C as well: nothing half written stays
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Lets ``write`` fill a temporary folder, then renames it to ``folder``: all of it appears, or nothing.

    A folder of that name that another process completed meanwhile is kept; both hold the same content.

    Raises:
        InputError: the disk is full; nothing is left.
    """
    temporary = _temporary(folder)
    try:
        _make(folder.parent)
        temporary.mkdir()
        write(temporary)
        for path in temporary.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            else:
                _sync(path)
        _sync(temporary)
        try:
            _rename(temporary, folder)
        except OSError:
            if not folder.exists():
                raise
            shutil.rmtree(temporary)
        _sync(folder.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if error.errno in DISK_FULL:
            raise InputError(
                f"the disk is full: results could not be written to '{folder}' and nothing was left there; "
                "make room and start again (finished layers are kept)"
            ) from error
        raise
    except BaseException:  # Ctrl-C as well, and whatever `write` raises
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def check_writable(folder: Path) -> None:
    """Raises InputError where nothing can be written to the folder; creates it where it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
            file.flush()
    except OSError as error:
        raise InputError(
            f"cannot write to the output folder '{folder}' ({error.strerror}); give another with output=FOLDER"
        ) from error


def abandoned(folder: Path, pattern: str = "**/") -> Iterator[Path]:
    """Temporary files and folders below ``folder`` whose writers were killed.

    Of a writer in this machine (and container) that is whoever runs no more; what another machine may have written
    must be untouched for a day.

    Args:
        pattern: of the folders below to look into; the empty one is ``folder`` itself alone.
    """
    before = time.time() - ABANDONED
    for path in folder.glob(f"{pattern}.*{PART}"):
        with contextlib.suppress(OSError):  # its writer has just renamed it
            writer = path.name.removesuffix(PART).rpartition(".")[2].split("-")
            if len(writer) == 3 and writer[0] == _machine() and writer[1].isdecimal():
                gone = not runs(int(writer[1]))
            else:
                inside = path.rglob("*") if path.is_dir() else ()
                gone = max(each.stat().st_mtime for each in (path, *inside)) < before
            if gone:
                yield path


def tidy(folder: Path, pattern: str = "**/") -> None:
    """Removes what :func:`abandoned` finds."""
    for path in list(abandoned(folder, pattern)):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):  # of another user; it only takes room
                path.unlink(missing_ok=True)


def runs(process: int) -> bool:
    """Whether a process of this machine (and container) runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        if Path("/proc/self/stat").exists():
            return False
    try:
        os.kill(process, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


@lru_cache(maxsize=1)
def _machine() -> str:
    """Of processes that have one numbering: the host, since it was started, and the container."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # Linux only; elsewhere the name of the host must do
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return sha256("\0".join(parts).encode()).hexdigest()[:8]


def _temporary(path: Path) -> Path:
    """Says who writes it, so that what a killed writer leaves can be told from what is being written."""
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{token_hex(4)}{PART}")


def _rename(temporary: Path, path: Path) -> None:
    try:
        os.replace(temporary, path)
    except FileNotFoundError:
        # An NFS server whose answer was lost is asked again, and finds the rename done.
        if temporary.exists() or not path.exists():
            raise


def _make(folder: Path) -> None:
    """The folder with its parents, each synced into its own parent."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        _sync(each.parent)


def _sync(folder: Path) -> None:
    """Makes renames in a folder last. Some file systems cannot, and need not, sync a folder."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
