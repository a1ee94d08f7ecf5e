"""One download over HTTP: resumed where it stopped, checked, and moved into place whole."""

import contextlib
import http.client
import io
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.errors import DISK_FULL, InputError
from engine.remote_file import BLOCK, RemoteFile, checksum, wrong_checksum

if sys.platform != "win32":
    import fcntl

SECONDS_WITHOUT_ANSWER = 30

Progress = Callable[[RemoteFile, int, int | None], None]
"""Called with the file, its bytes on disk so far and in all (None where the server does not say)."""


class NetworkError(Exception):
    """The server cannot be reached, or does not give the file."""


def download(file: RemoteFile, target: Path, progress: Progress | None) -> Path:
    """Brings a file to ``target``; several processes may do so at once.

    Raises:
        NetworkError: the server cannot be reached or does not give the file.
        InputError: wrong content (removed), or the disk refuses it.
    """
    part = target.with_name(target.name + ".part")
    with _disk_errors(part):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(part) as out:
            if target.is_file() and checksum(target, file) == file.checksum:  # another process was first
                unlink(part)
                return target
            resumed = out.tell() > 0
            _receive(file, out, progress)
            found = checksum(part, file)
            if found != file.checksum and resumed:  # the earlier part may have been of something else
                out.truncate(0)
                _receive(file, out, progress)
                found = checksum(part, file)
            if found != file.checksum:
                unlink(part)
                raise wrong_checksum(target, file, found, "it was removed; try again, or bring the file yourself")
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
            raise NetworkError(reason)
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
        raise NetworkError(f"HTTP {error.code} {error.reason}") from error
    except (http.client.HTTPException, OSError) as error:
        raise NetworkError(str(getattr(error, "reason", error)) or type(error).__name__) from error


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
        unlink(part)
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
            unlink(part)
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


def unlink(path: Path) -> None:
    with contextlib.suppress(OSError):  # not there, or it cannot go: it is not used either way
        path.unlink()
