import numpy as np
from scipy.stats import bootstrap

from engine.statistics import bootstrap_median


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
