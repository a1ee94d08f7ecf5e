"""Read a pickle of NumPy arrays in plain containers without running what is in it."""

import io
import math
from typing import Any

import numpy as np

from engine.errors import InputError
from models.weights.safe_pickle import AllowListed, flatten, unreadable


class _ElementType:
    """Stands for a pickled ``numpy.dtype``; its parts are looked at only after unpickling."""

    __slots__ = ("code", "state")

    def __init__(self, code: str) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array:
    """Stands for a pickled ``numpy.ndarray``."""

    __slots__ = ("state",)

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _NewElementType:
    __slots__ = ()

    def __call__(self, code: str, *_: object) -> _ElementType:
        return _ElementType(code)


class _NewArray:
    __slots__ = ()

    def __call__(self, *_: object) -> _Array:
        return _Array()


# NumPy renamed numpy.core to numpy._core in version 2.
_ALLOWED: dict[str, object] = {
    "numpy.core.multiarray._reconstruct": _NewArray(),
    "numpy._core.multiarray._reconstruct": _NewArray(),
    "numpy.ndarray": "ndarray",
    "numpy.dtype": _NewElementType(),
}


def read_numpy_pickle(data: bytes, origin: str) -> dict[str, np.ndarray]:
    """The arrays of a pickle (protocol 3 or 4), as ``pickle.load`` would give them.

    Args:
        data: the file's bytes.
        origin: the file's name, for messages.

    Returns:
        Name -> array; the keys of nested dictionaries joined with '/'. Entries that are no arrays are left out.

    Raises:
        InputError: the file is truncated or no pickle, or needs a global that is not allowed (named), or holds
            arrays of anything but numbers.
    """
    with unreadable(origin, "a pickle of arrays"):
        tree = AllowListed(io.BytesIO(data), _ALLOWED, origin).load()
        return {name: _rebuild(array, name, origin) for name, array in flatten(tree, "/", _Array).items()}


def _rebuild(array: _Array, name: str, origin: str) -> np.ndarray:
    _, shape, element, columns_first, raw = array.state  # the first is the version of this layout
    order = element.state[1] if element.code[0] in "iufc" else "|"
    if element.code[0] not in "iufcb" or order not in "<>|":
        raise InputError(f"{origin}: array '{name}' has elements of type '{element.code}'; only numbers are read")
    dtype = np.dtype(element.code).newbyteorder(order)
    if not isinstance(raw, bytes) or min(shape, default=0) < 0 or len(raw) != math.prod(shape) * dtype.itemsize:
        raise InputError(f"{origin}: array '{name}' of shape {shape} does not have the bytes of that shape")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if columns_first else "C")
