"""The recording file: damaged, foreign or incomplete files are refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.errors import InputError
from engine.recording import Recording
from engine.recording_file import read, write


def test_a_file_cut_short_anywhere_is_refused(recording: Recording, tmp_path: Path) -> None:
    write(recording, tmp_path / "r.h5")
    whole = (tmp_path / "r.h5").read_bytes()
    for length in [0, 1, 8, 100, *range(500, len(whole), 997), len(whole) - 1]:
        (tmp_path / "cut.h5").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.h5 is not an HDF5 file, or is cut short"):
            read(tmp_path / "cut.h5")


def test_no_damage_escapes_as_another_error(recording: Recording, tmp_path: Path) -> None:
    """Each stretch of the file zeroed in turn: it reads, or says that it cannot."""
    write(recording, tmp_path / "r.h5")
    whole = (tmp_path / "r.h5").read_bytes()
    refused = 0
    for start in range(0, len(whole), 701):
        (tmp_path / "holed.h5").write_bytes(whole[:start] + bytes(64) + whole[start + 64 :])
        try:
            read(tmp_path / "holed.h5")
        except InputError:
            refused += 1
    assert refused > 0


def test_what_is_not_a_recording_is_refused(recording: Recording, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no recording file .*none\.h5"):
        read(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("stimulus,response\n" * 100)
    with pytest.raises(InputError, match="not an HDF5 file"):
        read(tmp_path / "text.h5")
    with h5py.File(tmp_path / "arrays.h5", "w") as file:
        file["X"], file["Y"] = np.zeros(3), np.zeros(3)
    with pytest.raises(InputError, match=r"it holds X, Y.*dataset import"):
        read(tmp_path / "arrays.h5")
    write(recording, tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        file.attrs["version"] = 2
    with pytest.raises(InputError, match=r"is version 2.*reads up to 1"):
        read(tmp_path / "r.h5")


@pytest.mark.parametrize(
    "part", ["stimuli", "stimuli/id", "neuroids/columns", "source/checksum", "images/pixels", "repeats"]
)
def test_a_missing_part_is_named(recording: Recording, tmp_path: Path, part: str) -> None:
    write(recording, tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        del file[part]
    named = "files" if part == "images/pixels" else part.split("/")[-1]
    with pytest.raises(InputError, match=rf"r\.h5.*{named}"):
        read(tmp_path / "r.h5")


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("repeats", np.zeros((4, 6, 3)), r"repeats have shape \(4, 6, 3\).*5 stimuli"),
        ("repeats", np.array([b"code"]), "repeats holds"),
        ("stimuli/columns/frame", np.zeros(6, int), r"frame has shape \(6,\).*5 ids"),
        ("stimuli/missing/maybe", np.zeros(6, np.uint8), r"maybe has shape \(6,\)"),
        ("images/pixels", np.zeros((4, 8, 9, 3), np.uint8), "4 images for 5 stimuli"),
        ("images/pixels", np.zeros((5, 8, 9, 3)), "float64"),
        ("source/address", np.array([b"one"]), "damaged"),
    ],
)
def test_parts_that_do_not_fit_are_named(
    recording: Recording, tmp_path: Path, part: str, value: np.ndarray, message: str
) -> None:
    write(recording, tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        attributes = dict(file[part].attrs)
        del file[part]
        file[part] = value
        file[part].attrs.update(attributes)
    with pytest.raises(InputError, match=rf"r\.h5.*{message}"):
        read(tmp_path / "r.h5")
