"""The arrays and tables a user brings: read, and refused where they are not what they should be."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.images import ArrayImages
from engine.recording import Images
from engine.recording_images import StoredPixels

_HDF5 = b"\x89HDF\r\n\x1a\n"
_BROKEN = (OSError, KeyError, ValueError, RuntimeError, TypeError, EOFError, zipfile.BadZipFile)
_TEXT = ("stimulus_id", "neuroid_id", "region", "subject", "file")


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], Images | None]:
    """All arrays of an .npz or HDF5 file by name, and the pictures that its ``X`` holds.

    The pictures of an HDF5 file stay there until they are asked for. Text comes as an array of str.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    with path.open("rb") as file:
        start = file.read(len(_HDF5))
    try:
        if start == _HDF5:
            return _read_hdf5(path)
        if start[:2] == b"PK":
            return _read_npz(path)
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(f"cannot read {path}, it is cut short or damaged: {error}") from error
    raise InputError(f"{path} is neither .npz nor HDF5; save the arrays with numpy.savez(path, X=images, Y=responses)")


def read_table(path: Path) -> pd.DataFrame:
    """A CSV or Parquet file; ids, regions, subjects and file names are text whatever they look like."""
    try:
        if path.suffix.lower() == ".csv":
            return _read_csv(path)
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pd.read_parquet(path)
            if table.index.name is not None:
                table = table.reset_index()
            text = [name for name in _TEXT if name in table]
            return table.assign(**{name: table[name].map(str, na_action="ignore").fillna("") for name in text})
    except InputError:
        raise
    except _BROKEN as error:  # pandas and Arrow derive their errors from these
        raise InputError(f"cannot read the table {path}: {error}") from error
    raise InputError(f"{path} must be a table in CSV or Parquet format, named .csv or .parquet")


def _read_csv(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, encoding="utf-8-sig")
    if not isinstance(table.index, pd.RangeIndex):
        raise InputError(f"the rows of {path} have more entries than its first line names columns")
    # Once more without guessing, so that 007 and NA stay what they are.
    text = pd.read_csv(path, encoding="utf-8-sig", dtype=str, keep_default_na=False)
    return table.assign(**{name: text[name] for name in _TEXT if name in table})


def _read_npz(path: Path) -> tuple[dict[str, np.ndarray], Images | None]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {}
        for name in archive.files:
            try:
                arrays[name] = np.asarray(archive[name])
            except ValueError as error:
                if "pickle" in str(error):
                    raise _objects(path, name) from error
                raise
    pixels = arrays.pop("X", None)
    return arrays, None if pixels is None else ArrayImages(_pixels(pixels, path))


def _read_hdf5(path: Path) -> tuple[dict[str, np.ndarray], Images | None]:
    arrays, images = {}, None
    with h5py.File(path, "r", locking="best-effort") as file:
        for name, dataset in file.items():
            if not isinstance(dataset, h5py.Dataset):
                continue
            if name == "X":
                _pixels(dataset, path)
                images = StoredPixels(path, name)
            elif h5py.check_string_dtype(dataset.dtype) is not None:
                arrays[name] = np.array(dataset.asstr()[...], dtype=str)
            elif dataset.dtype.kind == "O":
                raise _objects(path, name)
            else:
                arrays[name] = dataset[...]
    return arrays, images


def _pixels(array: np.ndarray, path: Path) -> np.ndarray:
    """``X`` if it holds pictures, else an InputError with the remedy."""
    wanted = "wanted uint8 (0 to 255) of shape (stimuli, height, width, 3) or (stimuli, height, width)"
    given = f"{path}: X is {array.dtype} of shape {array.shape}; {wanted}"
    if array.dtype != np.uint8:
        raise InputError(f"{given}; if it runs from 0 to 1, store numpy.round(255 * X).astype('uint8')")
    if array.ndim == 4 and array.shape[1] == 3 != array.shape[3]:
        raise InputError(f"{given}; if colour is its second axis, store X.transpose(0, 2, 3, 1)")
    if not (array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)):
        raise InputError(given)
    return array


def _objects(path: Path, name: str) -> InputError:
    return InputError(
        f"{path}: {name} is an array of Python objects, which is not read because it could run code; "
        f"store numbers or text, for example numpy.array({name}.tolist())"
    )


def describe(arrays: Mapping[str, np.ndarray]) -> str:
    """Names and shapes, for messages."""
    return ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
