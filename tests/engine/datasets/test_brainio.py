"""BrainIO packages, written here with the netCDF4 library as xarray writes them."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from engine import datasets
from engine.datasets import brainio, freemanziemba2013_public, majajhong2015_public
from engine.errors import InputError
from engine.recording import Recording

# Six presentations of three stimuli; the repetitions of c are 1 and 2, the third of b is missing.
PRESENTATIONS: dict[str, Sequence[Any]] = {
    "stimulus_id": ["c", "a", "b", "c", "a", "b"],
    "repetition": [2, 1, 1, 1, 2, 3],
    "object_name": ["cat", "dog", "dog", "cat", "dog", "dog"],
}
NEUROIDS: dict[str, Sequence[Any]] = {
    "neuroid_id": ["Chabo_L_1", "Tito_L_1"],
    "region": ["IT", "V4"],
    "animal": ["Chabo", "Tito"],
    "x": [0.5, 1.5],
}
VALUES = np.arange(12.0).reshape(6, 2)
TABLE = pd.DataFrame({"stimulus_id": ["b", "c", "a"], "filename": ["b.png", "c.png", "a.png"], "size": [1, 2, 3]})
GREY = {"a": 10, "b": 20, "c": 30}


def write_assembly(
    path: Path,
    values: np.ndarray = VALUES,
    dims: Sequence[str] = ("presentation", "neuroid"),
    presentations: Mapping[str, Sequence[Any]] = PRESENTATIONS,
    bins: Sequence[tuple[int, int]] = ((70, 170),),
    characters: bool = False,
) -> Path:
    """An assembly; text of variable length, or as xarray writes fixed-width bytes: one character per cell."""
    coordinates = [(name, "presentation", column) for name, column in presentations.items()]
    coordinates += [(name, "neuroid", column) for name, column in NEUROIDS.items()]
    if "time_bin" in dims:
        starts, ends = zip(*bins, strict=True)
        coordinates += [("time_bin_start", "time_bin", starts), ("time_bin_end", "time_bin", ends)]
    with netCDF4.Dataset(path, "w") as file:
        for dim, size in zip(dims, values.shape, strict=True):
            file.createDimension(dim, size)
        for name, dim, column in coordinates:
            if not isinstance(column[0], str):
                file.createVariable(name, np.asarray(column).dtype, (dim,))[:] = column
            elif characters:
                width = max(map(len, column))
                file.createDimension(f"{name}_string", width)
                cells = netCDF4.stringtochar(np.array(column, f"S{width}"))
                file.createVariable(name, "S1", (dim, f"{name}_string"))[:] = cells
            else:
                file.createVariable(name, str, (dim,))[:] = np.array(column, object)
        file.createVariable("dicarlo.Made", values.dtype, dims)[:] = values
    return path


def package(
    folder: Path, table: pd.DataFrame = TABLE, inside: str = "", names: Mapping[str, int] = GREY
) -> tuple[Path, Path]:
    table.to_csv(folder / "stimuli.csv", index=False)
    with zipfile.ZipFile(folder / "stimuli.zip", "w") as archive:
        for name, value in names.items():
            content = io.BytesIO()
            Image.new("RGB", (4, 4), (value, value, value)).save(content, "PNG")
            archive.writestr(f"{inside}{name}.png", content.getvalue())
    return folder / "stimuli.csv", folder / "stimuli.zip"


def read(assembly: Path, table: Path, pictures: Path, **more: Any) -> Recording:
    described: dict[str, Any] = {"name": "made", "licence": "", "citation": "", "source": {}}
    return brainio.recording(assembly, table, pictures, **described | more)


@pytest.mark.parametrize("characters", [False, True])
def test_an_assembly_becomes_repeats(tmp_path: Path, characters: bool) -> None:
    assembly = write_assembly(tmp_path / "a.nc", characters=characters)
    made = read(assembly, *package(tmp_path), degrees=8.0, stratum="object_name")
    nan = np.nan
    by_hand = [  # repetitions 1, 2, 3; stimuli a, b, c
        [[2, 3], [4, 5], [6, 7]],
        [[8, 9], [nan, nan], [0, 1]],
        [[nan, nan], [10, 11], [nan, nan]],
    ]
    np.testing.assert_array_equal(made.repeats, by_hand)
    assert list(made.stimuli.index) == ["a", "b", "c"]
    assert list(made.stimuli["object_name"]) == ["dog", "dog", "cat"]
    assert list(made.stimuli["size"]) == [3, 1, 2]
    assert list(made.neuroids.index) == NEUROIDS["neuroid_id"]
    assert list(made.neuroids["subject"]) == NEUROIDS["animal"]
    assert list(made.neuroids["x"]) == NEUROIDS["x"]
    assert made.images is not None
    assert [int(made.images[index][0, 0, 0]) for index in range(3)] == [10, 20, 30]


@pytest.mark.parametrize("dims", [("neuroid", "presentation", "time_bin"), ("time_bin", "presentation", "neuroid")])
def test_a_single_time_bin_is_squeezed_wherever_it_stands(tmp_path: Path, dims: Sequence[str]) -> None:
    order = [("presentation", "neuroid", "time_bin").index(dim) for dim in dims]
    assembly = write_assembly(tmp_path / "a.nc", VALUES[:, :, None].transpose(order), dims)
    made = read(assembly, *package(tmp_path))
    plain = read(write_assembly(tmp_path / "b.nc"), *package(tmp_path))
    np.testing.assert_array_equal(made.repeats, plain.repeats)


def test_time_bins_are_averaged_within_the_window_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brainio, "BLOCK_BYTES", 1)  # neuroid by neuroid
    bins = [(start, start + 10) for start in range(0, 60, 10)]
    values = VALUES[:, :, None] + np.array([100, 1, 2, 3, 100, 100])
    dims = ("presentation", "neuroid", "time_bin")
    assembly = write_assembly(tmp_path / "a.nc", values, dims, bins=bins)
    made = read(assembly, *package(tmp_path), window=(10, 40))
    plain = read(write_assembly(tmp_path / "b.nc"), *package(tmp_path))
    assert made.repeats is not None
    assert plain.repeats is not None
    np.testing.assert_allclose(made.repeats, plain.repeats + 2)
    with pytest.raises(InputError, match="has 6 time bins"):
        read(assembly, *package(tmp_path))
    with pytest.raises(InputError, match="no time bin lies within 70 to 170 ms; they span 0 to 60 ms"):
        read(assembly, *package(tmp_path), window=(70, 170))


def test_stimuli_are_ordered_as_brain_score_groups_them(tmp_path: Path) -> None:
    """By all coordinates in the order of the file, whatever their names, without the repetition."""
    columns = {
        "repetition": PRESENTATIONS["repetition"],
        "variation": [3, 3, 0, 3, 3, 0],
        "image_id": PRESENTATIONS["stimulus_id"],
        "background": ["x", "y", "z", "x", "y", "z"],
        "trial": [0, 1, 2, 3, 4, 5],  # differs within a stimulus, so describes none
    }
    made = read(write_assembly(tmp_path / "a.nc", presentations=columns), *package(tmp_path))
    assert list(made.stimuli.index) == ["b", "a", "c"]
    assert list(made.stimuli) == ["variation", "background", "filename", "size"]
    np.testing.assert_array_equal(made.responses[0], VALUES[[2, 5]].mean(axis=0))


def test_older_names_and_folders_in_the_archive(tmp_path: Path) -> None:
    older = TABLE.rename(columns={"stimulus_id": "image_id", "filename": "image_file_name"})
    table, pictures = package(tmp_path, older, inside="stimuli/")
    made = read(write_assembly(tmp_path / "a.nc"), table, pictures)
    assert made.images is not None
    assert int(made.images[2][0, 0, 0]) == 30


def test_ids_that_do_not_match_are_named_from_both_sides(tmp_path: Path) -> None:
    assembly = write_assembly(tmp_path / "a.nc")
    other = TABLE.assign(stimulus_id=["b", "C", "A"])
    with pytest.raises(InputError, match=r"2 stimuli .* such as a, c; that table lists 2 others, such as A, C"):
        read(assembly, *package(tmp_path, other))
    with pytest.raises(InputError, match=r"lacks 1 pictures .* such as c\.png; it holds such as a\.png, b\.png"):
        read(assembly, *package(tmp_path, names={"a": 1, "b": 2}))
    with pytest.raises(InputError, match=r"no filename or image_file_name; it has size"):
        read(assembly, *package(tmp_path, TABLE.drop(columns="filename")))


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    table, pictures = package(tmp_path)
    (tmp_path / "text.nc").write_text("text")
    with pytest.raises(InputError, match=r"text\.nc is not a netCDF-4"):
        read(tmp_path / "text.nc", table, pictures)
    whole = write_assembly(tmp_path / "a.nc")
    (tmp_path / "cut.nc").write_bytes(whole.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"cut\.nc .* truncated"):
        read(tmp_path / "cut.nc", table, pictures)
    with h5py.File(tmp_path / "other.nc", "w") as file:
        file["numbers"] = VALUES
    with pytest.raises(InputError, match="holds 0 arrays over presentation and neuroid"):
        read(tmp_path / "other.nc", table, pictures)
    twice = PRESENTATIONS | {"repetition": [1, 1, 1, 1, 2, 3]}
    with pytest.raises(InputError, match="repetition 1 of stimulus c stands twice"):
        read(write_assembly(tmp_path / "b.nc", presentations=twice), table, pictures)
    with pytest.raises(InputError, match="cannot read the archive"):
        read(whole, table, table)


def test_majajhong_is_read_with_its_protocol(tmp_path: Path) -> None:
    values = VALUES[:, :, None].transpose(1, 0, 2)
    assembly = write_assembly(tmp_path / "a.nc", values, ("neuroid", "presentation", "time_bin"))
    table, pictures = package(tmp_path)
    places = dict(zip(majajhong2015_public.files({}), (assembly, table, pictures), strict=True))
    (made,) = datasets.load("majajhong2015-public", {}, places.__getitem__)
    assert (made.degrees, made.stratum, made.regions) == (8.0, "object_name", ["IT", "V4"])
    assert made.source[majajhong2015_public.ASSEMBLY.url] == "sha1:13d28ca0ce88ee550b54db3004374ae19096e9b9"


def test_freemanziemba_is_read_with_its_protocol(tmp_path: Path) -> None:
    bins = [(start, start + 1) for start in range(300)]
    time = np.zeros(300)
    time[50:200] = np.arange(150)  # mean 74.5; outside, nothing may count
    time[:50], time[200:] = 1000, 1000
    values = VALUES[:, :, None] + time
    columns = {name: PRESENTATIONS[name] for name in ("stimulus_id", "repetition")}
    dims = ("presentation", "neuroid", "time_bin")
    assembly = write_assembly(tmp_path / "a.nc", values, dims, columns, bins)
    table, pictures = package(tmp_path, TABLE.assign(texture_type=["noise", "texture", "noise"]))
    places = dict(zip(freemanziemba2013_public.files({}), (assembly, table, pictures), strict=True))
    (made,) = datasets.load("freemanziemba2013-public", {}, places.__getitem__)
    assert (made.degrees, made.stratum) == (4.0, "texture_type")
    np.testing.assert_allclose(made.responses[0], VALUES[[1, 4]].mean(axis=0) + 74.5)
    assert "versionId" not in freemanziemba2013_public.ASSEMBLY.path
