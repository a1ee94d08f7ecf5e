"""Where people looked, as a map: fixated points blurred with a Gaussian."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from engine.errors import InputError

_COLUMNS = ("x", "y", "weight")


def fixation_map(points: np.ndarray, height: int, width: int, sigma: float) -> np.ndarray:
    """Sum of the points' weights in each pixel, blurred.

        map = G_sigma * sum over points of weight at the pixel that holds (x, y)

    Equals ``scipy.ndimage.gaussian_filter`` of the counts, with nothing outside the picture. A Gaussian of one degree
    of visual angle (the width of the fovea) is customary. Cost 8 sigma height width multiplications.

    Args:
        points: points x 3: x to the right, y downwards, in pixels from the picture's upper left corner, so that the
            first pixel goes from 0 to 1; weight, not negative. Points outside are left out.
        height, width: of the picture.
        sigma: standard deviation in pixels.

    Returns:
        height x width, float32; zeros if no point lies in the picture.
    """
    inside = points[inside_picture(points, height, width)]
    counts = np.zeros((height, width))
    # A point on the lower or right edge belongs to the last pixel.
    rows = np.minimum(inside[:, 1].astype(np.intp), height - 1)
    columns = np.minimum(inside[:, 0].astype(np.intp), width - 1)
    np.add.at(counts, (rows, columns), inside[:, 2])
    return gaussian_filter(counts, sigma, mode="constant").astype(np.float32)


def inside_picture(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Of each point, whether it lies in the picture, its edges included."""
    x, y = points[:, 0], points[:, 1]
    inside: np.ndarray = (x >= 0) & (x <= width) & (y >= 0) & (y <= height)
    return inside


def read_points(path: Path) -> np.ndarray:
    """Points of a CSV file with the columns x, y and, if wanted, weight (otherwise each weighs 1).

    Returns:
        points x 3, float64, as `fixation_map` takes them.

    Raises:
        InputError: names the file, and the column or line that is not so.
    """
    try:
        table = pd.read_csv(path, dtype=str, skipinitialspace=True)
    except (OSError, ValueError) as error:  # pandas' own errors of parsing are ValueErrors
        raise InputError(f"cannot read the fixations {path}: {error}") from error
    table.columns = table.columns.str.strip()
    if list(table.columns) not in (list(_COLUMNS[:2]), list(_COLUMNS)):
        raise InputError(
            f"the fixations {path} have columns {', '.join(map(str, table.columns))}; wanted x,y or x,y,weight "
            "(the first line names them)"
        )
    if "weight" not in table:
        table["weight"] = "1"
    points = table.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64).reshape(-1, 3)
    wrong = ~np.isfinite(points).all(axis=1) | (points[:, 2] < 0)
    if wrong.any():
        line = int(wrong.argmax())
        raise InputError(
            f"the fixations {path}, line {line + 2}: {','.join(map(str, table.iloc[line]))}; wanted numbers x,y and a "
            "weight that is not negative"
        )
    return points
