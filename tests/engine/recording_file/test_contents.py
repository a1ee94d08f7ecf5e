"""The recording file: what goes in comes out."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from engine.recording import Recording
from engine.recording_file import read, write
from tests.engine.recording_file.pictures import RNG, same_images


def test_everything_comes_back(recording: Recording, tmp_path: Path) -> None:
    write(recording, tmp_path / "r.h5")
    back = read(tmp_path / "r.h5")
    for name in ("name", "licence", "citation", "degrees", "group", "stratum", "simulated", "averages", "rdms"):
        assert getattr(back, name) == getattr(recording, name)
    assert list(back.source.items()) == list(recording.source.items())
    for name in ("repeats", "truth"):
        np.testing.assert_array_equal(getattr(back, name), getattr(recording, name), strict=True)
    same_images(back.images, recording.images)
    assert back.digest() == recording.digest()
    plain = recording.stimuli.assign(
        kind=recording.stimuli["kind"].astype("str"), mixed=recording.stimuli["mixed"].astype("Int64")
    )
    pd.testing.assert_frame_equal(back.stimuli, plain)
    pd.testing.assert_frame_equal(back.neuroids, recording.neuroids)


def test_maps_come_back(recording: Recording, tmp_path: Path) -> None:
    maps = RNG.normal(size=(5, 2, 4, 3)).astype(np.float32)
    of_maps = replace(recording, repeats=None, truth=None, maps=maps)
    write(of_maps, tmp_path / "r.h5")
    back = read(tmp_path / "r.h5")
    np.testing.assert_array_equal(back.maps, maps, strict=True)
    assert back.digest() == of_maps.digest()


def test_optional_parts_stay_absent(recording: Recording, tmp_path: Path) -> None:
    rdms = {"V1/V2": RNG.random((2, 5, 5)), "IT": RNG.random((1, 5, 5)).astype(np.float32)}
    bare = Recording("bare", recording.stimuli[[]], recording.neuroids.iloc[:0], None, "", "", rdms=rdms)
    write(bare, tmp_path / "r.h5")
    back = read(tmp_path / "r.h5")
    assert back.regions == ["V1/V2", "IT"]
    assert back.rdms is not None
    for region, rdm in rdms.items():
        np.testing.assert_array_equal(back.rdms[region], rdm, strict=True)
    for name in ("images", "degrees", "group", "stratum", "truth", "repeats", "averages", "maps"):
        assert getattr(back, name) is None
    assert back.stimuli.shape == (5, 0)
    assert back.source == {}
    assert not back.simulated
    assert back.digest() == bare.digest()


def test_layout_is_as_described(recording: Recording, tmp_path: Path) -> None:
    write(recording, tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5") as file:
        assert file.attrs["format"].decode() == "corticalign recording"
        assert file.attrs["version"] == 1
        assert list(file["stimuli/id"].asstr()) == ["007", "NA", "c", "d", "e"]
        assert file["stimuli/columns/object%2Fname"].attrs["type"].decode() == "text"
        assert list(file["stimuli/missing/object%2Fname"]) == [0, 1, 0, 0, 0]
        assert list(file["stimuli/columns"])[:2] == ["object%2Fname", "frame"]
        for name in ("repeats", "truth"):
            assert file[name].chunks is None
            assert file[name].compression is None
        assert file["images/pixels"].shape == (5, 8, 9, 3)


def test_a_file_written_elsewhere_is_read(tmp_path: Path) -> None:
    """Fixed-length text, no optional part, chunked and compressed numbers, parts of a later minor kind."""
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file.attrs.update({"format": "corticalign recording", "version": np.int32(1), "name": "x", "simulated": 0})
        file.attrs.update({"licence": "l", "citation": "c", "colour": "unknown to this version"})
        file["stimuli/id"] = np.array([b"a", b"b"])
        file["neuroids/id"] = np.array([b"n"])
        for column, entry in (("region", b"V1"), ("subject", b"s")):
            file[f"neuroids/columns/{column}"] = np.array([entry])
            file[f"neuroids/columns/{column}"].attrs["type"] = "text"
        for group in ("stimuli/columns", "stimuli/missing", "neuroids/missing"):
            file.create_group(group)
        file["source/address"] = np.array([], "S1")
        file["source/checksum"] = np.array([], "S1")
        file.create_dataset("averages", data=np.array([[1], [2]]), chunks=(1, 1), compression="gzip")
        file["images/pixels"] = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    back = read(tmp_path / "r.h5")
    assert back.regions == ["V1"]
    np.testing.assert_array_equal(back.responses, [[1.0], [2.0]])
    assert back.images is not None
    np.testing.assert_array_equal(back.images[1], np.repeat(np.arange(6, 12).reshape(2, 3, 1), 3, axis=2))
