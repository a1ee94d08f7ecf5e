"""Read the tensors of a PyTorch checkpoint (.pth, .pt) without PyTorch, and without running what is in it.

Two containers exist. Since 1.6, ``torch.save`` writes a zip archive: the pickle in ``<name>/data.pkl``, each storage in
``<name>/data/<key>``. Before, and with ``_use_new_zipfile_serialization=False``, it wrote one stream: a magic number,
a protocol number and the machine's byte order (a pickle each), the pickled object, the pickled list of storage
keys, then each storage as its element count (64 bits) and its raw elements.

In both the pickle describes a tensor as a window (offset, shape, strides) on a storage.
"""

import io
import math
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from engine.errors import InputError
from models.weights.safe_pickle import AllowListed, flatten, unreadable

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001

# Storage class -> element type. bfloat16 has no NumPy type: it is read as 16 bits and widened, exactly.
_ELEMENTS = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class _Storage(NamedTuple):
    element: str
    key: str
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RebuildTensor:
    __slots__ = ()

    def __call__(self, storage: _Storage, offset: int, shape: Any, strides: Any, *_: object) -> _Tensor:
        return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _RebuildParameter:
    __slots__ = ()

    def __call__(self, data: _Tensor, *_: object) -> _Tensor:
        return data


_ALLOWED: dict[str, object] = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _RebuildTensor(),
    "torch._utils._rebuild_parameter": _RebuildParameter(),
} | {f"torch.{name}": element for name, element in _ELEMENTS.items()}


def read_torch(data: bytes, origin: str) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint, as ``torch.load(..., weights_only=True)`` gives them, as NumPy arrays.

    Args:
        data: the file's bytes, in either container.
        origin: the file's name, for messages.

    Returns:
        Name -> array, nested dictionaries joined with dots; bfloat16 widened to float32. Entries that are no tensors
        (an epoch count) are left out.

    Raises:
        InputError: the file is truncated or no checkpoint, or needs a global that is not allowed (named).
    """
    with unreadable(origin, "a PyTorch checkpoint"):
        tree, storages = (_zip if zipfile.is_zipfile(io.BytesIO(data)) else _legacy)(data, origin)
        tensors = flatten(tree, ".", _Tensor)
        return {name: _window(tensor, storages, name, origin) for name, tensor in tensors.items()}


def _storage(pid: Any) -> _Storage:
    # ("storage", element type, key, device it was saved from, element count[, view on another storage])
    kind, element, key, _, count, *view = pid
    if kind != "storage" or any(part is not None for part in view):
        raise ValueError(f"stored object of kind {kind!r} with view {view}")
    return _Storage(str(element), str(key), int(count))


def _zip(data: bytes, origin: str) -> tuple[object, dict[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        pickled = next(name for name in names if name.endswith("/data.pkl"))
        root = pickled.removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise InputError(f"{origin}: written in big-endian byte order, which is not read")
        tree = AllowListed(io.BytesIO(archive.read(pickled)), _ALLOWED, origin, _storage).load()
        inside = f"{root}data/"
        return tree, {name.removeprefix(inside): archive.read(name) for name in names if name.startswith(inside)}


def _legacy(data: bytes, origin: str) -> tuple[object, dict[str, bytes]]:
    stream = io.BytesIO(data)

    def plain() -> Any:
        return AllowListed(stream, {}, origin).load()

    if (magic := plain()) != _MAGIC:
        raise ValueError(f"it starts with {magic!r}")
    if (protocol := plain()) != _PROTOCOL:
        raise InputError(f"{origin}: container version {protocol}, wanted {_PROTOCOL}")
    if not plain()["little_endian"]:
        raise InputError(f"{origin}: written in big-endian byte order, which is not read")
    met: dict[str, _Storage] = {}

    def remember(pid: Any) -> _Storage:
        storage = _storage(pid)
        return met.setdefault(storage.key, storage)

    tree = AllowListed(stream, _ALLOWED, origin, remember).load()
    storages = {}
    for key in plain():
        (count,) = struct.unpack("<q", stream.read(8))
        if count != met[key].size:
            raise ValueError(f"storage {key} has {count} elements, {met[key].size} were announced")
        storages[key] = stream.read(count * _width(met[key].element))
    return tree, storages


def _width(element: str) -> int:
    return 2 if element == "bfloat16" else np.dtype(element).itemsize


def _window(tensor: _Tensor, storages: Mapping[str, bytes], name: str, origin: str) -> np.ndarray:
    storage, offset, shape, strides = tensor
    raw = storages[storage.key]
    if len(raw) != storage.size * _width(storage.element):
        raise InputError(
            f"{origin}: truncated; tensor '{name}' needs {storage.size * _width(storage.element)} bytes, "
            f"{len(raw)} are there"
        )
    if storage.element == "bfloat16":
        values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        values = np.frombuffer(raw, storage.element)
    count = math.prod([int(size) for size in shape])
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    # The bounds are the file's claim. The count also refuses a few bytes that pose as a huge tensor (stride 0).
    sizes_fit = min((offset, *shape, *strides)) >= 0 and count <= values.size
    if not sizes_fit or (count and last >= values.size):
        raise InputError(
            f"{origin}: tensor '{name}' (shape {shape}, strides {strides}, offset {offset}) reaches outside its "
            f"storage of {values.size} elements"
        )
    steps = tuple(stride * values.itemsize for stride in strides)
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(values[offset:], shape, steps)).reshape(shape)
