from io import BytesIO

import numpy as np
import pytest

from engine.errors import InputError
from engine.report.saliency_figure import chosen_rows, saliency_figure

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (2, 8, 8, 3), np.uint8)
HUMAN = RNG.uniform(size=(2, 8, 8))
SALIENCY = {"before": RNG.uniform(size=(2, 8, 8)), "after": np.stack([HUMAN[0], np.zeros((8, 8))])}
CORRELATION = {"before": [0.125, -0.5], "after": np.array([1.0, np.nan])}


def test_a_row_for_each_image_and_a_column_for_each_map() -> None:
    figure = saliency_figure(IMAGES, HUMAN, SALIENCY, CORRELATION, "model on data", "drawn by seed 0")
    grid = np.reshape(figure.axes, (2, 4))
    assert [axes.get_title() for axes in grid[0]] == ["image", "people", "before", "after"]
    assert [axes.get_xlabel() for axes in grid[1]] == ["", "", "Spearman -0.50", "Spearman nan"]
    for row in range(2):
        shown = [axes.get_images()[0] for axes in grid[row]]
        wanted = [IMAGES[row], HUMAN[row], SALIENCY["before"][row], SALIENCY["after"][row]]
        for picture, part in zip(shown, wanted, strict=True):
            np.testing.assert_array_equal(picture.get_array(), part)
        low, high = shown[1].get_clim()
        assert (low, high) == (HUMAN[row].min(), np.percentile(HUMAN[row], 99))


def test_the_same_figure_has_the_same_bytes() -> None:
    files = []
    for _ in range(2):
        file = BytesIO()
        saliency_figure(IMAGES, HUMAN, SALIENCY, CORRELATION, "model", "note").savefig(file, dpi=40)
        files.append(file.getvalue())
    assert files[0] == files[1]


def test_rows_are_drawn_by_the_seed() -> None:
    rows = chosen_rows(50, 6, seed=1)
    assert len(set(rows.tolist())) == 6
    assert (np.diff(rows) > 0).all()
    assert rows.max() < 50
    np.testing.assert_array_equal(rows, chosen_rows(50, 6, seed=1))
    assert not np.array_equal(rows, chosen_rows(50, 6, seed=2))
    assert chosen_rows(3, 6).tolist() == [0, 1, 2]


def test_numbers_of_maps_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match="images 2, people 1, before 2, after 2"):
        saliency_figure(IMAGES, HUMAN[:1], SALIENCY, CORRELATION, "model", "note")
