"""Files and folders that appear whole or not at all, whoever else writes them, on local disks and over NFS.

Written under a temporary name in the same folder, synced, renamed, and the folder synced, so that after a crash a
name that is there has its content. No locks: NFS may not have them. Two writers of one name hold the same content,
and whichever renames last leaves it. Temporary names start with a dot, which readers of Parquet data sets pass over.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
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
    except BaseException:
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
    except BaseException:
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


def abandoned(folder: Path) -> Iterator[Path]:
    """Temporary files below ``folder`` whose writers were killed: untouched for a day."""
    before = time.time() - ABANDONED
    for path in folder.rglob(f".*{PART}"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                yield path


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{token_hex(8)}{PART}")


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
