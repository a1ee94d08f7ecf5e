"""The recording file: what goes in comes out, and nothing else is taken."""

import io
import pickle
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from engine.errors import InputError
from engine.images import ArrayImages
from engine.recording import Images, Recording
from engine.recording_file import read, write

RNG = np.random.default_rng(0)


class Listed:
    """Pictures of any sizes, as decoded arrays."""

    def __init__(self, pictures: list[np.ndarray]) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return self.pictures[index]


class Jpegs:
    """Pictures that can give their files."""

    def __init__(self, count: int) -> None:
        self.files = []
        for i in range(count):
            out = io.BytesIO()
            Image.fromarray(RNG.integers(0, 255, (8 + i, 12, 3), np.uint8)).save(out, "JPEG")
            self.files.append(out.getvalue())

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(self.files[index])).convert("RGB"))

    def encoded(self, index: int, /) -> bytes:
        return self.files[index]


@pytest.fixture
def recording() -> Recording:
    """Five stimuli, three neuroids, four repetitions with gaps; columns of every type."""
    stimuli = pd.DataFrame(
        {
            "object/name": ["apple", None, "", "pärchen 🍐", "nan"],
            "frame": np.array([3, 1, 4, 1, 5], np.int32),
            "maybe": pd.array([1, None, 2**53 + 1, 4, 5], dtype="Int64"),
            "contrast": [0.1, np.nan, 1 / 3, 4.0, 5.0],
            "small": np.array([0.1, 0.2, 0.3, 0.4, 0.5], np.float32),
            "natural": [True, False, True, True, False],
            "sure": pd.array([True, None, False, True, None], dtype="boolean"),
            ".": list("abcde"),
            "kind": pd.Categorical(["u", "v", "u", "v", "u"]),
            "mixed": pd.Series([1, None, 3, 4, 5], dtype=object).to_numpy(),
        },
        index=pd.Index(["007", "NA", "c", "d", "e"], dtype="str", name="stimulus"),
    )
    repeats = RNG.poisson(3.0, (4, 5, 3)).astype(np.float32)
    repeats[1, 2, 0] = np.nan
    return Recording(
        name="grüner Apfel",
        stimuli=stimuli,
        neuroids=pd.DataFrame(
            {"region": ["V4", "IT", "V4"], "subject": ["a", "a", "b"]},
            index=pd.Index(["x", "y", "z"], dtype="str", name="neuroid"),
        ),
        images=ArrayImages(RNG.integers(0, 255, (5, 8, 9, 3), np.uint8)),
        licence="CC0",
        citation="nobody 1900",
        repeats=repeats,
        truth=RNG.random((5, 3)),
        degrees=6.5,
        group="object/name",
        stratum="natural",
        source={"https://example.org/a b.npy": "sha256:00", "https://example.org/c": "sha1:11"},
        simulated=True,
    )


def same_images(a: Images | None, b: Images | None) -> None:
    assert a is not None
    assert b is not None
    assert len(a) == len(b)
    for i in range(len(a)):
        np.testing.assert_array_equal(a[i], b[i])


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


def test_optional_parts_stay_absent(recording: Recording, tmp_path: Path) -> None:
    rdms = {"V1/V2": RNG.random((2, 5, 5)), "IT": RNG.random((1, 5, 5)).astype(np.float32)}
    bare = Recording("bare", recording.stimuli[[]], recording.neuroids.iloc[:0], None, "", "", rdms=rdms)
    write(bare, tmp_path / "r.h5")
    back = read(tmp_path / "r.h5")
    assert back.regions == ["V1/V2", "IT"]
    assert back.rdms is not None
    for region, rdm in rdms.items():
        np.testing.assert_array_equal(back.rdms[region], rdm, strict=True)
    for name in ("images", "degrees", "group", "stratum", "truth", "repeats", "averages"):
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
        write(replace(recording, repeats=recording.repeats.astype(object)), tmp_path / "r.h5")  # type: ignore[union-attr]


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


def test_picture_ends_that_do_not_fit_are_refused(recording: Recording, tmp_path: Path) -> None:
    write(replace(recording, images=Jpegs(5)), tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "r+") as file:
        file["images/ends"][1] += 10_000
    with pytest.raises(InputError, match="do not fit"):
        read(tmp_path / "r.h5")
