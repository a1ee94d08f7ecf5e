"""Hénaff V1: small files of the same format, and the real ones where a mirror is named."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.datasets.henaff2021_v1 import conditions, files, load, recording
from engine.errors import InputError
from engine.fetch import Fetch

POPULATIONS = {
    "ay2_u003": 39,
    "ay2_u007": 16,
    "ay3_u001": 47,
    "ay3_u002": 53,
    "ay4_u001": 13,
    "ay4_u005": 46,
    "ay4_u006": 66,
    "ay5_u002": 31,
    "ay5_u005": 49,
}


def write_population(path: Path, repeats: int, units: int) -> np.ndarray:
    """A file in which each number tells where it stands: frame, film, category and scale, in digits."""
    shape = (repeats, units, 11, 10, 3, 2)
    _, unit, frame, movie, category, scale = np.indices(shape)
    counts = frame * 1e4 + movie * 1e3 + category * 1e2 + scale * 10 + unit
    counts[0, 0, 3, 0, 0, 0] = np.nan
    with h5py.File(path, "w") as file:
        file["naturalStruct/sortedResponses"] = counts
    return counts


def test_populations_are_merged_picture_by_picture(tmp_path: Path) -> None:
    write_population(tmp_path / "a.mat", 2, 3)
    write_population(tmp_path / "b.mat", 3, 1)
    paths = {"ay2_u003": tmp_path / "a.mat", "ay3_u001": tmp_path / "b.mat"}
    made = recording(paths, [tmp_path / "unread.png"] * 440, {})
    assert made.repeats is not None
    assert made.repeats.shape == (3, 440, 4)
    assert list(made.neuroids.index) == ["ay2_u003/0", "ay2_u003/1", "ay2_u003/2", "ay3_u001/0"]
    assert list(made.neuroids["subject"]) == ["ay2", "ay2", "ay2", "ay3"]
    assert np.isnan(made.repeats[2, :, :3]).all()  # padding
    index = list(made.stimuli.index)
    frame4 = index.index("zoom1x/movie1/natural04")
    assert np.isnan(made.repeats[0, frame4, 0])
    np.testing.assert_array_equal(made.responses[frame4], [30000, 30001, 30002, 30000])
    synthetic = index.index("zoom2x/movie10/synthetic02")
    np.testing.assert_array_equal(made.responses[synthetic], [19110, 19111, 19112, 19110])
    contrast = index.index("zoom1x/movie7/contrast10")
    np.testing.assert_array_equal(made.responses[contrast], [96200, 96201, 96202, 96200])
    assert made.group == "movie"
    assert made.stimuli.loc["zoom2x/movie10/synthetic02"].to_list() == [10, "synthetic", "zoom2x", 2]


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["naturalStruct/sortedResponses"] = np.zeros((2, 3, 11, 10, 3))
    with pytest.raises(InputError, match=r"\(2, 3, 11, 10, 3\); wanted repeats x units x 11 frames"):
        recording({"ay2_u003": tmp_path / "a.mat"}, [], {})


def test_pictures_are_counted_once() -> None:
    table = conditions()
    assert table.index.is_unique
    assert table["category"].value_counts().to_dict() == {"natural": 220, "synthetic": 180, "contrast": 40}
    assert table.groupby("movie").size().to_dict() == {
        movie: 50 if movie in (2, 4, 7, 10) else 40 for movie in range(1, 11)
    }
    assert len(files({"populations": ["ay4_u006"]})) == 1 + 440


@pytest.mark.real
def test_real_populations(real: Fetch) -> None:
    (made,) = load({}, real)
    assert made.repeats is not None
    assert made.repeats.shape == (60, 440, 360)
    assert made.neuroids["session"].value_counts().to_dict() == POPULATIONS
    assert np.isfinite(made.responses).all()
    counts = made.repeats[np.isfinite(made.repeats)]
    np.testing.assert_array_equal(counts, np.round(counts))
    assert made.images is not None
    picture = made.images[0]
    assert picture.shape == (512, 512, 3)
    np.testing.assert_array_equal(picture[..., 0], picture[..., 1])


@pytest.mark.real
@pytest.mark.parametrize("population", POPULATIONS)
def test_real_files_name_the_pictures_so(real: Fetch, population: str) -> None:
    """The file's own list of picture files gives the same pictures, and the 44 conditions left out are copies."""
    path = real(files({"populations": population})[0])

    def text(reference: h5py.Reference) -> str:
        return "".join(map(chr, file[reference][:].ravel()))

    with h5py.File(path) as file:
        titles = [text(reference) for reference in file["naturalStruct/movie_titles"][:].ravel()]
        assert titles[0].startswith("movie01")
        assert titles[9].startswith("movie10")
        listed = {}
        for scale, categories in file["naturalStruct/stimulusStruct"].items():
            if scale.startswith("zoom"):
                for category, movies in categories.items():
                    for movie, entry in movies.items():
                        for place, reference in enumerate(entry["file_paths"][:].ravel()):
                            name = text(reference).rpartition("/")[2].removesuffix(".png")
                            stimulus = f"{scale}/movie{int(movie[5:7])}/{name}"
                            listed[stimulus] = (int(movie[5:7]), category, scale, place)
        counts = np.nan_to_num(file["naturalStruct/sortedResponses"][:], nan=-1)
    table = conditions()
    assert set(listed) == set(table.index)
    for stimulus, (movie, category, scale, place) in listed.items():
        row = table.loc[stimulus]
        first = 2 if category == "synthetic" else 1
        assert (row["movie"], row["category"], row["scale"], row["frame"]) == (
            movie,
            category,
            scale,
            place + first,
        )
    natural, synthetic, contrast = (counts[:, :, :, :, category] for category in range(3))
    np.testing.assert_array_equal(natural[:, :, [0, 10]], synthetic[:, :, [0, 10]])
    shown = [1, 3, 6, 9]
    np.testing.assert_array_equal(natural[:, :, 10, shown, 0], contrast[:, :, 10, shown, 0])
    assert (np.delete(contrast[..., 0], shown, axis=3) == -1).all()
    assert (contrast[..., 1] == -1).all()


@pytest.mark.real
def test_real_responses_grow_with_contrast(real: Fetch) -> None:
    """Pictures and responses are aligned: of the contrast series both spread and mean response rise."""
    (made,) = load({}, real)
    assert made.images is not None
    for movie in (2, 4, 7, 10):
        rows = np.flatnonzero((made.stimuli["category"] == "contrast") & (made.stimuli["movie"] == movie))
        spread = [made.images[row].std() for row in rows]
        assert spread == sorted(spread)
        drive = made.responses[rows].mean(axis=1)
        assert np.corrcoef(np.arange(10), drive)[0, 1] > 0.632  # p < .05, two-sided, of ten pictures
