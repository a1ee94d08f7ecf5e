"""A pinned file at a public address, and the check of what lies on the disk against it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from engine.errors import InputError

BLOCK = 1 << 18


@dataclass(frozen=True)
class RemoteFile:
    """One file at a public address, and what its content must be.

    Exactly one checksum is given, in hexadecimal: ``sha256``, ``sha1``, ``md5`` (where the publisher states nothing
    better: it reveals damage, not forgery), or ``git_blob``, the name git gives to the content: SHA-1 of
    ``b"blob <size>\\0"`` followed by it. A checksum may be cut to its first digits, eight at least, where the
    publisher states no more. ``bytes`` is the size, where known.
    """

    url: str
    sha256: str | None = None
    sha1: str | None = None
    md5: str | None = None
    git_blob: str | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        if len(self._given) != 1:
            raise ValueError(f"{self.url} needs exactly one checksum")
        if len(self.checksum.partition(":")[2]) < 8:
            raise ValueError(f"{self.url} needs at least eight digits of its checksum")

    @property
    def _given(self) -> dict[str, str]:
        kinds = {"sha256": self.sha256, "sha1": self.sha1, "md5": self.md5, "git_blob": self.git_blob}
        return {kind: value.lower() for kind, value in kinds.items() if value is not None}

    @property
    def path(self) -> str:
        """Where the file lies in a mirror or cache folder: ``<host>/<path>``."""
        parts = urlsplit(self.url)
        return parts.netloc + unquote(parts.path)

    @property
    def checksum(self) -> str:
        """The kind and value of the checksum, as ``sha1:13d2...``; the value is compared without case."""
        ((kind, value),) = self._given.items()
        return f"{kind}:{value}"


def checksum(path: Path, file: RemoteFile) -> str:
    """The checksum that the content at ``path`` has, of the kind pinned for ``file`` and as many digits of it."""
    kind, _, pinned = file.checksum.partition(":")
    sha = hashlib.new("sha1" if kind == "git_blob" else kind, usedforsecurity=False)
    try:
        with path.open("rb") as content:
            if kind == "git_blob":
                sha.update(b"blob %d\0" % path.stat().st_size)
            while block := content.read(BLOCK):
                sha.update(block)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return f"{kind}:{sha.hexdigest()[: len(pinned)]}"


_checked: dict[tuple[str, int, int, str], str] = {}


def checksum_once(path: Path, file: RemoteFile) -> str:
    """As `checksum`, but content that has been read by this process is not read again until it changes."""
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    key = (str(path), state.st_size, state.st_mtime_ns, file.checksum)
    if key not in _checked:
        _checked[key] = checksum(path, file)
    return _checked[key]


def wrong_checksum(path: Path, file: RemoteFile, found: str, remedy: str) -> InputError:
    return InputError(
        f"wrong checksum of {path}: it has {found}, wanted {file.checksum} (the file at {file.url}); {remedy}"
    )
