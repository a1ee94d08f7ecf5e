"""Whether a trend flattens or turns: a line against a parabola and against two joined lines, by least squares."""

from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import f as fisher

from engine.errors import InputError
from engine.statistics.trend import complete

SIDE = 3  # different accuracies at or beyond the breakpoint on either side, fewer would fit single models


class Curvature(NamedTuple):
    """Three fits to score against accuracy.

    A trend flattens where ``slope_after`` is near nought and ``slope_before`` is not; it is an inverted U where
    ``slope_after`` is negative, or the parabola opens downwards with its vertex within the models.

    Attributes:
        line: intercept, slope.
        parabola: intercept, linear and quadratic coefficient.
        vertex: accuracy at which the parabola turns; NaN for a straight one.
        f, p: of the quadratic term, 1 and n - 3 degrees of freedom.
        breakpoint: accuracy at which the two lines meet.
        slope_before, slope_after: of the two lines.
        bic: of line, parabola and two lines.
        best: that of the lowest BIC.
        models: how many have both numbers.
    """

    line: np.ndarray
    parabola: np.ndarray
    vertex: float
    f: float
    p: float
    breakpoint: float
    slope_before: float
    slope_after: float
    bic: np.ndarray
    best: Literal["line", "parabola", "segments"]
    models: int


def curvature(accuracy: np.ndarray, score: np.ndarray) -> Curvature:
    """Fits all three and compares them.

    Line and parabola equal ``numpy.polyfit``, F its comparison of residual sums of squares (the squared t of the
    quadratic term). The two lines are the exact least-squares solution over all breakpoints (Hudson, J. Am. Stat.
    Assoc. 1966) that leave three different accuracies on either side. BIC is n log(RSS / n) + k log n with k = 2, 3
    and 4; the breakpoint has no F test, as it does not exist under the line (Davies, Biometrika 1987).

    Args:
        accuracy, score: models; a model with NaN in either is left out.

    Raises:
        InputError: fewer than six models with different accuracies.
    """
    x, y = complete(accuracy, score, 2 * SIDE)
    n, places = len(x), np.unique(x)
    if len(places) < 2 * SIDE:
        raise InputError(f"{len(places)} different accuracies; two lines need {2 * SIDE} or more")
    # In units around nought the powers of accuracies that are alike stay apart.
    middle, unit = x.mean(), x.std()
    z = (x - middle) / unit
    line, rss_line = _least_squares(np.stack([np.ones(n), z], axis=1), y)
    parabola, rss_parabola = _least_squares(np.stack([np.ones(n), z, z * z], axis=1), y)
    meeting, before, after, rss_segments = _segments(z, y)
    rss = np.array([rss_line, rss_parabola, rss_segments])
    with np.errstate(divide="ignore", invalid="ignore"):
        bic = n * np.log(rss / n) + np.array([2, 3, 4]) * np.log(n)
        f = (rss_line - rss_parabola) / (rss_parabola / (n - 3))
        vertex = middle - unit * parabola[1] / (2 * parabola[2])
    names: tuple[Literal["line", "parabola", "segments"], ...] = ("line", "parabola", "segments")
    return Curvature(
        np.array([line[0] - line[1] * middle / unit, line[1] / unit]),
        _in_accuracy(parabola, middle, unit),
        float(vertex) if np.isfinite(vertex) else float("nan"),
        float(f),
        float(fisher.sf(f, 1, n - 3)),
        float(middle + unit * meeting),
        before / unit,
        after / unit,
        bic,
        names[int(bic.argmin())],
        n,
    )


def _in_accuracy(parabola: np.ndarray, middle: float, unit: float) -> np.ndarray:
    """Coefficients in x of a + b z + c z², z = (x - middle) / unit."""
    a, b, c = parabola
    m, u = middle, unit
    return np.array([a - b * m / u + c * m * m / u**2, b / u - 2 * c * m / u**2, c / u**2])


def _least_squares(columns: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    found = np.linalg.lstsq(columns, y, rcond=None)[0]
    return found, float(((y - columns @ found) ** 2).sum())


def _segments(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float, float]:
    """Breakpoint, the slopes before and after it, and the residual sum of squares.

    With the models on either side given, the best two lines are those fitted separately if they meet in the gap
    between the sides; otherwise the best breakpoint is a model's accuracy. So trying both everywhere finds it.
    """
    places = np.unique(x)[SIDE - 1 : -SIDE + 1]
    found = []
    for place in places:
        columns = np.stack([np.ones(len(x)), x, np.maximum(x - place, 0)], axis=1)
        (_, slope, change), rss = _least_squares(columns, y)
        found.append((rss, float(place), float(slope), float(slope + change)))
    for left, right in pairwise(places):
        below = x <= left
        sides = [_least_squares(np.stack([np.ones(part.sum()), x[part]], axis=1), y[part]) for part in (below, ~below)]
        ((a, b), rss_below), ((c, d), rss_above) = sides
        if b != d and left <= (meeting := (a - c) / (d - b)) <= right:
            found.append((rss_below + rss_above, float(meeting), float(b), float(d)))
    rss, meeting, before, after = min(found)
    return meeting, before, after, rss
