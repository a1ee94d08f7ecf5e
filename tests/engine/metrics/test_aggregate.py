import numpy as np
from scipy.stats import sem

from engine.metrics.aggregate import brain_score


def test_median_over_neuroids_then_mean_over_splits() -> None:
    value = np.random.default_rng(0).normal(size=(10, 7))
    score, error = brain_score(value)
    medians = [sorted(row)[3] for row in value]
    assert abs(score - sum(medians) / 10) < 1e-15
    assert abs(error - sem(medians, ddof=0)) < 1e-15


def test_neuroids_and_splits_without_a_score_are_left_out() -> None:
    nothing = float("nan")
    value = np.array([[1.0, 2.0, nothing], [nothing] * 3, [5.0, 6.0, 7.0]])
    assert brain_score(value) == (3.75, 2.25 / np.sqrt(2))
    assert np.isnan(brain_score(value[1:2])).all()
