"""Cowley V4: small files of the same format, and the real ones where a mirror is named."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import datasets
from engine.datasets.cowley2023_v4 import INFO, files, load, numbered, recording
from engine.errors import InputError
from engine.fetch import Fetch


def write_archive(path: Path, members: dict[str, int]) -> Path:
    """A zip of plain pictures, each of one grey value."""
    with zipfile.ZipFile(path, "w") as archive:
        for member, value in members.items():
            content = io.BytesIO()
            Image.new("RGB", (8, 8), (value, value, value)).save(content, "JPEG")
            archive.writestr(member, content.getvalue())
    return path


def test_images_are_ordered_by_number_wherever_they_lie(tmp_path: Path) -> None:
    members = {
        "deep/er/image0010.jpg": 100,
        "__MACOSX/deep/._image0010.jpg": 7,
        "deep/er/image0002.jpg": 20,
        "deep/er/Image0009.JPG": 90,
        "deep/readme.txt": 7,
    }
    archive = write_archive(tmp_path / "images.zip", members)
    counts = np.arange(12.0).reshape(2, 3, 2)
    counts[0, 1, 1] = np.nan
    np.save(tmp_path / "responses.npy", counts)
    made = recording("210325", monkey="PE", pictures=archive, responses=tmp_path / "responses.npy", source={})
    assert made.images is not None
    assert [int(made.images[index].mean()) for index in range(3)] == [20, 90, 100]
    assert list(made.stimuli.index) == ["210325/image0002", "210325/Image0009", "210325/image0010"]
    assert list(made.neuroids.index) == ["210325/0", "210325/1"]
    assert set(made.neuroids["subject"]) == {"PE"}
    np.testing.assert_array_equal(made.responses, [[0.5, 6.5], [2.0, 8.5], [4.5, 10.5]])


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "images.zip", {"image0001.jpg": 1, "image0002.jpg": 2})
    np.save(tmp_path / "responses.npy", np.zeros((5, 3)))
    with pytest.raises(InputError, match=r"holds 2 images, but .* has shape \(5, 3\)"):
        recording("1", monkey="PE", pictures=archive, responses=tmp_path / "responses.npy", source={})
    twice = write_archive(tmp_path / "twice.zip", {"image0001.jpg": 1, "a/image01.jpg": 2})
    with pytest.raises(InputError, match="two images 1"):
        numbered(twice)
    (tmp_path / "cut.zip").write_bytes(archive.read_bytes()[:50])
    with pytest.raises(InputError, match=r"cannot read the archive .*cut\.zip"):
        numbered(tmp_path / "cut.zip")


def test_sessions_and_kinds_of_response() -> None:
    assert [file.path.rpartition("/")[2] for file in files({})] == [
        "images_190925.zip",
        "responses_190925.npy",
    ]
    assert len(files({"sessions": "all"})) == 2 * 45
    averages, trials = files({})[1], files({"trials": True})[1]
    assert "/responses_repeat_averaged/" in averages.url
    assert "/responses_raw/" in trials.url
    with pytest.raises(InputError, match="session 201016 was published without its images"):
        files({"sessions": [201016]})
    with pytest.raises(InputError, match="trials is 'yes'"):
        files({"trials": "yes"})


@pytest.mark.real
@pytest.mark.parametrize(
    ("session", "neurons", "images", "monkey"),
    [
        (190925, 36, 1200, "WE"),
        (190927, 31, 1200, "WE"),
        (190928, 24, 1200, "WE"),
        (190929, 33, 1200, "WE"),
        (210225, 55, 1200, "PE"),
        (210305, 70, 400, "PE"),
        (210322, 59, 1200, "PE"),
        (210325, 50, 640, "PE"),
        (210621, 51, 1200, "RA"),
    ],
)
def test_real_sessions(real: Fetch, session: int, neurons: int, images: int, monkey: str) -> None:
    (made,) = load({"sessions": session}, real)
    assert made.name == f"{INFO.name}/{session}"
    assert made.responses.shape == (images, neurons)
    assert np.isfinite(made.responses).all()
    assert list(made.stimuli.index) == [f"{session}/image{number:04d}" for number in range(1, images + 1)]
    assert set(made.neuroids["subject"]) == {monkey}
    assert made.images is not None
    assert made.images[images - 1].shape == (112, 112, 3)
    assert made.images[0].std() > 0


@pytest.mark.real
def test_real_trials_average_to_the_published_averages(real: Fetch) -> None:
    (averages,) = load({"sessions": [210325]}, real)
    (trials,) = load({"sessions": [210325], "trials": True}, real)
    assert trials.repeats is not None
    assert trials.repeats.shape == (10, 640, 50)
    present = np.isfinite(trials.repeats).sum(axis=0)
    assert (present.min(), present.max()) == (6, 10)
    np.testing.assert_array_equal(trials.responses, averages.responses)
    assert trials.stimuli.equals(averages.stimuli)


@pytest.mark.real
def test_real_sessions_come_in_order_and_are_distinct(real: Fetch) -> None:
    made = datasets.load("cowley2023-v4", {"sessions": [190927, 190925]}, real)
    assert [one.name[-6:] for one in made] == ["190925", "190927"]
    assert not set(made[0].neuroids.index) & set(made[1].neuroids.index)
    assert not set(made[0].stimuli.index) & set(made[1].stimuli.index)
