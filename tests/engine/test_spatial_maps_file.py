from pathlib import Path

import numpy as np
import pytest
import scipy.io

from engine.errors import InputError
from engine.spatial_maps_file import in_window, posterior, read_maps


def write(path: Path, maps: np.ndarray, images: int) -> None:
    names = np.empty((1, images), object)
    names[0] = [f"C:\\stimuli\\natural_test\\face{i}.jpg" for i in range(images)]
    scipy.io.savemat(path, {"imageRF": maps, "UniqueNames": names})


def test_published_format(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).normal(size=(5, 4, 60, 3, 2))
    write(tmp_path / "monkey.mat", maps, 2)
    found = read_maps(tmp_path / "monkey.mat")
    assert found.images == ("face0.jpg", "face1.jpg")
    assert found.responses.shape == (2, 5, 4, 60, 3)
    np.testing.assert_array_equal(found.responses[1, 0, 3, 7, 2], maps[4, 0, 7, 2, 1])  # turned over in x and y
    window = in_window(found, 20, 50)
    for image in range(2):
        for channel in range(3):
            wanted = maps[::-1, ::-1, 20:50, channel, image].mean(axis=-1)
            np.testing.assert_allclose(window[image, :, :, channel], wanted, atol=1e-12)
    for start, stop in ((20, 61), (20, 20), (-1, 5)):
        with pytest.raises(InputError, match="within 0 to 60 ms"):
            in_window(found, start, stop)


def test_channels_of_the_two_arrays() -> None:
    np.testing.assert_array_equal(np.flatnonzero(posterior(63)), np.arange(32))
    np.testing.assert_array_equal(np.flatnonzero(posterior(63, parity=True)), np.arange(33))
    with pytest.raises(InputError, match="30 channels cannot be divided"):
        posterior(30)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.mat"
    path.write_bytes(b"no MATLAB file at all, but long enough to have a header" * 9)
    with pytest.raises(InputError, match="cannot be read as a MATLAB file"):
        read_maps(path)
    scipy.io.savemat(path, {"imageRF": np.ones((3, 3))})
    with pytest.raises(InputError, match="wanted the variables"):
        read_maps(path)
    write(path, np.ones((3, 3, 5, 2, 4)), 2)
    with pytest.raises(InputError, match="a name for each image"):
        read_maps(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_maps(tmp_path / "missing.mat")
