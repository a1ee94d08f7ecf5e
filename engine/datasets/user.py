"""The user's own data: arrays and tables on disk -> Recording."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from engine.errors import InputError, unknown
from engine.images import ArrayImages, FileImages
from engine.recording import Images, Recording
from engine.recording_images import StoredPixels

_RDM = "rdm_"
_KNOWN = ("X", "Y", "stimulus_id", "neuroid_id")
_TEXT_COLUMNS = ("stimulus_id", "neuroid_id", "region", "subject", "file")
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif")
_SHOWN = 5  # ids named in a message


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
            height x width [x 3]; and ``stimulus_id`` and ``neuroid_id``, text or whole numbers that name the rows
            and columns of ``Y`` (the rows of ``X`` and of the RDMs).
        name: what to call the recording.
        stimuli: table with a row per stimulus. Its column ``stimulus_id`` is matched with the array of that name
            where both exist; otherwise its rows must be in the order of the arrays.
        neuroids: table with a row per neuroid and a column ``region``; ``neuroid_id`` as for stimuli.
        images: folder of pictures, instead of ``X``: named in the column ``file`` of the stimulus table, or else
            <stimulus id>.png, .jpg, ...
        region, subject: of all neuroids, where the table has no such column.
        degrees, group, stratum, licence, citation: as in Recording.

    Raises:
        InputError: a file, array, table or picture is missing or not what it should be; sizes or ids do not match.
    """
    if degrees is not None and not (np.isfinite(degrees) and degrees > 0):
        raise InputError(f"the width of the stimuli must be a positive number of degrees, got {degrees}")
    arrays = _arrays(path)
    responses = _responses(arrays, path)
    rdms = _rdms(arrays, path)
    count = next(iter(rdms.values())).shape[-1] if rdms else responses.shape[-2]
    if "X" in arrays and len(arrays["X"]) != count:
        raise InputError(
            f"{path}: X has shape {arrays['X'].shape} and "
            + (f"Y {responses.shape}" if not rdms else f"the RDMs are of {count} stimuli")
            + f"; wanted as many pictures as stimuli{_transposed(responses, len(arrays['X']))}"
        )
    shown = _table(stimuli, "stimulus", _ids(arrays, "stimulus_id", path), count)
