"""Intervals of a trend's bends, and of who stands on its front, over resampled models, neuroids or stimuli.

The fits of ``curvature`` depend on the models through sums of w, w z, ... w z⁴, w y, w z y, w z² y and w y², with w how
often a model was drawn. For the two lines these are needed on either side of every candidate, which are running sums
over the models by accuracy. So all candidates of all resamples are solved together: for R resamples of n models some
400 R n flops, in blocks of resamples of about ``BLOCK`` bytes.
"""

from typing import NamedTuple

import numpy as np

from engine.errors import InputError
from engine.statistics.bootstrap import draws, interval
from engine.statistics.curvature import SIDE
from engine.statistics.trend import complete, pareto_front

BLOCK = 2**26
POWERS = 5  # 1, z, ... z⁴


class CurvatureIntervals(NamedTuple):
    """95 % percentile bootstrap intervals, (low, high) each, of what ``Curvature`` calls so.

    Attributes:
        quadratic: coefficient of the parabola.
        vertex: very wide where the parabola is nearly straight.
        breakpoint, slope_before, slope_after: of the two lines.
        resamples: how many have enough different accuracies for all fits.
    """

    quadratic: tuple[float, float]
    vertex: tuple[float, float]
    breakpoint: tuple[float, float]
    slope_before: tuple[float, float]
    slope_after: tuple[float, float]
    resamples: int


def curvature_intervals(
    accuracy: np.ndarray, score: np.ndarray, *, resamples: int = 2000, seed: int = 0
) -> CurvatureIntervals:
    """Bootstrap over models of ``engine.statistics.curvature.curvature``.

    Equals refitting it to each resample's models, repeated as often as they were drawn. Models of one family are not
    independent, which makes the intervals too narrow; choose one of each where it matters.

    Args:
        accuracy, score: models; a model with NaN in either is left out.
        resamples, seed: of the bootstrap.

    Raises:
        InputError: fewer than six different accuracies, or too few of them in more than half of the resamples.
    """
    x, y = complete(accuracy, score, 2 * SIDE)
    places = len(np.unique(x))
    if places < 2 * SIDE:
        raise InputError(f"{places} different accuracies; two lines need {2 * SIDE} or more")
    found = refitted(draws(len(x), resamples=resamples, seed=seed), x, y)
    usable = int(np.isfinite(found).all(axis=1).sum())
    if 2 * usable < resamples:
        raise InputError(
            f"{usable} of {resamples} resamples of {len(x)} models have {2 * SIDE} different accuracies, which two "
            "lines need; gather more models"
        )
    low, high = interval(found)
    pairs = [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    return CurvatureIntervals(pairs[0], pairs[1], pairs[2], pairs[3], pairs[4], usable)


def front_share(accuracy: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """In what share of the resamples each model is on the Pareto front.

    Args:
        accuracy: models.
        scores: resamples x models, such as medians over resampled neuroids (``engine.statistics.bootstrap.centres``),
            the same neuroids for all models; a model with NaN is not on the front of that resample.
    """
    accuracy, scores = np.asarray(accuracy, np.float64), np.asarray(scores, np.float64)
    if scores.ndim != 2 or scores.shape[1:] != accuracy.shape or not len(scores):
        raise InputError(
            f"wanted an accuracy per model and scores of resamples x models, got shapes {accuracy.shape} and "
            f"{scores.shape}"
        )
    counts = np.zeros(len(accuracy))
    for each in scores:
        counts[pareto_front(accuracy, each)] += 1
    return counts / len(scores)


def refitted(counts: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Quadratic coefficient, vertex, breakpoint, slope before and after of every resample: resamples x 5.

    NaN where fewer than six different accuracies were drawn, and for the vertex of a straight parabola.

    Args:
        counts: resamples x models.
        x, y: models, finite.
    """
    middle, unit = x.mean(), x.std()
    level = y.mean()
    places, at = np.unique((x - middle) / unit, return_inverse=True)
    z, height = places[at], y - level
    terms = np.stack([*(z**power for power in range(POWERS)), height, z * height, z * z * height, height**2])
    # Models of one accuracy together: places x (terms x models).
    grouped = np.zeros((len(places), len(x)))
    grouped[at, np.arange(len(x))] = 1
    found = np.empty((len(counts), 5))
    step = max(1, BLOCK // (8 * 40 * len(places)))
    for start in range(0, len(counts), step):
        weights = counts[start : start + step].astype(np.float64)
        sums = np.einsum("rm,tm,pm->rtp", weights, terms, grouped, optimize=True)
        drawn = weights @ grouped.T > 0
        found[start : start + step] = _fits(sums, drawn, places)
    found[:, 0] /= unit**2
    found[:, 1:3] = middle + unit * found[:, 1:3]
    found[:, 3:] /= unit
    return found


def _fits(sums: np.ndarray, drawn: np.ndarray, places: np.ndarray) -> np.ndarray:
    """``refitted`` in units of z, from resamples x terms x places."""
    until = np.cumsum(drawn, axis=1)
    total = until[:, -1:]
    below = np.cumsum(sums, axis=2)
    whole = below[:, :, -1:]
    above = whole - below
    found = np.full((len(sums), 5), np.nan)
    enough = total[:, 0] >= 2 * SIDE
    found[enough, :2] = _parabola(whole[enough, :, 0])
    # Where the lines may meet: places with SIDE different drawn ones at or on either side.
    inside = drawn & (until >= SIDE) & (total - until + 1 >= SIDE)
    following = np.minimum.accumulate(np.where(inside, places, np.inf)[:, ::-1], axis=1)[:, ::-1]
    following = np.concatenate([following[:, 1:], np.full((len(sums), 1), np.inf)], axis=1)
    at_place = _hinged(whole, above, places, inside & enough[:, None])
    between = _apart(below, above, places, following, inside & np.isfinite(following) & enough[:, None])
    both = np.concatenate([at_place, between], axis=2)
    best = np.where(np.isnan(both[0]), np.inf, both[0]).argmin(axis=1) if both.shape[1] else np.zeros(0, int)
    chosen = both[1:, np.arange(len(sums)), best].T
    found[enough, 2:] = chosen[enough]
    return found


def _parabola(sums: np.ndarray) -> np.ndarray:
    """Quadratic coefficient and vertex from resamples x terms."""
    powers = np.add.outer(np.arange(3), np.arange(3))
    _, slope, square = np.linalg.solve(sums[:, powers], sums[:, 5:8, None])[:, :, 0].T
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = -slope / (2 * square)
    return np.stack([square, np.where(np.isfinite(vertex), vertex, np.nan)], axis=1)


def _hinged(whole: np.ndarray, above: np.ndarray, places: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Residual sum of squares, breakpoint and slopes of lines that meet at a place: 4 x resamples x places."""
    n, z, zz, y, zy = (above[:, term] for term in (0, 1, 2, 5, 6))
    hinge = z - places * n  # sums over models above the place of max(z - place, 0), ...
    with_z = zz - places * z
    squared = zz - 2 * places * z + places**2 * n
    with_y = zy - places * y
    one = np.broadcast_to(whole, (*whole.shape[:2], len(places)))
    matrix = np.stack(
        [
            np.stack([one[:, 0], one[:, 1], hinge], axis=-1),
            np.stack([one[:, 1], one[:, 2], with_z], axis=-1),
            np.stack([hinge, with_z, squared], axis=-1),
        ],
        axis=-2,
    )
    right = np.stack([one[:, 5], one[:, 6], with_y], axis=-1)
    matrix = np.where(allowed[..., None, None], matrix, np.eye(3))
    solved = np.linalg.solve(matrix, right[..., None])[..., 0]
    rss = np.where(allowed, one[:, 8] - (solved * right).sum(axis=-1), np.nan)
    return np.stack([rss, np.broadcast_to(places, rss.shape), solved[..., 1], solved[..., 1] + solved[..., 2]])


def _apart(
    below: np.ndarray, above: np.ndarray, places: np.ndarray, following: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    """The same of lines fitted to either side that meet between a place and the one that follows it."""
    (a, b, rss_below), (c, d, rss_above) = (_line(side, allowed) for side in (below, above))
    with np.errstate(divide="ignore", invalid="ignore"):
        meeting = (a - c) / (d - b)
    fits = allowed & (meeting >= places) & (meeting <= following)
    return np.stack([np.where(fits, rss_below + rss_above, np.nan), np.where(fits, meeting, np.nan), b, d])


def _line(sums: np.ndarray, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Intercept, slope and residual sum of squares from sums on one side, resamples x terms x places."""
    n, z, zz, y, zy, yy = (np.where(allowed, sums[:, term], 1.0) for term in (0, 1, 2, 5, 6, 8))
    spread = np.where(allowed, zz - z * z / n, 1.0)
    across = zy - z * y / n
    slope = across / spread
    return (y - slope * z) / n, slope, yy - y * y / n - slope * across
