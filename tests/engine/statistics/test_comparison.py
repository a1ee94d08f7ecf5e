import numpy as np
import pytest
from scipy.stats import bootstrap, false_discovery_control, permutation_test, wilcoxon

from engine.errors import InputError
from engine.statistics.comparison import benjamini_hochberg, compare_models


def table(neuroids: int) -> np.ndarray:
    """Three models x neuroids x 4 folds."""
    rng = np.random.default_rng(0)
    return (
        np.array([0.0, 0.3, 0.35])[:, None, None] + rng.normal(size=(3, neuroids, 4)) + rng.normal(size=(neuroids, 1))
    )


def test_with_few_neuroids_p_is_scipys_exact_one() -> None:
    scores = table(9)
    found = compare_models(scores)
    means = scores.mean(axis=2)
    for i in range(3):
        for j in range(3):
            if i == j:
                continue
            test = permutation_test(
                (means[i] - means[j],), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
            )
            assert abs(found.p[i, j] - test.pvalue) < 1e-12
            assert abs(found.difference[i, j] - test.statistic) < 1e-12
            assert found.wilcoxon[i, j] == wilcoxon(means[i], means[j]).pvalue
    np.testing.assert_array_equal(np.diag(found.p), 1)
    pairs = np.triu_indices(3, 1)
    np.testing.assert_allclose(found.q[pairs], false_discovery_control(found.p[pairs]), rtol=1e-14)
    np.testing.assert_array_equal(found.q, found.q.T)


def test_with_many_neuroids_p_and_interval_are_scipys_up_to_the_draws() -> None:
    scores = table(60)
    found = compare_models(scores, resamples=20_000)
    difference = (scores[1] - scores[0]).mean(axis=1)
    test = permutation_test((difference,), np.mean, permutation_type="samples", n_resamples=20_000, rng=5)
    reach = 5 * np.sqrt(test.pvalue / 20_000)  # five standard errors of a share
    assert 0.001 < test.pvalue < 0.2
    assert abs(found.p[1, 0] - test.pvalue) < reach
    reference = bootstrap((difference,), np.mean, method="percentile", n_resamples=20_000, rng=6).confidence_interval
    # The ends of two sets of 20,000 draws differ by some 2 % of the standard error, which is a fourth of the width.
    width = reference.high - reference.low
    np.testing.assert_allclose([found.low[1, 0], found.high[1, 0]], reference, atol=0.02 * width)
    np.testing.assert_allclose(found.low, -found.high.T, atol=1e-12)


def test_folds_and_neuroids_that_any_model_lacks_are_left_out_of_all() -> None:
    scores = table(9)
    scores[1, 2, 0] = np.nan
    scores[2, 5] = np.nan
    found = compare_models(scores)
    assert found.neuroids == 8
    kept = np.delete(scores, 5, axis=1)
    kept[:, 2, 0] = np.nan
    means = np.nanmean(kept, axis=2).mean(axis=1)
    np.testing.assert_allclose(found.difference, means[:, None] - means, atol=1e-14)


def test_models_that_never_differ_are_not_told_apart() -> None:
    scores = np.repeat(table(9)[:1], 2, axis=0)
    found = compare_models(scores)
    np.testing.assert_array_equal([found.p, found.q, found.wilcoxon], np.ones((3, 2, 2)))
    np.testing.assert_array_equal([found.difference, found.low, found.high], np.zeros((3, 2, 2)))


def test_benjamini_hochberg_is_scipys() -> None:
    p = np.random.default_rng(0).random((7, 6)) ** 3
    p[1, :2] = p[0, 0]
    np.testing.assert_allclose(benjamini_hochberg(p).ravel(), false_discovery_control(p.ravel()), rtol=1e-14)
    gaps = p.copy()
    gaps[3, 4] = np.nan
    tested = np.isfinite(gaps)
    np.testing.assert_allclose(benjamini_hochberg(gaps)[tested], false_discovery_control(p[tested]), rtol=1e-14)
    assert np.isnan(benjamini_hochberg(gaps)[3, 4])


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="2 or more models"):
        compare_models(table(9)[:1])
    with pytest.raises(InputError, match="0 of 9 neuroids"):
        compare_models(np.full((2, 9), np.nan))
