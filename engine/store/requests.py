"""What was asked before: settings and files -> the finished job, without loading data or a model.

A shortcut only: whatever is not certain is not answered, and the longer way over the keys of the results follows.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from engine.store.atomic import write_file
from engine.store.identity import code, file_digest, key


def request_key(settings: Mapping[str, object], files: Sequence[Path]) -> str | None:
    """Key of a request: its settings, the content of the files it names, and the program as it is.

    Args:
        settings: that can change a number, or what is written of it; no path.
        files: of the user's own.

    Returns:
        None where a file cannot be read.
    """
    try:
        digests = [_digest(path.absolute(), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    except OSError:
        return None
    return key({"settings": dict(settings), "files": digests, "code": code()})


def find(output: Path, store: Path, request: str, complete: str) -> Path | None:
    """The folder of the job that answered this request, if it still holds the file ``complete``."""
    try:
        folder = output / str(json.loads(_path(store, request).read_text())["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # never asked, or damaged: it is written again
    return folder if (folder / complete).is_file() else None


def remember(output: Path, store: Path, request: str, folder: Path) -> None:
    """Notes which folder answers the request. Without room on the disk nothing is noted."""
    content = json.dumps({"folder": folder.relative_to(output).as_posix()}).encode()
    try:
        write_file(_path(store, request), lambda file: file.write(content))
    except OSError:
        return


def _path(store: Path, request: str) -> Path:
    return store / "jobs" / f"{request}.json"


@lru_cache(maxsize=1024)
def _digest(path: Path, size: int, changed: int) -> str:
    """Of a file as it was then; the jobs of a sweep share files."""
    return file_digest(path)
