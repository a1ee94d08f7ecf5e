"""Files kept between runs: keyed by everything that can change their content, written whole or not at all."""

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from engine.errors import DISK_FULL, InputError
from engine.gram import Summary


def key(parts: Mapping[str, object]) -> str:
    """SHA-256 of the parts written as canonical JSON: equal parts, equal key, on any machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def load_summary(folder: Path, name: str) -> Summary | None:
    """The layer summary of that key, or None where there is none or its file is damaged (then it is removed)."""
    path = _summary_path(folder, name)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return Summary(
                stored["gram"],
                stored["sums"],
                stored["along_shift"],
                float(stored["shift_squared"]),
                int(stored["units"]),
            )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        # The zip's checksums failed: a disk error or a stray edit. It is made again.
        path.unlink(missing_ok=True)
        return None


def save_summary(folder: Path, name: str, summary: Summary) -> None:
    """Writes the summary under that key, atomically. An OSError (disk full) leaves nothing behind."""
    path = _summary_path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **summary._asdict())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _summary_path(folder: Path, name: str) -> Path:
    return folder / "summaries" / name[:2] / f"{name}.npz"


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


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Lets ``write`` fill a temporary folder, then renames it to ``folder``: all of it appears, or nothing.

    A folder of that name that another process completed meanwhile is kept; both hold the same content.

    Raises:
        InputError: the disk is full; nothing is left.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        write(temporary)
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        temporary.chmod(0o755)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            shutil.rmtree(temporary)
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
