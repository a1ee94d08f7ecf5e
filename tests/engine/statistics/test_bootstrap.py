import numpy as np
import pytest
from scipy.stats import bootstrap

from engine.errors import InputError
from engine.statistics import bootstrap_median
from engine.statistics.bootstrap import Centre, centres, draws, interval


def test_interval_is_scipys_up_to_the_draws() -> None:
    values = np.random.default_rng(0).normal(size=80)
    low, high = bootstrap_median(values, resamples=20_000)
    reference = bootstrap((values,), np.median, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    # Two sets of 20,000 draws; the ends are order statistics about 0.03 apart.
    assert abs(low - reference.low) < 0.04
    assert abs(high - reference.high) < 0.04


def test_missing_values_are_left_out() -> None:
    values = np.random.default_rng(1).normal(size=30)
    assert bootstrap_median(np.append(values, [np.nan] * 5)) == bootstrap_median(values)


def test_one_value_has_no_interval() -> None:
    assert np.isnan(bootstrap_median(np.array([1.0]))).all()


def test_counts_and_interval_are_scipys_for_the_same_draws() -> None:
    values = np.random.default_rng(0).normal(size=(31, 1))
    low, high = interval(centres(draws(31, resamples=500, seed=4), values, "mean"))
    reference = bootstrap((values[:, 0],), np.mean, method="percentile", n_resamples=500, rng=4).confidence_interval
    np.testing.assert_allclose([low[0], high[0]], reference, rtol=1e-13)


@pytest.mark.parametrize("centre", ["mean", "median"])
def test_centres_equal_those_of_repeated_rows(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.statistics.bootstrap.BLOCK", 2**10)  # several blocks, the last one not full
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(size=(31, 4)), 1)  # with ties
    values[rng.random(values.shape) < 0.2] = np.nan
    values[:, 3] = np.nan
    counts = draws(31, resamples=70, seed=1)
    found = centres(counts, values, centre)
    for resample, count in zip(found, counts, strict=True):
        rows = np.repeat(values[:, :3], count, axis=0)
        wanted = np.nanmean(rows, axis=0) if centre == "mean" else np.nanmedian(rows, axis=0)
        np.testing.assert_allclose(resample[:3], wanted, atol=1e-14)
    assert np.isnan(found[:, 3]).all()


def test_clusters_are_drawn_whole() -> None:
    clusters = np.array(["a", "b", "b", "c", "b", "c"])
    counts = draws(6, resamples=50, clusters=clusters)
    single = draws(3, resamples=50)
    np.testing.assert_array_equal(counts, single[:, [0, 1, 1, 2, 1, 2]])
    assert (single.sum(axis=1) == 3).all()


def test_undefined_draws_are_left_out_of_an_interval_unless_they_are_most() -> None:
    values = np.arange(8.0)[:, None] * np.ones(2)
    values[:3, 0], values[:5, 1] = np.nan, np.nan
    low, high = interval(values, level=0.5)
    np.testing.assert_array_equal([low[0], high[0]], [4, 6])
    assert np.isnan([low[1], high[1]]).all()


def test_a_single_row_cannot_be_resampled() -> None:
    with pytest.raises(InputError, match="2 or more rows"):
        draws(1)
