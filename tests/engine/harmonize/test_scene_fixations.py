"""The scenes: a small file of the same layout, and the real ones where a mirror is named."""

import functools
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.ndimage import gaussian_filter

from engine.errors import InputError
from engine.fetch import fetch
from engine.harmonize.pairs import PairExamples
from engine.harmonize.scene_fixations import Scene, files, load, pairs, scenes
from engine.images import FileImages


def write(path: Path, cells: list[list[np.ndarray]]) -> None:
    table = np.empty((len(cells), len(cells[0])), dtype=object)
    for row, people in enumerate(cells):
        for column, cell in enumerate(people):
            table[row, column] = cell
    savemat(path, {"fixations": table})


def test_rows_are_photographs_and_points_are_turned_to_x_and_y(tmp_path: Path) -> None:
    first = np.array([[10.0, 200.0, 0.3, 0.1], [20.0, 100.0, 0.5, 0.2]])  # row, column
    write(tmp_path / "f.mat", [[np.zeros((0, 4)), first], [first + 1, first + 2]])
    found = scenes([tmp_path / "002.jpg", tmp_path / "001.jpg"], tmp_path / "f.mat")
    assert [scene.name for scene in found] == ["002", "001"]
    assert [len(scene.fixations) for scene in found] == [2, 1]  # the empty cell is nobody
    np.testing.assert_array_equal(found[1].fixations[0], [[200, 10, 0.3, 0.1], [100, 20, 0.5, 0.2]])
    (pair,) = pairs(found[1:], {"001": 5}, sigma=0.1)
    heat = pair.heat()
    assert heat.shape == (256, 256)
    assert sorted(map(tuple, np.argwhere(heat))) == [(10, 200), (20, 100)]


def test_another_layout_and_missing_labels_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "f.mat", [[np.zeros((3, 3))]])
    with pytest.raises(InputError, match="photograph 1: wanted fixations x 4"):
        scenes([tmp_path / "001.jpg"], tmp_path / "f.mat")
    with pytest.raises(InputError, match="has 1 photographs, none of them number 2"):
        scenes([tmp_path / "002.jpg"], tmp_path / "f.mat")
    savemat(tmp_path / "g.mat", {"other": 1})
    with pytest.raises(InputError, match="wanted 'fixations'"):
        scenes([tmp_path / "001.jpg"], tmp_path / "g.mat")
    with pytest.raises(InputError, match="1 of 1 scenes have no label: 001"):
        pairs([Scene("001", tmp_path / "001.jpg", ())], {})


def test_every_file_is_pinned_once() -> None:
    pinned = files()
    assert len({file.url for file in pinned}) == len(pinned) == 312
    assert pinned[-1].url.endswith("fixations.mat")


@pytest.mark.real
def test_real_scenes(mirror: Path, tmp_path: Path) -> None:
    found = load(functools.partial(fetch, cache=tmp_path, mirror=mirror))
    assert len(found) == 311
    points = [np.concatenate(scene.fixations) for scene in found]
    inside = np.concatenate(points)
    assert (inside[:, :2] >= 0).all()
    assert (inside[:, :2] <= 256).all()
    assert all(1 <= len(scene.fixations) <= 12 for scene in found)

    # People look at places of high contrast: more at those of this photograph than where they looked in another, and
    # more than with x and y exchanged. So neither rows nor columns of the file are mixed up.
    pictures = FileImages([scene.picture for scene in found])
    own, other, exchanged = [], [], []
    for number in range(0, 311, 3):
        grey = pictures[number].mean(axis=2)
        contrast = np.sqrt(np.maximum(gaussian_filter(grey**2, 6) - gaussian_filter(grey, 6) ** 2, 0))
        contrast = (contrast - contrast.mean()) / contrast.std()
        for looked, at, turned in (
            (own, points[number], False),
            (other, points[(number + 100) % 311], False),
            (exchanged, points[number], True),
        ):
            x, y = np.minimum(at[:, :2].astype(int), 255).T
            looked.append(contrast[x, y].mean() if turned else contrast[y, x].mean())
    for control in (other, exchanged):
        difference = np.array(own) - control
        assert difference.mean() > 5 * difference.std() / np.sqrt(len(difference))

    examples = PairExamples(pairs(found, {scene.name: 3 for scene in found}))
    example = examples[17]
    assert example["image"].shape == (256, 256, 3)
    assert (example["map"].shape, example["map"].dtype) == ((256, 256), np.float32)
    # All of a Gaussian but what lies outside the picture.
    assert 0.5 * len(points[17]) < example["map"].sum() <= len(points[17]) + 1e-3
