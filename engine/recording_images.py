"""Pictures inside an HDF5 file, read one at a time."""

import hashlib
import io
import os
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import h5py
import numpy as np
from PIL import Image

from engine.errors import InputError

BLOCK = 1 << 24  # bytes read at once for a digest


@runtime_checkable
class PictureFiles(Protocol):
    """Images that can also give their files as they are (JPEG, PNG), much smaller than their pixels."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...

    def encoded(self, index: int, /) -> bytes: ...


class LazyDataset:
    """Slices of one dataset of an HDF5 file, which is opened once per process."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self._opened: tuple[int, h5py.Dataset] | None = None
        self.shape, self.dtype = self._dataset().shape, self._dataset().dtype

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        try:
            return np.asarray(self._dataset()[rows])
        except (OSError, KeyError) as error:
            raise InputError(f"cannot read '{self.name}' of {self.path} any more: {error}") from error

    def _dataset(self) -> h5py.Dataset:
        # HDF5 handles must not cross a fork: a child process opens the file anew.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), h5py.File(self.path, "r", locking="best-effort")[self.name]
        return self._opened[1]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}


class StoredPixels:
    """Equally large pictures: uint8, stimuli x height x width x 3, or stimuli x height x width (grey)."""

    def __init__(self, path: Path, name: str) -> None:
        self._pixels = LazyDataset(path, name)
        shape, dtype = self._pixels.shape, self._pixels.dtype
        if dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[-1] == 3)):
            raise InputError(
                f"{path}: {name} holds {dtype} of shape {shape}; wanted uint8 (0 to 255) of shape "
                "(stimuli, height, width, 3) for RGB or (stimuli, height, width) for grey"
            )

    def __len__(self) -> int:
        return int(self._pixels.shape[0])

    def __getitem__(self, index: int, /) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(index)
        image = self._pixels[index : index + 1][0]
        return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)

    def digest(self) -> str:
        """SHA-256 of all pictures as they are stored."""
        return _digest(self._pixels)


class StoredFiles:
    """Picture files end to end in one dataset of bytes; picture i ends before byte ``ends[i]``."""

    def __init__(self, path: Path, name: str, ends: np.ndarray) -> None:
        self._content = LazyDataset(path, name)
        self._ends = np.concatenate([[0], ends]).astype(np.int64)
        if self._content.shape != (self._ends[-1],) or (np.diff(self._ends) < 0).any():
            raise InputError(
                f"{path}: the ends of the picture files do not fit the {self._content.shape} bytes of them"
            )

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int, /) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(self.encoded(index))) as image:
                return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(
                f"{self._content.path}: picture number {index} cannot be decoded ({error}); import the data set again"
            ) from error

    def encoded(self, index: int, /) -> bytes:
        """The picture file as it was stored."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._content[int(self._ends[index]) : int(self._ends[index + 1])].tobytes()

    def digest(self) -> str:
        """SHA-256 of all picture files as they are stored; nothing is decoded."""
        return _digest(self._content, self._ends.tobytes())


def _digest(content: LazyDataset, more: bytes = b"") -> str:
    sha = hashlib.sha256(f"{content.shape} ".encode() + more)
    rows = max(1, BLOCK * content.shape[0] // max(1, int(np.prod(content.shape)) * content.dtype.itemsize))
    for first in range(0, content.shape[0], rows):
        sha.update(np.ascontiguousarray(content[first : first + rows]).data)
    return sha.hexdigest()
