"""Features made elsewhere: one array per layer, rows labelled with stimulus ids, in HDF5, npz or zarr.

``stimulus_id`` holds one id per row; every other array whose first axis is as long is a layer, named by its path
(``block1/relu`` is ``block1.relu``) and flattened over the other axes. Nothing in a file is run: arrays of Python
objects are refused.
"""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import jax.numpy as jnp
import numpy as np

from engine.activations import Read, plan
from engine.errors import InputError, unknown
from engine.gram import Summary, add, check_finite, summarise

IDS = "stimulus_id"
FORM = f"wanted a dataset '{IDS}' (one id per row) and one array per layer (rows x units)"
NAMED = 5  # ids that a message names


@dataclass(frozen=True)
class FeaturesFile:
    """An opened file of features.

    Attributes:
        path: of the file.
        ids: the stimulus of each row.
        arrays: layer -> rows x ... , read when indexed (h5py and zarr), or in memory (npz).
    """

    path: Path
    ids: tuple[str, ...]
    arrays: Mapping[str, Any]

    @property
    def layers(self) -> list[str]:
        return list(self.arrays)

    def units(self, layer: str) -> int:
        """Number of units of a layer."""
        return prod(self.arrays[layer].shape[1:])

    def rows(self, stimuli: Sequence[str]) -> np.ndarray:
        """The row of each stimulus.

        Raises:
            InputError: stimuli that the file lacks, counted, some named.
        """
        at = {name: row for row, name in enumerate(self.ids)}
        absent = [name for name in stimuli if name not in at]
        if absent:
            raise InputError(
                f"{self.path} has no features for {len(absent)} of {len(stimuli)} stimuli: "
                f"{', '.join(absent[:NAMED])}{' ...' if len(absent) > NAMED else ''}; its own ids start with "
                f"{', '.join(self.ids[:NAMED])}"
            )
        return np.array([at[name] for name in stimuli])

    def digest(self) -> str:
        """SHA-256 of the file, or of a zarr folder's files with their names."""
        sha = hashlib.sha256()
        files = [self.path] if self.path.is_file() else sorted(file for file in self.path.rglob("*") if file.is_file())
        for file in files:
            if file != self.path:
                sha.update(file.relative_to(self.path).as_posix().encode())
            with file.open("rb") as content:
                while block := content.read(1 << 20):
                    sha.update(block)
        return sha.hexdigest()


def open_features(path: Path) -> FeaturesFile:
    """The features at ``path``: .h5 or .hdf5, .npz, or a .zarr folder; only their shapes are read.

    Raises:
        InputError: there is no such file, it is of another kind or damaged, has no or repeated ids, or no layer.
    """
    if not path.exists():
        raise InputError(f"features={path}: there is no such file; {FORM}")
    arrays = _arrays(path)
    if IDS not in arrays:
        raise unknown(f"'{IDS}' in {path}", IDS, list(arrays)) if arrays else InputError(f"{path} is empty; {FORM}")
    ids = _names(arrays.pop(IDS), path)
    repeated = sorted({name for name in ids if ids.count(name) > 1})[:NAMED] if len(set(ids)) < len(ids) else []
    if repeated:
        raise InputError(f"{path}: stimulus ids appear more than once: {', '.join(repeated)}")
    wrong = [f"'{name}' {array.shape}" for name, array in arrays.items() if array.shape[:1] != (len(ids),)]
    if wrong or not arrays:
        raise InputError(f"{path}: {', '.join(wrong) or 'no layer'} beside {len(ids)} ids; {FORM}")
    kinds = [f"'{name}' {array.dtype}" for name, array in arrays.items() if array.dtype.kind not in "fiu"]
    if kinds:
        raise InputError(f"{path}: {', '.join(kinds)}; wanted real numbers")
    return FeaturesFile(path, tuple(ids), arrays)


def feature_summaries(
    file: FeaturesFile,
    layers: Sequence[str],
    stimuli: Sequence[str],
    *,
    budget: int,
    read: Mapping[str, Read] = MappingProxyType({}),
) -> Iterator[tuple[str, Summary]]:
    """Yields (layer, summary) as :func:`engine.activations.layer_summaries` does, in the order of ``stimuli``.

    Args:
        layers: of the file.
        stimuli: ids, in the recording's order.
        budget: bytes that the features may take at any time; a larger layer is read in slices of its units.
        read: as of :func:`engine.activations.layer_summaries`.
    """
    rows = file.rows(stimuli)
    for layer in layers:
        total: Summary | None = None
        array = file.arrays[layer]
        for pieces in plan({layer: file.units(layer)}, len(rows), budget):
            for piece in pieces:
                block = _columns(array, rows, piece.start, piece.stop)
                check_finite(layer, np.isfinite(block).all(1), "the features")
                blocks = [jnp.asarray(block)]
                if layer in read:
                    read[layer](blocks, piece.start)
                summary = summarise(blocks, len(rows))
                total = summary if total is None else add(total, summary)
        assert total is not None
        yield layer, total


def _columns(array: Any, rows: np.ndarray, start: int, stop: int) -> np.ndarray:
    """float32, rows x (stop - start), of the array flattened over all axes but the first."""
    if array.ndim <= 2:
        part = np.asarray(array[:, start:stop] if array.ndim == 2 else array[:][:, None])
        return np.ascontiguousarray(part[rows], np.float32)
    # Slices of a flattened layer: read row by row, so that no more than one whole row is held beside the slice.
    out = np.empty((len(rows), stop - start), np.float32)
    for index, row in enumerate(rows):
        out[index] = np.asarray(array[int(row)]).reshape(-1)[start:stop]
    return out


def _arrays(path: Path) -> dict[str, Any]:
    suffix = path.suffix.lower()
    try:
        if suffix in (".h5", ".hdf5"):
            return _hdf5(path)
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return {name.replace("/", "."): archive[name] for name in archive.files}
        if suffix == ".zarr":
            return _zarr(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as {suffix}: {error}; {FORM}") from error
    raise InputError(f"features={path}: wanted a file that ends in .h5, .hdf5 or .npz, or a .zarr folder")


def _hdf5(path: Path) -> dict[str, Any]:
    file, found = h5py.File(path, "r"), {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            found[name.replace("/", ".")] = node

    file.visititems(visit)
    return found


def _zarr(path: Path) -> dict[str, Any]:
    try:
        import zarr
    except ImportError as error:
        raise InputError(f"features={path}: reading zarr needs a package: pip install 'corticalign[zarr]'") from error
    group = zarr.open_group(path, mode="r")
    return {name.replace("/", "."): array for name, array in group.members(max_depth=None) if hasattr(array, "dtype")}


def _names(ids: Any, path: Path) -> list[str]:
    if len(ids.shape) != 1:
        raise InputError(f"{path}: '{IDS}' has shape {ids.shape}; {FORM}")
    values = ids.asstr()[:] if isinstance(ids, h5py.Dataset) and h5py.check_string_dtype(ids.dtype) else ids[:]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in values]
