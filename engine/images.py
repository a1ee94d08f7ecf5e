"""Stimulus pictures, decoded to RGB when they are asked for.

Rules for what is not 8-bit RGB already: grey becomes three equal channels; 16-bit grey is scaled by 255/65535
(plain conversion would clip it); palettes and CMYK are converted; an alpha channel is dropped and the colours
beneath kept, as Brain-Score does. Rotation noted in a photograph's EXIF block is not applied.
"""

import hashlib
import io
import os
import struct
import threading
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from engine.errors import InputError

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


class FileImages:
    """One picture file per stimulus. ``ids`` are the stimulus ids, for error messages."""

    def __init__(self, paths: Sequence[Path], ids: Sequence[str] | None = None) -> None:
        self._paths = list(paths)
        self._ids = _names(ids, len(self._paths))

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int, /) -> np.ndarray:
        path = self._paths[index]
        return decode(path, str(path), self._ids[index])

    def digest(self) -> str:
        """SHA-256 of the files as they are, in order; nothing is decoded. OSError where one cannot be read."""
        sha = hashlib.sha256()
        for path in self._paths:
            content = path.read_bytes()
            sha.update(f"{len(content)} ".encode())
            sha.update(content)
        return sha.hexdigest()


class ZipImages:
    """One member of a zip archive per stimulus.

    The archive is opened at the first picture, once per process and thread, so that an object can be sent to
    other processes and read by several threads.
    """

    def __init__(self, path: Path, members: Sequence[str], ids: Sequence[str] | None = None) -> None:
        self._path = path
        self._members = list(members)
        self._ids = _names(ids, len(self._members))
        self._open = threading.local()

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, index: int, /) -> np.ndarray:
        member, where = self._members[index], f"{self._members[index]} in {self._path}"
        try:
            content = self._archive().read(member)
        except KeyError:
            raise InputError(f"{self._path} has no member '{member}' (stimulus {self._ids[index]})") from None
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, *_BROKEN) as error:
            raise _broken(where, self._ids[index], error) from error
        return decode(io.BytesIO(content), where, self._ids[index])

    def digest(self) -> str:
        """SHA-256 of the archive and of which members, in order; nothing is decoded. OSError as of FileImages."""
        sha = hashlib.sha256("\0".join(self._members).encode())
        with self._path.open("rb") as file:
            sha.update(hashlib.file_digest(file, "sha256").digest())
        return sha.hexdigest()

    def _archive(self) -> zipfile.ZipFile:
        # A forked process inherits the open file with its position, which must not be shared: hence the pid.
        if getattr(self._open, "pid", None) != os.getpid():
            self._open.archive = zipfile.ZipFile(self._path)
            self._open.pid = os.getpid()
        archive: zipfile.ZipFile = self._open.archive
        return archive

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_open"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _open=threading.local())


class ArrayImages:
    """Pictures in memory: uint8, stimuli x height x width x 3 (RGB), or stimuli x height x width (grey)."""

    def __init__(self, array: np.ndarray) -> None:
        if array.dtype != np.uint8 or not (array.ndim == 3 or (array.ndim == 4 and array.shape[-1] == 3)):
            raise InputError(
                f"images are {array.dtype} of shape {array.shape}; wanted uint8 (0 to 255) of shape "
                "(stimuli, height, width, 3) for RGB or (stimuli, height, width) for grey"
            )
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, index: int, /) -> np.ndarray:
        image = np.asarray(self._array[index])
        return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)

    def digest(self) -> str:
        """SHA-256 of the array."""
        sha = hashlib.sha256(f"{self._array.shape}".encode())
        sha.update(np.ascontiguousarray(self._array).data)
        return sha.hexdigest()


def _names(ids: Sequence[str] | None, count: int) -> list[str]:
    names = [str(index) for index in range(count)] if ids is None else [str(name) for name in ids]
    if len(names) != count:
        raise InputError(f"{count} pictures for {len(names)} stimulus ids")
    return names


def decode(source: Path | IO[bytes], where: str, stimulus: str) -> np.ndarray:
    """One picture, height x width x 3, uint8. Raises InputError naming the stimulus and where it is."""
    try:
        with Image.open(source) as image:
            if image.mode.startswith("I;16"):
                grey = (np.asarray(image).astype(np.uint32) + 128) // 257
                return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
            if image.mode in ("I", "F"):
                raise InputError(
                    f"{where} (stimulus {stimulus}) has 32-bit pixels, whose white is not defined; "
                    "save it with 8 or 16 bits per channel"
                )
            return np.asarray(image.convert("RGB"))
    except InputError:
        raise
    except _BROKEN as error:
        raise _broken(where, stimulus, error) from error


def _broken(where: str, stimulus: str, error: Exception) -> InputError:
    return InputError(
        f"cannot read the picture of stimulus {stimulus}, {where}: {error or type(error).__name__}; "
        "the file is missing, truncated or not a picture: bring an intact copy"
    )
