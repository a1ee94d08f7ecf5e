"""Read the tensors of a Keras weight file (.h5) without Keras, and without running what is in it.

Keras writes one group per layer with the layer's tensors in it, under paths that usually repeat the layer's name
(``keras/src/legacy/saving/legacy_h5_format.py``). ``save_weights`` puts the groups at the top; ``save`` puts them into
``model_weights``, beside the optimiser's state, and describes the model in attributes of the file, possibly with
pickled code. No attribute is read.
"""

import io
import re
from collections import Counter

import h5py
import numpy as np

from engine.errors import InputError
from models.weights.safe_pickle import unreadable

# Attributes that Keras sets where the layers are; the second where there are too many names for one.
_MARKS = ("layer_names", "layer_names0")

# layer/layer/tensor; TensorFlow numbers the second where a layer of that name was built before.
_REPEATED = re.compile(r"(?P<layer>.+?)/(?P=layer)(?:_\d+)?/(?P<tensor>.+)")

# layer/layer_W_1 of Keras 1, and what it called the tensors. Its running_std is the variance.
_KERAS_1 = re.compile(r"(?P<layer>.+?)/(?P=layer)_(?P<tensor>W|b|gamma|beta|running_mean|running_std)(?:_\d+)?")
_SINCE = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}


def read_keras(data: bytes, origin: str) -> dict[str, np.ndarray]:
    """The tensors of a Keras file, as Keras holds them (kernels: height x width x in x out).

    Args:
        data: the file's bytes.
        origin: the file's name, for messages.

    Returns:
        Name -> array. Names are joined with dots: ``conv1_conv.kernel``, ``conv1_bn.moving_variance``; a layer that is
        a model itself comes before its own layers.

    Raises:
        InputError: the file is truncated, damaged or no weight file of Keras.
    """
    with unreadable(origin, "a Keras weight file"), h5py.File(io.BytesIO(data), "r") as file:
        stored: dict[str, h5py.Dataset] = {}

        def note(path: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                stored[path] = item

        file.visititems(note)  # links, which might lead to another file, are not followed
        root = file
        if whole := [path for path in stored if path.startswith("model_weights/")]:
            root = file["model_weights"]
            stored = {path.removeprefix("model_weights/"): stored[path] for path in whole}
        if not any(mark in root.attrs for mark in _MARKS):
            raise InputError(
                f"{origin}: an HDF5 file without Keras's list of layers; Keras 3 leaves layers unnamed in .weights.h5: "
                "save the whole model as .h5 there"
            )
        plain = {path: path.removesuffix(":0").removeprefix("top_level_model_weights/") for path in stored}
        short = {path: _short(plain[path]) for path in stored}
        often = Counter(short.values())
        names = {path: short[path] if often[short[path]] == 1 else plain[path] for path in stored}
        return {
            names[path].replace("/", "."): _tensor(dataset, path, len(data), origin) for path, dataset in stored.items()
        }


def _short(path: str) -> str:
    """The layer's name once, then the tensor's name as Keras 2 has it."""
    if old := _KERAS_1.fullmatch(path):
        return f"{old['layer']}/{_SINCE.get(old['tensor'], old['tensor'])}"
    if repeated := _REPEATED.fullmatch(path):
        return f"{repeated['layer']}/{repeated['tensor']}"
    return path


def _tensor(dataset: h5py.Dataset, path: str, size: int, origin: str) -> np.ndarray:
    if dataset.dtype.kind not in "fiub":
        raise InputError(f"{origin}: {path} is no array of numbers")
    # A few bytes can claim to be a huge tensor, or that their values are in another file.
    absent = dataset.size and not dataset.id.get_storage_size()
    if absent or dataset.external or dataset.is_virtual or dataset.nbytes > size:
        raise InputError(f"{origin}: tensor {path} of shape {dataset.shape} is not in the file")
    return np.asarray(dataset[()])
