"""Bring a pinned file to this machine: from a mirror folder, from the cache, or from the network.

A mirror folder and the download cache are laid out alike, ``<host>/<path>`` without the query of the address,
so the ``downloads`` folder of one machine's cache can be carried to another and named as its mirror.
"""

import contextlib
import errno
import hashlib
import http.client
import io
import os
import shutil
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from engine.errors import InputError

if sys.platform != "win32":
    import fcntl

MIRROR_VARIABLE = "CORTICALIGN_MIRROR"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
BLOCK = 1 << 18
SECONDS_WITHOUT_ANSWER = 30
LISTED_AT_MOST = 20


@dataclass(frozen=True)
class RemoteFile:
    """One file at a public address, and what its content must be.

    Exactly one checksum is given, in hexadecimal: ``sha256``, ``sha1``, or ``git_blob``, the name git gives
    to the content: SHA-1 of ``b"blob <size>\\0"`` followed by it. ``bytes`` is the size, where known.
    """

    url: str
    sha256: str | None = None
    sha1: str | None = None
    git_blob: str | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.sha256, self.sha1, self.git_blob)) != 1:
            raise ValueError(f"{self.url} needs exactly one checksum")

    @property
    def path(self) -> str:
        """Where the file lies in a mirror or cache folder: ``<host>/<path>``."""
        parts = urlsplit(self.url)
        return parts.netloc + unquote(parts.path)

    @property
    def checksum(self) -> str:
        """The kind and value of the checksum, as ``sha1:13d2...``; the value is compared without case."""
        kind = "sha256" if self.sha256 else "sha1" if self.sha1 else "git_blob"
        return f"{kind}:{getattr(self, kind).lower()}"


Fetch = Callable[[RemoteFile], Path]
Progress = Callable[[RemoteFile, int, int | None], None]
"""Called with the file, its bytes on disk so far and in all (None where the server does not say)."""


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


def fetch(
    file: RemoteFile, *, cache: Path, mirror: Path | None = None, progress: Progress | None = None
) -> Path:
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
            found = _checksum(mirror / file.path, file)
            if found != file.checksum:
                raise _wrong_sum(mirror / file.path, file, found, "replace it by the file at its address")
            return mirror / file.path
    target = cached(file, cache)
    if target.is_file():
        if _checksum(target, file) == file.checksum:
            return target
        _unlink(target)
    if mirror is not None:
        raise _absent([file], _not_in(mirror))
    try:
        return _download(file, target, progress)
    except _NetworkError as error:
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
            if isinstance(error.__cause__, _NetworkError):
                rest = [other for other in missing if not on_disk(other, cache=cache, mirror=None)]
                host = urlsplit(file.url).netloc
                raise _absent(rest, f"no download from {host} ({error.__cause__})") from error.__cause__
            raise
    return paths


class _NetworkError(Exception):
    """The server cannot be reached, or does not give the file."""


def _download(file: RemoteFile, target: Path, progress: Progress | None) -> Path:
    part = target.with_name(target.name + ".part")
    with _disk_errors(part):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(part) as out:
            if target.is_file() and _checksum(target, file) == file.checksum:  # another process was first
                _unlink(part)
                return target
            resumed = out.tell() > 0
            _receive(file, out, progress)
            found = _checksum(part, file)
            if found != file.checksum and resumed:  # the earlier part may have been of something else
                out.truncate(0)
                _receive(file, out, progress)
                found = _checksum(part, file)
            if found != file.checksum:
                _unlink(part)
                raise _wrong_sum(target, file, found, "it was removed; try again, or bring the file yourself")
            os.fsync(out.fileno())
            part.replace(target)
    return target


def _receive(file: RemoteFile, out: io.FileIO, progress: Progress | None) -> None:
    """Appends what is still missing, over as many connections as it takes while each gets further."""
    furthest = out.seek(0, os.SEEK_END)
    while furthest != file.bytes:
        try:
            with _open(file, out.tell()) as response:
                if response.status != 206:  # the server sends the file from its beginning
                    out.truncate(0)
                    out.seek(0)
                length = response.headers.get("Content-Length")
                total = out.tell() + int(length) if length else None
                _check_space(file, out, total)
                for block in _blocks(response):
                    rest = memoryview(block)
                    while rest:  # an unbuffered write may take only a part
                        rest = rest[out.write(rest) :]
                    if progress is not None:
                        progress(file, out.tell(), total)
            if total is None or out.tell() == total:
                return
            reason = f"the connection closed after {out.tell()} of {total} bytes"
        except _Dropped as error:
            reason = str(error)
        if out.tell() <= furthest:
            raise _NetworkError(reason)
        furthest = out.tell()


def _open(file: RemoteFile, start: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "corticalign", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(file.url, headers=headers)
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=SECONDS_WITHOUT_ANSWER)
        return response
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:  # the part on disk is no beginning of this file
            return _open(file, 0)
        raise _NetworkError(f"HTTP {error.code} {error.reason}") from error
    except (http.client.HTTPException, OSError) as error:
        raise _NetworkError(str(getattr(error, "reason", error)) or type(error).__name__) from error


class _Dropped(Exception):
    """The connection broke while the content came."""


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    # Errors of the connection are OSErrors, as those of the disk are: kept apart here.
    try:
        while block := response.read(BLOCK):
            yield block
    except (http.client.HTTPException, OSError) as error:
        raise _Dropped(str(error) or type(error).__name__) from error


def _check_space(file: RemoteFile, out: io.FileIO, total: int | None) -> None:
    part = Path(os.fsdecode(out.name))
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - out.tell() > free:
        _unlink(part)
        raise InputError(
            f"{file.url} needs {total / 1e6:.1f} MB, but {part.parent} has {free / 1e6:.1f} MB left; "
            f"{_MAKE_ROOM}. Nothing was downloaded"
        )


_MAKE_ROOM = "free some space, or set XDG_CACHE_HOME to a folder on another disk"


@contextlib.contextmanager
def _disk_errors(part: Path) -> Iterator[None]:
    """Turns what the disk refuses into one InputError; on a full disk nothing is kept."""
    try:
        yield
    except OSError as error:
        remedy = "set XDG_CACHE_HOME to a folder that can be written"
        if error.errno in DISK_FULL:
            _unlink(part)
            remedy = f"the disk is full: {_MAKE_ROOM}. The unfinished download was removed"
        raise InputError(f"cannot write {part}: {error.strerror or error}; {remedy}") from error


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[io.FileIO]:
    """The unfinished file, open for appending and held by this process alone."""
    while True:
        with io.FileIO(part, "ab") as out:
            if sys.platform != "win32":
                # Some network file systems know no locks: then two simultaneous downloads are told apart only
                # by the checksum.
                with contextlib.suppress(OSError):
                    fcntl.flock(out, fcntl.LOCK_EX)
            # While this process waited, another may have renamed or removed the file it had opened.
            if part.exists() and os.path.samestat(os.fstat(out.fileno()), part.stat()):
                out.seek(0, os.SEEK_END)
                yield out
                return


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


_sums: dict[tuple[str, int, int, str], str] = {}
_sums_lock = threading.Lock()


def _checksum(path: Path, file: RemoteFile) -> str:
    """The checksum the file on disk has, of the kind pinned; read once while it does not change."""
    kind = file.checksum.partition(":")[0]
    try:
        state = path.stat()
        key = (str(path), state.st_size, state.st_mtime_ns, kind)
        with _sums_lock:
            if key in _sums:
                return _sums[key]
        sha = hashlib.sha256() if kind == "sha256" else hashlib.sha1(usedforsecurity=False)
        if kind == "git_blob":
            sha.update(b"blob %d\0" % state.st_size)
        with path.open("rb") as content:
            while block := content.read(BLOCK):
                sha.update(block)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    with _sums_lock:
        _sums[key] = f"{kind}:{sha.hexdigest()}"
        return _sums[key]


def _wrong_sum(path: Path, file: RemoteFile, found: str, remedy: str) -> InputError:
    return InputError(
        f"wrong checksum of {path}: it has {found}, wanted {file.checksum} (the file at {file.url}); {remedy}"
    )


def _not_in(mirror: Path) -> str:
    return f"not in the mirror '{mirror}', which takes the place of the network while it is named"


def _absent(files: Sequence[RemoteFile], reason: str) -> InputError:
    lines = [f"  {file.url} -> FOLDER/{file.path}" for file in files[:LISTED_AT_MOST]]
    if len(files) > LISTED_AT_MOST:
        lines.append(f"  and {len(files) - LISTED_AT_MOST} more, placed by the same rule")
    return InputError(
        f"{len(files)} file(s) missing: {reason}. On a machine with network, put each file below at its "
        f"place in a folder, bring that FOLDER here and set {MIRROR_VARIABLE} to its path. (A "
        "machine that has downloaded them holds such a folder: 'downloads' in its cache.)\n"
        + "\n".join(lines)
    )
