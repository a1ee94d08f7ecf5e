"""The user's own data: arrays and tables on disk -> Recording. Once imported, read with engine.recording_file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from engine.datasets.user_files import describe, read_arrays, read_table
from engine.errors import InputError
from engine.images import FileImages
from engine.recording import Images, Recording

_RDM = "rdm_"
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
_SHOWN = 5  # names in a message
_WANTED_Y = "wanted (stimuli, neuroids) or (repetitions, stimuli, neuroids)"
_WANTED_RDM = "wanted dissimilarities of all pairs, (stimuli, stimuli) or (subjects, stimuli, stimuli)"


def from_arrays(
    path: Path,
    *,
    name: str,
    stimuli: Path | None = None,
    neuroids: Path | None = None,
    images: Path | None = None,
    region: str | None = None,
    subject: str = "unknown",
    degrees: float | None = None,
    group: str | None = None,
    stratum: str | None = None,
    licence: str = "not stated",
    citation: str = "not stated",
) -> Recording:
    """A recording of arrays in an .npz or HDF5 file and tables in CSV or Parquet files.

    Args:
        path: holds ``Y``, stimuli x neuroids or repetitions x stimuli x neuroids, NaN where missing; or
            ``rdm_<region>``, [subjects x] stimuli x stimuli. It may hold ``X``, the pictures as uint8, stimuli x
            height x width [x 3]; ``stimulus_id``, which names the rows of ``Y``, ``X`` and the RDMs; and
            ``neuroid_id``, which names the columns of ``Y`` (text or whole numbers).
        name: what to call the recording.
        stimuli: table with a row per stimulus. Where it has a column ``stimulus_id`` and the arrays have that too,
            rows are matched by id; otherwise they are in the order of the arrays.
        neuroids: table with a row per neuroid and a column ``region``, likewise matched by ``neuroid_id``.
        images: folder of pictures, instead of ``X``: named in the column ``file`` of the stimulus table, or else
            <stimulus id>.png, .jpg or the like.
        region, subject: of all neuroids, where their table has no such column.
        degrees, group, stratum, licence, citation: as in Recording.

    Raises:
        InputError: a file, array, table or picture is missing or not what it should be; sizes or ids do not
            match, some of either side are named.
    """
    if degrees is not None and not 0 < degrees < np.inf:
        raise InputError(f"the width of a stimulus must be a positive number of degrees, got {degrees}")
    arrays, pictures = read_arrays(path)
    responses, rdms = _measured(arrays, path)
    count = responses.shape[-2] if responses is not None else next(iter(rdms.values())).shape[-1]
    if pictures is not None and len(pictures) != count:
        raise InputError(
            f"{path}: X holds {len(pictures)} pictures, but {describe(arrays)} is of {count} stimuli: "
            "the rows of Y are stimuli, its columns neuroids"
        )
    shown = _aligned(stimuli, "stimulus", arrays.get("stimulus_id"), count, path)
    if images is not None:
        if pictures is not None:
            raise InputError(f"pictures are given twice, as X in {path} and as the folder {images}; give one")
        pictures = _in_folder(images, shown)
    if responses is None:
        recorded = pd.DataFrame({"region": [], "subject": []}, index=pd.Index([], dtype="str"), dtype="str")
    else:
        recorded = _aligned(neuroids, "neuroid", arrays.get("neuroid_id"), responses.shape[-1], path)
        recorded = _labelled(recorded, region, subject)
    return Recording(
        name=name,
        stimuli=shown,
        neuroids=recorded,
        images=pictures,
        licence=licence,
        citation=citation,
        repeats=responses if responses is not None and responses.ndim == 3 else None,
        averages=responses if responses is not None and responses.ndim == 2 else None,
        rdms=rdms or None,
        degrees=degrees,
        group=group,
        stratum=stratum,
    )


def _measured(arrays: dict[str, np.ndarray], path: Path) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    """Y, or the RDMs by region; exactly one of the two."""
    rdms = {key.removeprefix(_RDM): array for key, array in arrays.items() if key.startswith(_RDM)}
    if ("Y" in arrays) == bool(rdms):
        raise InputError(
            f"{path} holds {describe(arrays)}; wanted either responses named Y or dissimilarities named "
            f"{_RDM}<region>, such as {_RDM}IT"
        )
    for key, array in arrays.items():
        if key == "Y" or key.startswith(_RDM):
            if array.dtype.kind not in "fiu":
                raise InputError(f"{path}: {key} is {array.dtype}; wanted numbers")
            if np.isinf(array).any():
                raise InputError(f"{path}: {key} holds infinite values; write NaN where a value is missing")
            if array.ndim not in (2, 3) or not array.size:
                raise InputError(f"{path}: {key} has shape {array.shape}; {_WANTED_Y if key == 'Y' else _WANTED_RDM}")
    rdms = {where: rdm if rdm.ndim == 3 else rdm[None] for where, rdm in rdms.items()}
    for where, rdm in rdms.items():
        if rdm.shape[1] != rdm.shape[2] or not np.allclose(rdm, rdm.swapaxes(1, 2), equal_nan=True):
            raise InputError(f"{path}: {_RDM}{where} {rdm.shape} is not symmetric; {_WANTED_RDM}")
    return arrays.get("Y"), rdms


def _aligned(path: Path | None, kind: str, ids: np.ndarray | None, count: int, arrays: Path) -> pd.DataFrame:
    """The table of stimuli or neuroids in the order of the arrays, indexed by id."""
    column = f"{kind}_id"
    known = None if ids is None else _as_text(ids, column, arrays)
    if known is not None and len(known) != count:
        raise InputError(f"{arrays}: {column} names {len(known)}, but the arrays are of {count} {_plural(kind)}")
    table = pd.DataFrame(index=range(count)) if path is None else read_table(path)
    listed = table.pop(column).tolist() if column in table else None
    for where, names in ((arrays, known), (path, listed)):
        twice = pd.Index(names or [])[pd.Index(names or []).duplicated()]
        if len(twice):
            raise InputError(f"{where}: {column} '{twice[0]}' stands more than once; ids must be unique")
    if known is not None and listed is not None:
        _check_same(known, listed, kind, arrays, path)
        table = table.iloc[pd.Index(listed).get_indexer(known)]
    elif len(table) != count:
        raise InputError(
            f"{path} has {len(table)} rows, but the arrays of {arrays} are of {count} {_plural(kind)}; "
            f"give a row for each, or name the {_plural(kind)} of both by {column}"
        )
    names = known or listed or [f"{index:0{len(str(count - 1))}d}" for index in range(count)]
    return table.set_axis(pd.Index(names, dtype="str", name=kind), axis=0)


def _check_same(known: Sequence[str], listed: Sequence[str], kind: str, arrays: Path, table: Path | None) -> None:
    first, second = ([name for name in a if name not in set(b)] for a, b in ((known, listed), (listed, known)))
    if first or second:
        raise InputError(
            f"{_plural(kind)} do not match by {kind}_id: only in {arrays}: {_some(first)}; "
            f"only in {table}: {_some(second)}"
        )


def _as_text(ids: np.ndarray, column: str, path: Path) -> list[str]:
    if ids.ndim != 1 or ids.dtype.kind not in "UTiu":
        raise InputError(
            f"{path}: {column} is {ids.dtype} of shape {ids.shape}; wanted a list of text or whole numbers"
        )
    return [str(name) for name in ids.tolist()]


def _labelled(neuroids: pd.DataFrame, region: str | None, subject: str) -> pd.DataFrame:
    """With region and subject of every neuroid."""
    if "region" not in neuroids:
        if region is None:
            raise InputError(
                "the region of the neuroids is not known; give a table of neuroids with a column 'region', or one "
                "region for all"
            )
        neuroids = neuroids.assign(region=region)
    elif region is not None:
        raise InputError(f"the table of neuroids has a column 'region' and region '{region}' is given too; give one")
    if (neuroids["region"] == "").any():
        raise InputError(f"the region of neuroid '{neuroids.index[neuroids['region'] == ''][0]}' is empty; name it")
    return neuroids if "subject" in neuroids else neuroids.assign(subject=subject)


def _in_folder(folder: Path, stimuli: pd.DataFrame) -> Images:
    """One picture file per stimulus."""
    if not folder.is_dir():
        raise InputError(f"there is no folder of pictures {folder}")
    ids = [str(name) for name in stimuli.index]
    if "file" in stimuli:
        paths = [folder / str(name) for name in stimuli["file"]]
        missing = [str(name) for name, path in zip(stimuli["file"], paths, strict=True) if not path.is_file()]
        if missing:
            raise InputError(f"{folder} lacks pictures that the stimulus table names: {_some(missing)}")
        return FileImages(paths, ids)
    found = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in _PICTURES}
    missing = [name for name in ids if name not in found]
    if missing:
        unused = [name for name in found if name not in set(ids)]
        raise InputError(
            f"pictures do not match by stimulus id: {folder} has none named {_some(missing)}; "
            f"it has, unused: {_some(unused)}"
        )
    return FileImages([found[name] for name in ids], ids)


def _plural(kind: str) -> str:
    return "stimuli" if kind == "stimulus" else "neuroids"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more
