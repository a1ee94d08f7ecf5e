import numpy as np
import pytest
from scipy.stats import pearsonr

from engine.errors import InputError
from engine.statistics.bootstrap import draws
from engine.statistics.bootstrap_stimuli import correlations


def test_correlations_equal_those_of_repeated_stimuli(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.statistics.bootstrap_stimuli.RESAMPLES", 16)
    monkeypatch.setattr("engine.statistics.bootstrap_stimuli.NEUROIDS", 2)
    rng = np.random.default_rng(0)
    measured = 20 + rng.normal(size=(45, 4))
    measured[7:11, 1] = np.nan
    tests = [np.arange(0, 20), np.arange(15, 45)]
    predictions = [np.nan_to_num(measured[test]) + rng.normal(size=(len(test), 4)) for test in tests]
    counts = draws(45, resamples=32)
    found = correlations(counts, predictions, measured, tests)
    for resample, count in zip(found, counts, strict=True):
        for j in range(4):
            r = []
            for predicted, test in zip(predictions, tests, strict=True):
                x, y = (np.repeat(each, count[test]) for each in (predicted[:, j], measured[test, j]))
                r.append(pearsonr(x[np.isfinite(y)], y[np.isfinite(y)])[0])
            assert abs(resample[j] - np.mean(r)) < 1e-12


def test_a_neuroid_whose_only_responses_are_not_drawn_has_no_score() -> None:
    measured = np.zeros((30, 1))
    measured[4] = 1.0
    counts = draws(30, resamples=200)
    found = correlations(counts, [np.random.default_rng(0).normal(size=(30, 1))], measured, [np.arange(30)])[:, 0]
    np.testing.assert_array_equal(np.isnan(found), counts[:, 4] == 0)


def test_predictions_must_fit_the_stimuli() -> None:
    with pytest.raises(InputError, match="do not fit"):
        correlations(draws(9), [np.zeros((4, 2))], np.zeros((9, 2)), [np.arange(5)])
