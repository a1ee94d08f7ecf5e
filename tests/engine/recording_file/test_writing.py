"""The recording file: written whole or not at all, and only what the format can hold."""

import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.errors import InputError
from engine.recording import Recording
from engine.recording_file import read, write
from tests.engine.recording_file.pictures import Listed, same_images


def test_an_existing_file_is_replaced_only_when_asked(recording: Recording, tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    path.write_bytes(b"precious")
    with pytest.raises(InputError, match="exists"):
        write(recording, path)
    assert path.read_bytes() == b"precious"
    write(recording, path, overwrite=True)
    lazy = read(path)
    write(replace(lazy, name="renamed"), path, overwrite=True)  # its pictures still lie in the file being replaced
    assert read(path).name == "renamed"
    same_images(read(path).images, recording.images)
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.h5"]


def test_nothing_is_left_where_writing_fails(recording: Recording, tmp_path: Path) -> None:
    class Broken(Listed):
        def __getitem__(self, index: int, /) -> np.ndarray:
            if index == 3:
                raise InputError("picture 3 is broken")
            return self.pictures[0]

    images = Broken([np.zeros((4, 4, 3), np.uint8)] * 5)
    with pytest.raises(InputError, match="picture 3"):
        write(replace(recording, images=images), tmp_path / "r.h5")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"cannot write .*r\.h5"):
        write(recording, tmp_path / "absent" / "r.h5")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Not a directory"):
        write(recording, tmp_path / "file" / "r.h5")


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files may not grow beyond 100 kB, which fails writes as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_leaves_nothing(recording: Recording, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write .*r\.h5"):
        write(replace(recording, repeats=np.zeros((20_000, 5, 3))), tmp_path / "r.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.to_datetime(["2020-01-01"] * 5), "datetime"),
        ([1, "a", 2, 3, 4], "mixed"),
        ([[1], [2], [3], [4], [5]], "mixed"),
        ([1j] * 5, "complex"),
        (["a\0b"] * 5, "cannot be stored"),
        ([2**80] * 5, "64 bits"),
    ],
)
def test_columns_that_the_format_cannot_hold(
    recording: Recording, tmp_path: Path, column: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write(replace(recording, stimuli=recording.stimuli.assign(odd=column)), tmp_path / "r.h5")
    assert not list(tmp_path.iterdir())


def test_objects_as_responses_are_refused(recording: Recording, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="repeats holds object"):
        write(replace(recording, repeats=recording.repeats.astype(object)), tmp_path / "r.h5")  # type: ignore[union-attr]  # it has repeats
