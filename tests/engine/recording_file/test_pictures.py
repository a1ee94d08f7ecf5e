"""The recording file: pictures of any kind, read one by one."""

import pickle
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.errors import InputError
from engine.recording import Recording
from engine.recording_file import read, write
from tests.engine.recording_file.pictures import RNG, Jpegs, Listed, same_images


def test_pictures_of_several_sizes(recording: Recording, tmp_path: Path) -> None:
    pictures = Listed([RNG.integers(0, 255, (4 + i, 7, 3), np.uint8) for i in range(5)])
    write(replace(recording, images=pictures), tmp_path / "r.h5")
    same_images(read(tmp_path / "r.h5").images, pictures)


def test_picture_files_are_kept_as_they_are(recording: Recording, tmp_path: Path) -> None:
    pictures = Jpegs(5)
    write(replace(recording, images=pictures), tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["images/files"][:].tobytes() == b"".join(pictures.files)
    back = read(tmp_path / "r.h5")
    same_images(back.images, pictures)
    write(back, tmp_path / "again.h5")
    same_images(read(tmp_path / "again.h5").images, pictures)


def test_a_broken_picture_is_refused(recording: Recording, tmp_path: Path) -> None:
    write(replace(recording, images=Jpegs(5)), tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        ends = file["images/ends"][:]
        file["images/files"][ends[2] : ends[3]] = 0
    images = read(tmp_path / "r.h5").images
    assert images is not None
    assert images[2].shape == (10, 12, 3)
    with pytest.raises(InputError, match=r"r\.h5: picture number 3 cannot be decoded"):
        images[3]


def test_stored_pictures_survive_pickling(recording: Recording, tmp_path: Path) -> None:
    write(recording, tmp_path / "r.h5")
    images = read(tmp_path / "r.h5").images
    same_images(pickle.loads(pickle.dumps(images)), recording.images)


def test_an_index_beyond_the_last_picture_is_an_index_error(recording: Recording, tmp_path: Path) -> None:
    write(recording, tmp_path / "r.h5")
    images = read(tmp_path / "r.h5").images
    assert images is not None
    with pytest.raises(IndexError):
        images[5]


def test_picture_ends_that_do_not_fit_are_refused(recording: Recording, tmp_path: Path) -> None:
    write(replace(recording, images=Jpegs(5)), tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        file["images/ends"][1] += 10_000
    with pytest.raises(InputError, match="do not fit"):
        read(tmp_path / "r.h5")
