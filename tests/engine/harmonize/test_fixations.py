from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from engine.harmonize.fixations import fixation_map, read_points


def test_the_map_is_a_sum_of_gaussians() -> None:
    """Far from the edges: against the Gaussian itself, at the middles of the pixels that the points lie in."""
    points = np.array([[30.2, 25.9, 1], [42.7, 31.0, 2.5], [30.9, 25.1, 1]])
    rows, columns = np.mgrid[:60, :70] + 0.5
    sigma = 3.0
    wanted = sum(
        weight * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
        for x, y, weight in ((30.5, 25.5, 2), (42.5, 31.5, 2.5))
    )
    found = fixation_map(points, 60, 70, sigma)
    assert (found.shape, found.dtype) == ((60, 70), np.float32)
    # SciPy's Gaussian ends at four standard deviations, where it is 3e-4 of its peak.
    np.testing.assert_allclose(found, wanted, atol=4e-4 * wanted.max())


def test_points_on_the_edges_count_and_those_outside_do_not() -> None:
    corners = np.array([[0, 0, 1], [20, 10, 1], [0, 10, 1], [20, 0, 1]])
    found = fixation_map(corners, 10, 20, 0.1)  # so narrow that each stays in its pixel
    wanted = np.zeros((10, 20))
    wanted[[0, -1, -1, 0], [0, -1, 0, -1]] = 1
    np.testing.assert_array_equal(found, wanted)
    outside = np.array([[-0.1, 5, 1], [20.1, 5, 1], [5, -3, 1], [5, 10.01, 1]])
    assert (fixation_map(outside, 10, 20, 1.0) == 0).all()


def test_tables_of_points(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1.5,2\n3,4e1\n")
    np.testing.assert_array_equal(read_points(path), [[1.5, 2, 1], [3, 40, 1]])
    path.write_text("x, y, weight\n1,2,0.5\n")
    np.testing.assert_array_equal(read_points(path), [[1, 2, 0.5]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "have columns a, b; wanted x,y or x,y,weight"),
        ("1,2\n3,4\n", "have columns 1, 2; wanted"),
        ("x,y\n1,2\nleft,3\n", "line 3: left,3,1; wanted numbers"),
        ("x,y\n1,nan\n", "line 2"),
        ("x,y,weight\n1,2,-1\n", "line 2: 1,2,-1"),
        ("", r"cannot read the fixations .*a\.csv"),
        ("x,y\n1,2\n1,2,3,4\n", "cannot read the fixations"),
    ],
)
def test_tables_that_are_not_so_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_points(tmp_path / "a.csv")
