"""The tensors of a weight file of any kind that is read here, told apart by content, not by name."""

import io
import zipfile
from collections.abc import Mapping
from operator import itemgetter

import numpy as np
import safetensors

from engine.errors import InputError
from models.weights.numpy_pickle import read_numpy_pickle
from models.weights.safe_pickle import unreadable
from models.weights.torch_file import read_torch

KINDS = ".safetensors, .npz, .h5 (Keras), .pth or another file of PyTorch"

# What training scripts wrap around the parameters.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "params")
# VOneNet calls a part of itself ``model``, and this one beside it:
_NO_WRAPPERS_BESIDE = "vone_block."


def read_tensors(data: bytes, origin: str) -> dict[str, np.ndarray]:
    """Tensor name -> array, nested containers joined with dots (Keras: slashes become dots).

    What a training script wrapped around the model (``state_dict``, ``module`` ...) is taken off the names; what it
    saved beside it (an optimiser's state) is left out.

    Raises:
        InputError: the file is damaged, of no kind that is read, or needs code to be run.
    """
    return unwrapped(_read(data, origin))


def unwrapped(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors without the containers around them."""
    found = dict(tensors)
    while inside := next((key for key in _WRAPPERS if any(name.startswith(f"{key}.") for name in found)), None):
        if any(name.startswith(_NO_WRAPPERS_BESIDE) for name in found):
            break
        found = {name.removeprefix(f"{inside}."): found[name] for name in found if name.startswith(f"{inside}.")}
    return found


def _read(data: bytes, origin: str) -> dict[str, np.ndarray]:
    if data.startswith(b"\x89HDF\r\n\x1a\n"):
        from models.weights.keras_file import read_keras

        return read_keras(data, origin)
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            npz = any(name.endswith(".npy") for name in archive.namelist())
        return _npz(data, origin) if npz else read_torch(data, origin)
    if data[8:9] == b"{":  # after the 64-bit length of its JSON header
        with unreadable(origin, "a safetensors file"):
            tensors = sorted(safetensors.deserialize(data), key=itemgetter(0))  # which come in any order
            return {name: _array(**parts) for name, parts in tensors}
    if data[:1] == b"\x80":  # a pickle
        return _pickled(data, origin)
    raise InputError(f"{origin}: not a weight file of a kind that is read here: {KINDS}")


# bfloat16, which NumPy lacks, is read as 16 bits and widened, exactly.
_ELEMENTS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"} | {"I64": "<i8", "I32": "<i4", "BOOL": "?"}


def _array(dtype: str, shape: list[int], data: bytes) -> np.ndarray:
    values = np.frombuffer(data, _ELEMENTS[dtype])
    if dtype == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.reshape(shape)


def _npz(data: bytes, origin: str) -> dict[str, np.ndarray]:
    with unreadable(origin, "an npz archive of arrays"), np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name.replace("/", "."): archive[name] for name in archive.files}


def _pickled(data: bytes, origin: str) -> dict[str, np.ndarray]:
    # The legacy container of PyTorch starts with its magic number, pickled by itself.
    legacy = b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19" in data[:32]
    if legacy:
        return read_torch(data, origin)
    return {name.replace("/", "."): tensor for name, tensor in read_numpy_pickle(data, origin).items()}
