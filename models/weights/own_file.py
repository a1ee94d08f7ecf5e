"""Weights trained here: a safetensors file with our names, which says what model it is of.

Its kernels lie as ours do (... x in x out); its metadata are ``{"format": "corticalign", "model": NAME}``. Safetensors
(https://github.com/huggingface/safetensors) starts with the header's length in 64 bits, then the header, JSON.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from engine.errors import InputError
from models.weights.naming import Naming
from models.weights.safe_pickle import unreadable

NAME = "corticalign"
"""Of the naming: weights.names of such a file."""
NAMING = Naming(ignore=r"(?!)", outputs_first=False)
_TOLD = {"format": NAME}


def write(path: Path, tensors: Mapping[str, np.ndarray], model: str) -> None:
    """Writes the file whole or not at all.

    Args:
        path: where no file is yet.
        tensors: parameter and statistic by our name, float32.
        model: the name of the model they belong to.

    Raises:
        InputError: the file exists, its folder does not or cannot be written, or the disk is full.
    """
    if path.exists():
        raise InputError(f"{path} exists and is not overwritten: give another name for the weights of '{model}'")
    contiguous = {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}
    data = save(contiguous, {**_TOLD, "model": model})
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot write the weights of '{model}' to {path}: {error.strerror}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def model_of(data: bytes, origin: str) -> str | None:
    """The name of the model that such a file is of; None for any other file.

    Raises:
        InputError: the header of a safetensors file is damaged.
    """
    if data[8:9] != b"{":
        return None
    with unreadable(origin, "a safetensors file"):
        told = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
    return str(told["model"]) if _TOLD.items() <= told.items() and "model" in told else None


def check_model(data: bytes, origin: str, wanted: str) -> bool:
    """Whether it is such a file. InputError, with both names, where it is of another model than ``wanted``."""
    found = model_of(data, origin)
    if found not in (None, wanted):
        raise InputError(f"{origin} holds weights of the model '{found}', not of '{wanted}': score it as {found}")
    return found is not None
