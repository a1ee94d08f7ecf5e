"""The user's own arrays and tables, as a recording."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from engine.datasets.user import from_arrays
from engine.errors import InputError
from engine.recording_file import read, write

RNG = np.random.default_rng(0)
X = RNG.integers(0, 255, (4, 6, 7, 3), np.uint8)
Y = RNG.normal(size=(4, 2))
REPEATS = RNG.poisson(3.0, (5, 4, 2))
IDS = np.array(["007", "NA", "c", "d"])

Save = Callable[..., Path]


@pytest.fixture(params=["npz", "h5"])
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Save:
    """Saves arrays under their names in either format."""

    def save(**arrays: np.ndarray) -> Path:
        path = tmp_path / f"arrays.{request.param}"
        if request.param == "npz":
            np.savez(path, **arrays)  # type: ignore[arg-type]  # the stubs take the names for options
        else:
            with h5py.File(path, "w") as file:
                for name, array in arrays.items():
                    file[name] = array.astype(h5py.string_dtype()) if array.dtype.kind == "U" else array
        return path

    return save


def csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_images_and_averages(save: Save, tmp_path: Path) -> None:
    recording = from_arrays(save(X=X, Y=Y), name="mine", region="V4", degrees=8)
    assert recording.averages is not None
    np.testing.assert_array_equal(recording.averages, Y)
    assert recording.images is not None
    np.testing.assert_array_equal(np.stack([recording.images[i] for i in range(4)]), X)
    assert list(recording.stimuli.index) == ["0", "1", "2", "3"]
    assert recording.regions == ["V4"]
    assert not recording.simulated
    write(recording, tmp_path / "mine.h5")
    back = read(tmp_path / "mine.h5")
    assert back.digest() == recording.digest()
    assert back.images is not None
    np.testing.assert_array_equal(back.images[3], X[3])


def test_repetitions_and_grey_images(save: Save) -> None:
    recording = from_arrays(save(X=X[..., 0], Y=REPEATS), name="mine", region="V4")
    np.testing.assert_allclose(recording.responses, REPEATS.mean(axis=0))
    assert recording.images is not None
    np.testing.assert_array_equal(recording.images[2], np.repeat(X[2, :, :, :1], 3, axis=2))


def test_rdms(save: Save) -> None:
    rdm = RNG.random((3, 4, 4))
    rdm = rdm + rdm.swapaxes(1, 2)
    recording = from_arrays(save(rdm_IT=rdm, rdm_V1=rdm[0]), name="mine")
    assert recording.rdms is not None
    np.testing.assert_array_equal(recording.rdms["IT"], rdm)
    np.testing.assert_array_equal(recording.rdms["V1"], rdm[:1])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_are_matched_by_id(save: Save, tmp_path: Path, kind: str) -> None:
    stimuli = pd.DataFrame({"stimulus_id": ["d", "NA", "007", "c"], "movie": ["w", "x", "y", "z"]})
    neuroids = pd.DataFrame({"neuroid_id": [12, 11], "region": ["IT", "V4"], "depth": [1.5, 2.5]})
    paths = [tmp_path / f"stimuli.{kind}", tmp_path / f"neuroids.{kind}"]
    for table, path in zip((stimuli, neuroids), paths, strict=True):
        if kind == "csv":
            table.to_csv(path, index=False)
        else:
            table.to_parquet(path)
    arrays = save(Y=Y, stimulus_id=IDS, neuroid_id=np.array([11, 12]))
    recording = from_arrays(arrays, name="mine", stimuli=paths[0], neuroids=paths[1], group="movie")
    assert recording.averages is not None
    np.testing.assert_array_equal(recording.averages, Y)
    assert list(recording.stimuli.index) == list(IDS)
    assert list(recording.stimuli["movie"]) == ["y", "x", "z", "w"]
    assert list(recording.neuroids.index) == ["11", "12"]
    assert list(recording.neuroids["region"]) == ["V4", "IT"]
    assert list(recording.neuroids["subject"]) == ["unknown", "unknown"]
    assert list(recording.neuroids["depth"]) == [2.5, 1.5]


def test_a_table_without_ids_is_in_the_order_of_the_arrays(save: Save, tmp_path: Path) -> None:
    table = csv(tmp_path / "s.csv", "movie\nw\nx\ny\nz\n")
    recording = from_arrays(save(Y=Y, stimulus_id=IDS), name="mine", region="V4", stimuli=table)
    assert list(recording.stimuli["movie"]) == ["w", "x", "y", "z"]
    assert list(recording.stimuli.index) == list(IDS)


def test_ids_of_the_table_alone_name_the_stimuli(save: Save, tmp_path: Path) -> None:
    table = csv(tmp_path / "s.csv", "stimulus_id\n01\n02\nNA\nnull\n")
    recording = from_arrays(save(Y=Y), name="mine", region="V4", stimuli=table)
    assert list(recording.stimuli.index) == ["01", "02", "NA", "null"]


def test_pictures_in_a_folder(save: Save, tmp_path: Path) -> None:
    for i, name in enumerate(IDS):
        Image.fromarray(X[i, : 3 + i]).save(tmp_path / f"{name}.png")
    arrays = save(Y=Y, stimulus_id=IDS)
    by_id = from_arrays(arrays, name="mine", region="V4", images=tmp_path).images
    table = csv(tmp_path / "s.csv", "stimulus_id,file\nd,007.png\nc,NA.png\nNA,c.png\n007,d.png\n")
    by_file = from_arrays(arrays, name="mine", region="V4", images=tmp_path, stimuli=table).images
    assert by_id is not None
    assert by_file is not None
    for i in range(4):
        np.testing.assert_array_equal(by_id[i], X[i, : 3 + i])
        np.testing.assert_array_equal(by_file[i], X[3 - i, : 6 - i])
    (tmp_path / "c.png").unlink()
    (tmp_path / "c2.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"has none named c; it has, unused: c2"):
        from_arrays(arrays, name="mine", region="V4", images=tmp_path)
    with pytest.raises(InputError, match=r"lacks pictures that the stimulus table names: c\.png"):
        from_arrays(arrays, name="mine", region="V4", images=tmp_path, stimuli=table)


def test_ids_that_do_not_match_are_named_on_both_sides(save: Save, tmp_path: Path) -> None:
    table = csv(tmp_path / "s.csv", "stimulus_id\n007\nNA\ne\nf\ng\n")
    with pytest.raises(InputError, match=r"only in .*arrays.*: c, d; only in .*s\.csv: e, f, g"):
        from_arrays(save(Y=Y, stimulus_id=IDS), name="mine", region="V4", stimuli=table)
    table = csv(tmp_path / "n.csv", "neuroid_id,region\na,V1\nb,V1\n")
    with pytest.raises(InputError, match=r"neuroids do not match.*: x, y; .*: a, b"):
        from_arrays(save(Y=Y, neuroid_id=np.array(["x", "y"])), name="mine", neuroids=table)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X}, "holds nothing; wanted either responses named Y"),
        ({"responses": Y}, r"holds responses \(4, 2\)"),
        ({"Y": Y, "rdm_IT": np.zeros((4, 4))}, "either responses named Y or"),
        ({"X": X / 255, "Y": Y}, r"X is float64.*round\(255 \* X\)"),
        ({"X": X.astype(np.int64), "Y": Y}, "X is int64"),
        ({"X": X.transpose(0, 3, 1, 2), "Y": Y}, r"X\.transpose\(0, 2, 3, 1\)"),
        ({"X": X[..., :2], "Y": Y}, r"X is uint8 of shape \(4, 6, 7, 2\)"),
        ({"X": X[:3], "Y": Y}, "X holds 3 pictures.*4 stimuli"),
        ({"X": X, "Y": Y.T}, "the rows of Y are stimuli"),
        ({"Y": Y + 1j}, "Y is complex128"),
        ({"Y": Y[0]}, r"Y has shape \(2,\)"),
        ({"Y": np.where(Y > 0, np.inf, Y)}, "infinite"),
        ({"rdm_IT": RNG.random((4, 4))}, "not symmetric"),
        ({"rdm_IT": np.zeros((4, 5))}, "not symmetric"),
        ({"Y": Y, "stimulus_id": IDS[:3]}, "stimulus_id names 3.*4 stimuli"),
        ({"Y": Y, "stimulus_id": IDS[[0, 1, 1, 2]]}, "'NA' stands more than once"),
        ({"Y": Y, "stimulus_id": np.zeros(4)}, "stimulus_id is float64"),
    ],
)
def test_arrays_that_cannot_be_used(save: Save, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_arrays(save(**arrays), name="mine", region="V4")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "region of the neuroids is not known"),
        ({"region": "V4", "degrees": 0}, "positive number of degrees"),
        ({"region": "V4", "degrees": float("nan")}, "positive number of degrees"),
        ({"region": "V4", "group": "movie"}, "no column 'movie'"),
        ({"region": "V4", "images": Path("nowhere")}, "no folder of pictures nowhere"),
        ({"region": "V4", "stimuli": Path("nowhere.csv")}, r"cannot read the table nowhere\.csv"),
        ({"region": "V4", "stimuli": Path("table.xlsx")}, "CSV or Parquet"),
    ],
)
def test_options_that_cannot_be_used(save: Save, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_arrays(save(Y=Y), name="mine", **options)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.csv", "movie\na\nb\n", "has 2 rows.*4 stimuli"),
        ("s.csv", "stimulus_id\na\na\nb\nc\n", "'a' stands more than once"),
        ("s.csv", "", "cannot read the table"),
        ("s.csv", "movie\na,1\nb,2\nc,3\nd,4\n", "more entries than"),
        ("s.csv", 'a,b\n"1,2\n', "cannot read the table"),
        ("s.parquet", "not parquet", "cannot read the table"),
    ],
)
def test_tables_that_cannot_be_used(save: Save, tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_arrays(save(Y=Y), name="mine", region="V4", stimuli=csv(tmp_path / name, text))


def test_a_region_is_given_once_and_not_empty(save: Save, tmp_path: Path) -> None:
    table = csv(tmp_path / "n.csv", "region\nV4\nIT\n")
    with pytest.raises(InputError, match="give one"):
        from_arrays(save(Y=Y), name="mine", region="V4", neuroids=table)
    table = csv(tmp_path / "n.csv", "region,depth\nV4,1\n,2\n")
    with pytest.raises(InputError, match="region of neuroid '1' is empty"):
        from_arrays(save(Y=Y), name="mine", neuroids=table)


def test_pictures_are_given_once(save: Save, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="given twice"):
        from_arrays(save(X=X, Y=Y), name="mine", region="V4", images=tmp_path)


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("name", ["X", "Y", "other"])
def test_objects_are_refused_and_nothing_in_them_runs(tmp_path: Path, name: str) -> None:
    arrays: dict[str, np.ndarray] = {"X": X, "Y": Y, name: np.array([Code(tmp_path / "ran")], dtype=object)}
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]  # the stubs take the names for options
    with pytest.raises(InputError, match=f"{name} is an array of Python objects"):
        from_arrays(tmp_path / "a.npz", name="mine", region="V4")
    assert not (tmp_path / "ran").exists()


def test_damaged_files_are_refused(save: Save, tmp_path: Path) -> None:
    whole = save(X=X, Y=Y).read_bytes()
    for length in (10, len(whole) // 2, len(whole) - 30):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut.* is cut short or damaged"):
            from_arrays(tmp_path / "cut", name="mine", region="V4")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*none\.npz"):
        from_arrays(tmp_path / "none.npz", name="mine")
    np.save(tmp_path / "y.npy", Y)
    with pytest.raises(InputError, match=r"neither \.npz nor HDF5"):
        from_arrays(tmp_path / "y.npy", name="mine")
