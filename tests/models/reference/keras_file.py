"""Weight files as Keras 2 writes them with TensorFlow."""

import io
from collections.abc import Mapping

import h5py
import numpy as np


def keras_file(layers: Mapping[str, Mapping[str, np.ndarray]]) -> bytes:
    """As ``save_weights`` writes it: layer -> path of a tensor within what the layer itself is called -> array."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, tensors in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in tensors]
            for name, tensor in tensors.items():
                group[f"{layer}/{name}:0"] = tensor
    return stream.getvalue()
