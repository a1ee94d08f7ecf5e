"""Bring a pinned file to this machine: from a mirror folder, from the cache, or from the network.

A mirror folder and the download cache are laid out alike, ``<host>/<path>`` without the query of the address,
so the ``downloads`` folder of one machine's cache can be carried to another and named as its mirror.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from engine.download import NetworkError, Progress, download, unlink
from engine.errors import InputError
from engine.remote_file import RemoteFile, checksum_once, wrong_checksum

MIRROR_VARIABLE = "CORTICALIGN_MIRROR"
LISTED_AT_MOST = 20

Fetch = Callable[[RemoteFile], Path]


def default_mirror() -> Path | None:
    """The folder that CORTICALIGN_MIRROR names, if it is set."""
    named = os.environ.get(MIRROR_VARIABLE)
    return Path(named).expanduser() if named else None


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/corticalign``, by default ``~/.cache/corticalign``."""
    home = os.environ.get("XDG_CACHE_HOME")
    # The XDG specification says that a relative path is to be ignored.
    root = Path(home) if home and Path(home).is_absolute() else Path.home() / ".cache"
    return root / "corticalign"


def cached(file: RemoteFile, cache: Path) -> Path:
    """Where a download of this file is kept."""
    return cache / "downloads" / file.path


def on_disk(file: RemoteFile, *, cache: Path, mirror: Path | None) -> bool:
    """Whether the file lies in the mirror or the cache; its content is not read."""
    return (mirror is not None and (mirror / file.path).is_file()) or cached(file, cache).is_file()


def fetch(file: RemoteFile, *, cache: Path, mirror: Path | None = None, progress: Progress | None = None) -> Path:
    """Path of a file whose content has been checked.

    A named mirror takes the place of the network: its files are read where they lie, and what it lacks is not
    downloaded. An interrupted download goes on where it stopped, and several processes may ask for one file.

    Raises:
        InputError: the file cannot be had (with where to put it by hand), has another checksum, or cannot be
            written. Nothing half-written keeps the final name.
    """
    if mirror is not None:
        if not mirror.is_dir():
            raise InputError(
                f"the mirror '{mirror}' is not a folder; "
                f"{MIRROR_VARIABLE} must name one that holds files as <host>/<path>"
            )
        if (mirror / file.path).is_file():
            found = checksum_once(mirror / file.path, file)
            if found != file.checksum:
                raise wrong_checksum(mirror / file.path, file, found, "replace it by the file at its address")
            return mirror / file.path
    target = cached(file, cache)
    if target.is_file():
        if checksum_once(target, file) == file.checksum:
            return target
        unlink(target)
    if mirror is not None:
        raise _absent([file], _not_in(mirror))
    try:
        return download(file, target, progress)
    except NetworkError as error:
        raise _absent([file], f"no download from {urlsplit(file.url).netloc} ({error})") from error


def fetch_all(
    files: Sequence[RemoteFile],
    *,
    cache: Path,
    mirror: Path | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Paths of several files, as `fetch` gives them; where files cannot be had, one error lists every one."""
    missing = [file for file in files if not on_disk(file, cache=cache, mirror=mirror)]
    if missing and mirror is not None and mirror.is_dir():
        raise _absent(missing, _not_in(mirror))
    paths = []
    for file in files:
        try:
            paths.append(fetch(file, cache=cache, mirror=mirror, progress=progress))
        except InputError as error:
            if isinstance(error.__cause__, NetworkError):
                rest = [other for other in missing if not on_disk(other, cache=cache, mirror=None)]
                host = urlsplit(file.url).netloc
                raise _absent(rest, f"no download from {host} ({error.__cause__})") from error.__cause__
            raise
    return paths


def _not_in(mirror: Path) -> str:
    return f"not in the mirror '{mirror}', which takes the place of the network while it is named"


def _absent(files: Sequence[RemoteFile], reason: str) -> InputError:
    lines = [f"  {file.url} -> FOLDER/{file.path}" for file in files[:LISTED_AT_MOST]]
    if len(files) > LISTED_AT_MOST:
        lines.append(f"  and {len(files) - LISTED_AT_MOST} more, placed by the same rule")
    return InputError(
        f"{len(files)} file(s) missing: {reason}. On a machine with network, put each file below at its "
        f"place in a folder, bring that FOLDER here and set {MIRROR_VARIABLE} to its path. (A "
        "machine that has downloaded them holds such a folder: 'downloads' in its cache.)\n" + "\n".join(lines)
    )
