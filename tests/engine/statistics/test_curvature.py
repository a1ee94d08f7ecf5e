import numpy as np
import pytest
from scipy.stats import linregress
from scipy.stats import t as students

from engine.errors import InputError
from engine.statistics.curvature import curvature


def bent(noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Rises by 2 per unit up to 71.5, falls by 1 after it."""
    rng = np.random.default_rng(0)
    x = np.round(rng.uniform(50, 90, 40), 1)
    return x, 2 * (x - 60) - 3 * np.maximum(x - 71.5, 0) + noise * rng.normal(size=40)


def test_line_and_parabola_are_numpys_and_f_is_the_squared_t_of_the_quadratic_term() -> None:
    x, y = bent(6.0)
    found = curvature(x, y)
    fits = {degree: np.polyfit(x, y, degree)[::-1] for degree in (1, 2)}
    np.testing.assert_allclose(found.line, fits[1], rtol=1e-9)
    np.testing.assert_allclose(found.parabola, fits[2], rtol=1e-8)
    assert abs(found.vertex + fits[2][1] / (2 * fits[2][2])) < 1e-6
    assert abs(found.line[1] - linregress(x, y).slope) < 1e-10
    columns = np.vander(x - x.mean(), 3)
    beta, rss = np.linalg.lstsq(columns, y, rcond=None)[:2]
    t = beta[0] / np.sqrt(rss[0] / 37 * np.linalg.inv(columns.T @ columns)[0, 0])
    np.testing.assert_allclose([found.f, found.p], [t**2, 2 * students.sf(abs(t), 37)], rtol=1e-8)


@pytest.mark.parametrize("noise", [0.5, 6.0, 30.0])
def test_the_two_lines_are_better_than_those_of_any_breakpoint_tried(noise: float) -> None:
    x, y = bent(noise)
    found = curvature(x, y)
    places = np.unique(x)
    least, at = np.inf, np.nan
    for place in np.linspace(places[2], places[-3], 20_001):
        columns = np.stack([np.ones(40), x, np.maximum(x - place, 0)], axis=1)
        residual = y - columns @ np.linalg.solve(columns.T @ columns, columns.T @ y)
        if residual @ residual < least:
            least, at = float(residual @ residual), place
    rss = 40 * np.exp((found.bic[2] - 4 * np.log(40)) / 40)
    assert rss <= least * (1 + 1e-9)
    assert rss > least * (1 - 1e-4)  # the grid is 0.002 apart
    assert abs(found.breakpoint - at) < 0.01


def test_shapes_are_told_apart() -> None:
    x, y = bent(0.5)
    found = curvature(x, y)
    assert found.best == "segments"
    np.testing.assert_allclose([found.breakpoint, found.slope_before, found.slope_after], [71.5, 2, -1], atol=0.1)
    noise = np.random.default_rng(3).normal(size=40)
    assert curvature(x, 2 * x + noise).best == "line"
    arch = curvature(x, noise - (x - 70) ** 2)
    assert arch.best == "parabola"
    assert abs(arch.vertex - 70) < 0.2
    assert arch.p < 1e-10


def test_bic_counts_coefficients() -> None:
    x, y = bent(6.0)
    residual = y - np.polyval(np.polyfit(x, y, 1), x)
    assert abs(curvature(x, y).bic[0] - (40 * np.log(residual @ residual / 40) + 2 * np.log(40))) < 1e-9


def test_five_models_are_too_few() -> None:
    with pytest.raises(InputError, match="5 of 5 models"):
        curvature(np.arange(5.0), np.arange(5.0) ** 2)
