import numpy as np
import pytest
from scipy.stats import bootstrap, pearsonr, spearmanr

from engine.errors import InputError
from engine.statistics.trend import pareto_front, trend


def models() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    accuracy = np.round(rng.uniform(50, 90, 35))  # with ties
    return accuracy, 0.01 * accuracy + 0.1 * rng.normal(size=35)


def test_correlations_are_scipys() -> None:
    accuracy, score = models()
    found = trend(np.append(accuracy, [60, np.nan]), np.append(score, [np.nan, 0.5]))
    assert abs(found.pearson - pearsonr(accuracy, score).statistic) < 1e-14
    assert abs(found.spearman - spearmanr(accuracy, score).statistic) < 1e-14
    assert found.models == 35


def test_intervals_are_scipys_for_the_same_draws() -> None:
    accuracy, score = models()
    found = trend(accuracy, score, resamples=400, seed=3)
    intervals = ((found.pearson_low, found.pearson_high), (found.spearman_low, found.spearman_high))
    for of, got in zip((pearsonr, spearmanr), intervals, strict=True):
        wanted = bootstrap(
            (accuracy, score),
            lambda x, y, of=of: of(x, y).statistic,
            paired=True,
            vectorized=False,
            method="percentile",
            n_resamples=400,
            rng=3,
        ).confidence_interval
        np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_pareto_front_is_who_is_not_surpassed() -> None:
    rng = np.random.default_rng(0)
    accuracy, score = rng.integers(0, 12, (2, 60)).astype(float)
    accuracy[7], score[8] = np.nan, np.nan
    found = pareto_front(accuracy, score)
    wanted = [
        i
        for i in range(60)
        if np.isfinite(accuracy[i] + score[i])
        and not any(
            accuracy[j] >= accuracy[i] and score[j] >= score[i] and (accuracy[j] > accuracy[i] or score[j] > score[i])
            for j in range(60)
        )
    ]
    assert sorted(found.tolist()) == wanted
    assert (np.diff(accuracy[found]) >= 0).all()
    twins = pareto_front(np.array([1.0, 2, 2, 3]), np.array([3.0, 2, 2, 1]))
    np.testing.assert_array_equal(np.sort(twins), [0, 1, 2, 3])


def test_too_few_models_are_refused() -> None:
    with pytest.raises(InputError, match="2 of 3 models"):
        trend(np.array([1.0, 2, np.nan]), np.array([1.0, 2, 3]))
