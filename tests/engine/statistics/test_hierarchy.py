import numpy as np
import pytest
from scipy.stats import spearmanr

from engine.errors import InputError
from engine.statistics.hierarchy import hierarchy_index, relative_depth


def neuroids() -> tuple[np.ndarray, np.ndarray]:
    """Three regions of 25, 40 and 11 neuroids over 6 layers."""
    rng = np.random.default_rng(0)
    order = np.repeat([1.0, 2.0, 4.0], [25, 40, 11])
    return np.clip(np.round(order + rng.normal(size=76)), 0, 5) / 5, order


def test_rho_is_scipys() -> None:
    depth, order = neuroids()
    found = hierarchy_index(depth, order)
    assert abs(found.rho - spearmanr(depth, order).statistic) < 1e-14
    medians = [np.median(depth[order == place]) for place in (1, 2, 4)]
    np.testing.assert_array_equal(found.depths, medians)
    assert abs(found.region_rho - spearmanr(medians, [1, 2, 4]).statistic) < 1e-14
    np.testing.assert_array_equal(found.neuroids, [25, 40, 11])


def test_intervals_are_those_of_neuroids_resampled_within_their_region() -> None:
    depth, order = neuroids()
    found = hierarchy_index(depth, order, resamples=5000)
    rng = np.random.default_rng(1)
    rho, regions = [], []
    for _ in range(2000):
        drawn = np.concatenate([rng.choice(np.flatnonzero(order == p), (order == p).sum()) for p in (1, 2, 4)])
        rho.append(spearmanr(depth[drawn], order[drawn]).statistic)
        medians = [np.median(depth[drawn][order == p]) for p in (1, 2, 4)]
        regions.append(spearmanr(medians, [1, 2, 4]).statistic if np.ptp(medians) else np.nan)
    # Ends of 5000 and 2000 draws: a standard error of about 0.006 with a spread of 0.07.
    np.testing.assert_allclose([found.low, found.high], np.percentile(rho, [2.5, 97.5]), atol=0.02)
    np.testing.assert_allclose(
        [found.region_low, found.region_high], np.nanpercentile(regions, [2.5, 97.5]), atol=1e-12
    )


def test_relative_depth_is_the_place_of_the_best_layer() -> None:
    selection = np.array([[0.1, 0.5, np.nan, np.nan], [0.3, 0.5, np.nan, 0.2], [0.2, 0.1, np.nan, np.nan]])
    np.testing.assert_array_equal(relative_depth(selection), [0.5, 0.0, np.nan, 0.5])


def test_neuroids_without_a_depth_are_left_out() -> None:
    depth, order = neuroids()
    gaps = np.append(depth, np.nan), np.append(order, 2.0)
    assert hierarchy_index(*gaps).rho == hierarchy_index(depth, order).rho


def test_one_region_has_no_hierarchy() -> None:
    with pytest.raises(InputError, match="1 region"):
        hierarchy_index(np.array([0.1, 0.2]), np.ones(2))
