"""What was asked before: settings and files -> the finished job, without loading data or a model.

A shortcut only: whatever is not certain is not answered, and the longer way over the keys of the results follows.
"""

import json
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from engine.store.atomic import write_file
from engine.store.identity import code, file_digest, key


class Asked(NamedTuple):
    """What a job asks for.

    Attributes:
        settings: key of those that can change a number, or what is written of it; no path is in it.
        files: paths of the user's own files that it reads.
        output: where its results go.
    """

    settings: str
    files: tuple[str, ...]
    output: str


def request_key(settings: str, files: Sequence[str]) -> str | None:
    """Key of a request: its settings, the content of the files it names as they are now, and the program as it is.

    Returns:
        None where a file cannot be read.
    """
    try:
        digests = [_digest(*_state(path)) for path in files]
    except OSError:
        return None
    return key({"settings": settings, "files": digests, "code": code()})


def remember_words(store: Path, words: str, asked: Asked) -> None:
    """Notes what the words of a command ask for. ``words`` is a key of them and of the program."""
    content = json.dumps(asked._asdict()).encode()
    try:
        write_file(_words_path(store, words), lambda file: file.write(content))
    except OSError:
        return


def recall_words(store: Path, words: str) -> Asked | None:
    """What those words ask for; None where nobody noted it or the note is damaged."""
    try:
        found = json.loads(_words_path(store, words).read_text())
        return Asked(str(found["settings"]), tuple(map(str, found["files"])), str(found["output"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def find(output: Path, store: Path, request: str, complete: str) -> Path | None:
    """The folder of the job that answered this request, if it still holds the file ``complete`` and the store what the
    job kept there.
    """
    try:
        found = json.loads(_path(store, request).read_text())
        folder, kept = output / str(found["folder"]), [store / str(name) for name in found["kept"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # never asked, or damaged: it is written again
    return folder if all(map(os.path.isfile, [folder / complete, *kept])) else None


def remember(output: Path, store: Path, request: str, folder: Path, kept: Sequence[str]) -> None:
    """Notes which folder answers the request, and what was kept of it below the store. Without room on the disk
    nothing is noted.
    """
    content = json.dumps({"folder": folder.relative_to(output).as_posix(), "kept": list(kept)}).encode()
    try:
        write_file(_path(store, request), lambda file: file.write(content))
    except OSError:
        return


def _path(store: Path, request: str) -> Path:
    return store / "jobs" / f"{request}.json"


def _words_path(store: Path, words: str) -> Path:
    return store / "words" / f"{words}.json"


def _state(path: str) -> tuple[Path, int, int]:
    whole = Path(path).expanduser().absolute()
    status = whole.stat()
    return whole, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1024)
def _digest(path: Path, size: int, changed: int) -> str:
    """Of a file as it was then; the jobs of a sweep share files."""
    return file_digest(path)
