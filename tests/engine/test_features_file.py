"""Features made elsewhere give the summaries of their arrays, rows by stimulus id; bad files are refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.errors import InputError
from engine.features_file import FeaturesFile, feature_summaries, open_features

IDS = [f"image{index:02}" for index in range(12)]


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "conv1": rng.standard_normal((12, 4, 5, 3)).astype(np.float32),
        "fc": rng.standard_normal((12, 7)).astype(np.float16),
        "one": rng.standard_normal(12),
    }


def written(folder: Path, kind: str, ids: object = None, **more: np.ndarray) -> Path:
    path = folder / f"features.{kind}"
    content: dict[str, object] = {"stimulus_id": IDS if ids is None else ids, **arrays(), **more}
    if kind == "npz":
        np.savez(path, **{name: np.asarray(array) for name, array in content.items()})
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            for name, array in content.items():
                file[name] = array
    else:
        zarr = pytest.importorskip("zarr", reason="zarr is not installed")
        group = zarr.open_group(path, mode="w", zarr_format=2)
        for name, array in content.items():
            values = np.asarray(array)
            group.create_array(name, data=values.astype("<U16") if values.dtype.kind == "U" else values)
    return path


@pytest.mark.parametrize("kind", ["npz", "h5", "zarr"])
@pytest.mark.parametrize("budget", [10**9, 4 * 9 * 10])  # all at once; ten units at a time
def test_summaries_by_id(tmp_path: Path, kind: str, budget: int) -> None:
    file = open_features(written(tmp_path, kind))
    assert sorted(file.layers) == ["conv1", "fc", "one"]
    assert file.units("conv1") == 60
    order = [11, 0, 7, 3, 4, 5, 1, 9, 10]
    found = dict(feature_summaries(file, ["fc", "conv1", "one"], [IDS[row] for row in order], budget=budget))
    for layer, array in arrays().items():
        rows = array.reshape(12, -1)[order].astype(np.float64)
        centred = rows - rows.mean(0)
        gram = found[layer].gram.astype(np.float64)
        mean = gram.mean(0)
        np.testing.assert_allclose(gram - mean - mean[:, None] + mean.mean(), centred @ centred.T, rtol=0, atol=1e-4)
        np.testing.assert_allclose(found[layer].sums, rows.sum(1), rtol=0, atol=1e-4)
        assert found[layer].units == rows.shape[1]


def test_groups_become_dots(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["stimulus_id"] = IDS
        file["block1/relu"] = np.zeros((12, 3))
    assert open_features(tmp_path / "f.h5").layers == ["block1.relu"]


def test_digest_is_of_the_content(tmp_path: Path) -> None:
    first = open_features(written(tmp_path, "npz")).digest()
    assert open_features(written(tmp_path, "npz")).digest() == first
    assert open_features(written(tmp_path, "npz", fc=np.ones((12, 7)))).digest() != first


def opened(tmp_path: Path) -> FeaturesFile:
    return open_features(written(tmp_path, "npz"))


def test_absent_stimuli_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no features for 2 of 3 stimuli: a, b; its own ids start with image00"):
        opened(tmp_path).rows(["a", "image01", "b"])


def test_infinite_features_name_the_layer(tmp_path: Path) -> None:
    bad = np.zeros((12, 7))
    bad[4, 2] = np.inf
    file = open_features(written(tmp_path, "npz", fc=bad))
    with pytest.raises(InputError, match=r"'fc' .*not finite for 1 of 12 stimuli"):
        list(feature_summaries(file, ["fc"], IDS, budget=10**9))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": IDS[:11]}, r"'conv1' \(12, 4, 5, 3\).* beside 11 ids"),
        ({"ids": [*IDS[:11], "image00"]}, "more than once: image00"),
        ({"fc": np.array(["a"] * 12)}, r"'fc' <U1; wanted real numbers"),
        ({"fc": np.zeros((12, 2), complex)}, r"'fc' complex128; wanted real numbers"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_features(written(tmp_path, "npz", **change))  # type: ignore[arg-type]  # settings by name


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        open_features(tmp_path / "none.h5")
    (tmp_path / "features.txt").write_text("1 2 3")
    with pytest.raises(InputError, match=r"ends in \.h5, \.hdf5 or \.npz"):
        open_features(tmp_path / "features.txt")
    for kind in ("h5", "npz"):
        (tmp_path / f"broken.{kind}").write_bytes(b"nonsense")
        with pytest.raises(InputError, match=f"cannot be read as .{kind}"):
            open_features(tmp_path / f"broken.{kind}")
    np.savez(tmp_path / "noids.npz", fc=np.zeros((3, 2)))
    with pytest.raises(InputError, match="'stimulus_id'"):
        open_features(tmp_path / "noids.npz")
    np.savez(tmp_path / "objects.npz", stimulus_id=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"cannot be read as \.npz"):
        open_features(tmp_path / "objects.npz")
