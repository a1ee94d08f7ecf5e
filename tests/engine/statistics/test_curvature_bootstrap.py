import numpy as np
import pytest

from engine.errors import InputError
from engine.statistics.bootstrap import draws
from engine.statistics.curvature import curvature
from engine.statistics.curvature_bootstrap import curvature_intervals, front_share, refitted
from engine.statistics.trend import pareto_front


def models(count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Scores that rise and then fall, some accuracies alike."""
    rng = np.random.default_rng(3)
    accuracy = np.round(rng.uniform(50, 85, count))
    return accuracy, 0.3 + 0.01 * np.minimum(accuracy, 70) - 0.004 * accuracy + 0.008 * rng.standard_normal(count)


def test_every_resample_equals_a_refit_of_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.statistics.curvature_bootstrap.BLOCK", 2**18)  # several blocks of resamples
    x, y = models()
    counts = draws(len(x), resamples=100, seed=1)
    found = refitted(counts, x, y)
    for count, ours in zip(counts, found, strict=True):
        one = curvature(np.repeat(x, count), np.repeat(y, count))
        wanted = [one.parabola[2], one.vertex, one.breakpoint, one.slope_before, one.slope_after]
        # Normal equations in place of a factorisation of the models.
        assert ours == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_intervals_are_percentiles_over_the_resamples() -> None:
    x, y = models()
    found = curvature_intervals(np.append(x, np.nan), np.append(y, 1.0), resamples=300, seed=2)
    each = refitted(draws(len(x), resamples=300, seed=2), x, y)
    assert np.transpose(found[:5]) == pytest.approx(np.percentile(each, [2.5, 97.5], axis=0))
    assert found.resamples == 300
    assert found.slope_before[0] > 0 > found.slope_after[1]
    assert found.quadratic[1] < 0


def test_resamples_with_too_few_accuracies_are_left_out_and_too_many_of_them_refused() -> None:
    x, y = models(8)
    x = np.arange(8.0)
    counts = np.array([[8, 0, 0, 0, 0, 0, 0, 0], [3, 1, 1, 1, 2, 0, 0, 0], [1, 2, 1, 1, 2, 1, 0, 0]])
    assert np.isnan(refitted(counts, x, y)).all(axis=1).tolist() == [True, True, False]
    with pytest.raises(InputError, match="of 200 resamples of 6 models have 6 different accuracies"):
        curvature_intervals(x[:6], y[:6], resamples=200)
    with pytest.raises(InputError, match="5 different accuracies"):
        curvature_intervals(np.array([0.0, 1, 2, 3, 4, 4]), y[:6])


def test_share_of_resamples_on_the_front() -> None:
    accuracy = np.array([50.0, 60.0, 70.0, 80.0])
    scores = np.array([[0.5, 0.4, 0.3, 0.2], [0.1, 0.4, 0.3, 0.2], [0.1, 0.2, np.nan, 0.3]])
    assert front_share(accuracy, scores) == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1])
    on_front = pareto_front(accuracy, scores[0])
    assert (front_share(accuracy, scores[:1])[on_front] == 1).all()
    with pytest.raises(InputError, match="resamples x models"):
        front_share(accuracy, scores[0])
