"""Reader of BrainIO packages: an assembly (netCDF-4), its stimulus table (CSV) and its pictures (ZIP).

An assembly holds one array over presentation and neuroid, and over time_bin where there are several
windows, in any order. Flat coordinate variables describe each axis: stimulus_id (image_id in older files),
repetition and any others per presentation; neuroid_id, region, animal and any others per neuroid;
time_bin_start and time_bin_end in ms. netCDF-4 is HDF5, so h5py reads it.

Order of the stimuli: Brain-Score averages repetitions by grouping over all presentation coordinates but
`repetition`, which sorts stimuli by those coordinates in the order of the file: by stimulus_id where that
comes first. Its splits index that order, so the recording keeps it.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import h5py
import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.images import ZipImages
from engine.recording import Recording

BLOCK_BYTES = 1 << 28  # of the array read at once
STIMULUS = ("stimulus_id", "image_id")
FILENAME = ("filename", "image_file_name")


def recording(
    assembly: Path,
    table: Path,
    pictures: Path,
    *,
    name: str,
    licence: str,
    citation: str,
    source: Mapping[str, str],
    degrees: float | None = None,
    stratum: str | None = None,
    window: tuple[float, float] | None = None,
) -> Recording:
    """Recording with single presentations, repetition x stimulus x neuroid, NaN where one is missing.

    ``window`` (start, end in ms) averages the time bins that lie within it; a single bin needs none.

    Raises:
        InputError: not a BrainIO assembly; several time bins and no window; a presentation that stands twice;
            stimuli without picture, with some ids of both sides.
    """
    presentations, neuroids, values = _assembly(assembly, window)
    stimuli, repeats = _by_repetition(assembly, presentations, values)
    listed = _stimulus_table(table)
    missing = stimuli.index.difference(listed.index)
    if len(missing):
        unused = listed.index.difference(stimuli.index)
        raise InputError(
            f"{len(missing)} stimuli of {assembly} are not in {table}, such as {_some(missing)}; "
            f"that table lists {len(unused)} others, such as {_some(unused)}. Do the two belong together?"
        )
    listed = listed.loc[stimuli.index]
    members = _members(pictures, _column(listed, FILENAME, table))
    described = stimuli.join(listed[[column for column in listed if column not in stimuli]])
    return Recording(
        name=name,
        stimuli=described,
        neuroids=_neuroid_table(assembly, neuroids),
        images=ZipImages(pictures, members, list(stimuli.index)),
        repeats=repeats,
        degrees=degrees,
        stratum=stratum,
        licence=licence,
        citation=citation,
        source=source,
    )


def _assembly(path: Path, window: tuple[float, float] | None) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Coordinates per presentation and per neuroid, in the order of the file; presentation x neuroid."""
    try:
        file = h5py.File(path)
    except OSError as error:
        raise InputError(f"{path} is not a netCDF-4 (HDF5) file, or is truncated: {error}") from error
    with file:
        axes = {name: _axes(name, item) for name, item in file.items() if isinstance(item, h5py.Dataset)}
        arrays = [name for name, along in axes.items() if {"presentation", "neuroid"} <= set(along)]
        if len(arrays) != 1:
            raise InputError(
                f"{path} holds {len(arrays)} arrays over presentation and neuroid, wanted one; "
                f"it holds {', '.join(axes)}"
            )
        along = axes.pop(arrays[0])
        if set(along) - {"presentation", "neuroid", "time_bin"}:
            raise InputError(f"{path}: the array lies along {along}; wanted presentation, neuroid and time_bin")
        coordinates = {
            axis: pd.DataFrame(
                {name: _values(file[name]) for name, its in axes.items() if its[:1] == (axis,) and name != axis}
            )
            for axis in along
        }
        bins = None
        if "time_bin" in along:
            bins = _bins_within(path, coordinates["time_bin"], file[arrays[0]].shape[along.index("time_bin")], window)
        values = _read(file[arrays[0]], along, bins)
    return coordinates["presentation"], coordinates["neuroid"], values


def _axes(name: str, item: h5py.Dataset) -> tuple[str, ...]:
    """Names of the dimensions of a variable; none for a dimension that is no variable."""
    if "not a netCDF variable" in str(item.attrs.get("NAME", "")):
        return ()
    if item.is_scale and item.ndim == 1:
        return (name,)
    return tuple(PurePosixPath(axis[0].name).name for axis in item.dims if len(axis))


def _values(item: h5py.Dataset) -> np.ndarray:
    """A coordinate: text however it is stored (variable length, fixed length, one character per cell)."""
    if h5py.check_string_dtype(item.dtype) is not None and item.dtype.kind == "O":
        return np.asarray(item.asstr()[:], dtype=object)
    values = item[:]
    if values.dtype.kind == "S":
        if values.ndim == 2:
            values = values.view(f"S{values.shape[1]}")[:, 0]
        return np.array([value.decode() for value in values], dtype=object)
    return np.asarray(values)


def _bins_within(path: Path, table: pd.DataFrame, count: int, window: tuple[float, float] | None) -> np.ndarray:
    """Which time bins to average."""
    if count == 1:
        return np.array([True])
    if window is None:
        raise InputError(
            f"{path} has {count} time bins, but a recording has one response per presentation: "
            "name the window to average, or use a file with a single time bin"
        )
    within = (table["time_bin_start"] >= window[0]) & (table["time_bin_end"] <= window[1])
    if not within.any():
        raise InputError(
            f"{path}: no time bin lies within {window[0]} to {window[1]} ms; they span "
            f"{table['time_bin_start'].min()} to {table['time_bin_end'].max()} ms"
        )
    return within.to_numpy()


def _read(array: h5py.Dataset, along: Sequence[str], bins: np.ndarray | None) -> np.ndarray:
    """Presentation x neuroid, time bins averaged, a few neuroids at a time to bound memory."""
    if {"scale_factor", "add_offset"} & set(array.attrs):
        raise InputError(f"{array.file.filename}: the responses are packed integers; store them as floats")
    size = dict(zip(along, array.shape, strict=True))
    dtype = array.dtype if array.dtype.kind == "f" else np.float64
    values = np.empty((size["presentation"], size["neuroid"]), dtype)
    for some in _blocks(size["neuroid"], array.nbytes):
        block = array[tuple(some if axis == "neuroid" else slice(None) for axis in along)]
        order = [along.index(axis) for axis in ("presentation", "neuroid", "time_bin") if axis in along]
        block = block.transpose(order)
        values[:, some] = block if bins is None else block[..., bins].mean(axis=2, dtype=np.float64)
    return values


def _blocks(count: int, total_bytes: int) -> Iterator[slice]:
    step = max(1, count * BLOCK_BYTES // max(total_bytes, 1))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _by_repetition(path: Path, presentations: pd.DataFrame, values: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """Stimulus table (what is constant per stimulus), and the responses by repetition and stimulus."""
    ids = _column(presentations, STIMULUS, path).astype(str)
    repetition = _column(presentations, ("repetition",), path)
    others = presentations.drop(columns=["repetition"])
    varying = others.groupby(ids.to_numpy()).nunique(dropna=False).max() > 1
    stimuli = others.drop(columns=list(varying.index[varying]))
    stimuli = stimuli.set_index(pd.Index(ids.to_numpy()))
    stimuli = stimuli[~stimuli.index.duplicated()].sort_values([str(name) for name in stimuli])
    row = stimuli.index.get_indexer(pd.Index(ids))
    number, repetitions = pd.factorize(repetition, sort=True)
    twice = pd.Series(list(zip(number, row, strict=True))).duplicated()
    if twice.any():
        first = int(np.argmax(twice))
        raise InputError(
            f"{path}: repetition {repetition.iloc[first]} of stimulus {ids.iloc[first]} stands twice; "
            "each presentation must have its own repetition number"
        )
    repeats = np.full((len(repetitions), len(stimuli), values.shape[1]), np.nan, values.dtype)
    repeats[number, row] = values
    stimuli = stimuli.drop(columns=[name for name in STIMULUS if name in stimuli])
    return stimuli.rename_axis("stimulus_id"), repeats


def _stimulus_table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(STIMULUS, str))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the stimulus table {path}: {error}") from error
    ids = _column(table, STIMULUS, path)
    return table.drop(columns=ids.name).set_index(pd.Index(ids, name="stimulus_id"))


def _neuroid_table(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    ids = _column(table, ("neuroid_id",), path).astype(str)
    table = table.drop(columns="neuroid_id").set_index(pd.Index(ids, name="neuroid_id"))
    if "subject" not in table:
        table["subject"] = table.get("animal", "unknown")
    return table


def _members(archive: Path, filenames: pd.Series) -> list[str]:
    """The member of the archive for each file name, in whatever folder of it."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read the archive {archive}: {error}") from error
    found = {PurePosixPath(member).name: member for member in members} | {member: member for member in members}
    absent = [name for name in filenames if name not in found]
    if absent:
        raise InputError(
            f"{archive} lacks {len(absent)} pictures that the stimulus table names, such as {_some(absent)}; "
            f"it holds such as {_some(members)}"
        )
    return [found[name] for name in filenames]


def _column(table: pd.DataFrame, names: Sequence[str], path: Path) -> pd.Series:
    for name in names:
        if name in table:
            return table[name]
    raise InputError(f"{path} has no {' or '.join(names)}; it has {', '.join(map(str, table)) or 'nothing'}")


def _some(names: Sequence[str] | pd.Index) -> str:
    return ", ".join(map(str, names[:3])) or "none"
