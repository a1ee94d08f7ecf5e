"""Arcaro's maps as published with Linsley et al.: small files of the same format."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.datasets import load
from engine.errors import InputError
from engine.fetch import RemoteFile
from tests.engine.test_spatial_maps_file import write

MAPS = {"George": np.random.default_rng(0).normal(size=(5, 4, 175, 35, 2)), "Red": np.ones((3, 3, 131, 2, 3))}
WHERE = {"George": ("george_060118_data.mat", "natural_test"), "Red": ("red_062419_data.mat", "red_naturalface")}


def never(file: RemoteFile) -> Path:
    raise AssertionError("nothing is downloaded")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As the archive unpacks: image i of each monkey is grey of level i, those of Red lighter."""
    for monkey, (data, pictures) in WHERE.items():
        maps = MAPS[monkey]
        (tmp_path / monkey / pictures).mkdir(parents=True)
        write(tmp_path / monkey / data, maps, maps.shape[-1])
        for i in range(maps.shape[-1]):
            level = i + 100 * (monkey == "Red")
            Image.new("RGB", (8, 8), (level, level, level)).save(tmp_path / monkey / pictures / f"face{i}.jpg")
    return tmp_path


def test_each_array_has_its_window(folder: Path) -> None:
    george, red = load("arcaro2020", {"path": str(folder)}, never)
    assert (george.name, red.name) == ("arcaro2020/George", "arcaro2020/Red")
    assert george.regions == ["PL", "ML"]
    assert red.regions == ["ML"]
    assert george.neuroids["region"].value_counts().to_dict() == {"PL": 32, "ML": 3}
    assert set(george.neuroids["subject"]) == {"George"}
    assert george.maps is not None
    assert george.maps.shape == (2, 5, 4, 35)
    turned = MAPS["George"][::-1, ::-1]
    for channel, (start, stop) in {0: (90, 130), 31: (90, 130), 32: (130, 170), 34: (130, 170)}.items():
        wanted = turned[:, :, start:stop, channel].mean(axis=2).transpose(2, 0, 1)
        np.testing.assert_allclose(george.maps[..., channel], wanted, atol=1e-12)
    assert red.maps is not None
    assert red.maps.shape == (3, 3, 3, 2)
    assert list(red.stimuli.index) == ["face0.jpg", "face1.jpg", "face2.jpg"]
    assert red.images is not None
    assert [int(red.images[i].mean()) for i in range(3)] == [100, 101, 102]


def test_options(folder: Path) -> None:
    (george,) = load("arcaro2020", {"path": folder, "monkeys": "George", "window": [10, 20], "parity": True}, never)
    assert george.neuroids["region"].value_counts().to_dict() == {"PL": 33, "ML": 2}
    wanted = MAPS["George"][::-1, ::-1, 10:20].mean(axis=2).transpose(3, 0, 1, 2)
    np.testing.assert_allclose(george.maps, wanted, atol=1e-12)
    for window in ([10], [10.5, 20], "10", 10):
        with pytest.raises(InputError, match=r"wanted .start, stop. in whole ms"):
            load("arcaro2020", {"path": folder, "window": window}, never)
    with pytest.raises(InputError, match="within 0 to 175 ms"):
        load("arcaro2020", {"path": folder, "window": [100, 200]}, never)
    with pytest.raises(InputError, match="unknown monkey 'george'; did you mean George"):
        load("arcaro2020", {"path": folder, "monkeys": "george"}, never)
    with pytest.raises(InputError, match="parity=33: wanted true or false"):
        load("arcaro2020", {"path": folder, "parity": 33}, never)


def test_what_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"dataset.path is needed: .*Get https://.*Arcaro2020.zip, unpack it"):
        load("arcaro2020", {}, never)
    (folder / "Red" / "red_062419_data.mat").unlink()
    with pytest.raises(InputError, match=r"there is no .*red_062419_data.mat; wanted the folder with George and Red"):
        load("arcaro2020", {"path": folder}, never)
    assert len(load("arcaro2020", {"path": folder, "monkeys": ["George"]}, never)) == 1
