"""From pictures as they are stored to the digest of the pixels a model is given, without decoding them again.

A shortcut: an entry depends on every byte of the pictures, on what is done to them and on the program that does it.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import PIL

from engine.store.atomic import write_file
from engine.store.identity import code, key


@runtime_checkable
class Digested(Protocol):
    """Pictures that can be identified without being decoded."""

    def digest(self) -> str:
        """SHA-256 of what is stored. OSError where it cannot be read."""
        ...


def pixels_key(images: object, treatment: Mapping[str, object]) -> str | None:
    """Key of these pictures treated in this way; None where they cannot be told without decoding.

    Args:
        images: of a recording.
        treatment: everything that is done to them before a model is given their pixels.
    """
    if not isinstance(images, Digested):
        return None
    try:
        stored = images.digest()
    except OSError:
        return None  # decoding will say which picture is missing
    return key({"pictures": stored, "treatment": treatment, "pillow": PIL.__version__, "code": code()})


def load_digest(folder: Path, name: str) -> str | None:
    """The digest of pixels kept under that key; None where there is none or it is damaged."""
    try:
        digest, check = _path(folder, name).read_text().split()
    except (OSError, ValueError):
        return None
    return digest if check == _check(name, digest) else None


def save_digest(folder: Path, name: str, digest: str) -> None:
    """Keeps it. Where it cannot be written, pictures are decoded again the next time."""
    try:
        write_file(_path(folder, name), lambda file: file.write(f"{digest} {_check(name, digest)}\n".encode()))
    except OSError:
        return


def _check(name: str, digest: str) -> str:
    return hashlib.sha256(f"{name} {digest}".encode()).hexdigest()


def _path(folder: Path, name: str) -> Path:
    return folder / "pixels" / name[:2] / name
