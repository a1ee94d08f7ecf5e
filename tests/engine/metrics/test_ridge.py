import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge as Reference

from engine.errors import InputError
from engine.gram import Summary
from engine.metrics.ridge import Ridge, check, score_layer
from engine.splits import kfold

GRID = (1e-2, 1.0, 1e2)
SETTINGS = Ridge(GRID, relative=False, select="r2", choose="neuroid")


def summary(x: np.ndarray) -> Summary:
    centred = x - x.mean(axis=0)
    return Summary(centred @ centred.T, x.sum(axis=1), np.zeros(len(x)), 0.0, x.shape[1])


def data(stimuli: int = 60, units: int = 90, neuroids: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(stimuli, units))
    return x, x @ rng.normal(size=(units, neuroids)) / 9 + rng.normal(size=(stimuli, neuroids))


def refit(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, penalty: float) -> float:
    return float(pearsonr(Reference(penalty).fit(x[train], y[train]).predict(x[test]), y[test])[0])


def test_every_score_equals_a_refit_at_the_chosen_penalty() -> None:
    x, y = data()
    splits = kfold(60, folds=4, seed=0)
    found = score_layer(summary(x), y, ["V4"] * 6, splits, SETTINGS)
    for i, split in enumerate(splits):
        for j in range(6):
            wanted = refit(x, y[:, j], split.train, split.test, found.details["penalty"][i, j])
            assert abs(found.value[i, j] - wanted) < 1e-9


def test_missing_responses_equal_a_refit_without_those_stimuli() -> None:
    x, y = data()
    y[3:9, 0] = np.nan
    y[40:, 1] = np.nan
    splits = kfold(60, folds=4, seed=0)
    found = score_layer(summary(x), y, ["V4"] * 6, splits, SETTINGS)
    for j in (0, 1):
        present = np.isfinite(y[:, j])
        for i, split in enumerate(splits):
            train, test = split.train[present[split.train]], split.test[present[split.test]]
            assert abs(found.value[i, j] - refit(x, y[:, j], train, test, found.details["penalty"][i, j])) < 1e-9


def test_too_many_patterns_of_missing_responses_are_refused_with_the_reason() -> None:
    y = np.random.default_rng(0).normal(size=(100, 70))
    y[np.arange(70), np.arange(70)] = np.nan
    with pytest.raises(InputError, match="more than 64 different patterns"):
        check(y, kfold(100, folds=5, seed=0))


def test_penalties_are_shared_as_asked() -> None:
    x, y = data()
    splits = kfold(60, folds=4, seed=0)
    regions = ["V4", "IT", "V4", "IT", "IT", "V4"]
    by_region = score_layer(summary(x), y, regions, splits, SETTINGS._replace(choose="region")).details["penalty"]
    assert (by_region[:, [0, 2, 5]].min(axis=1) == by_region[:, [0, 2, 5]].max(axis=1)).all()
    assert (by_region[:, [1, 3, 4]].min(axis=1) == by_region[:, [1, 3, 4]].max(axis=1)).all()
    shared = score_layer(summary(x), y, regions, splits, SETTINGS._replace(choose="all")).details["penalty"]
    assert (shared.min(axis=1) == shared.max(axis=1)).all()


def test_relative_penalties_do_not_depend_on_the_scale_of_the_layer() -> None:
    x, y = data()
    splits = kfold(60, folds=4, seed=0)
    relative = SETTINGS._replace(relative=True)
    small = score_layer(summary(x), y, ["V4"] * 6, splits, relative)
    large = score_layer(summary(1000 * x), y, ["V4"] * 6, splits, relative)
    np.testing.assert_allclose(large.value, small.value, atol=1e-9)
    np.testing.assert_allclose(large.details["penalty"], 1e6 * small.details["penalty"], rtol=1e-9)


def test_penalties_below_the_resolution_of_float32_are_counted() -> None:
    x, y = data(units=200)
    y = x @ np.random.default_rng(3).normal(size=(200, 6))  # no noise: the smallest penalty wins
    splits = kfold(60, folds=4, seed=0)
    found = score_layer(summary(x), y, ["V4"] * 6, splits, SETTINGS._replace(penalties=(1e-12, 1e-11)))
    assert [note.split()[0] for note in found.notes] == ["24"]  # folds x neuroids
    assert score_layer(summary(x), y, ["V4"] * 6, splits, SETTINGS).notes == ()


def test_principal_components_are_fitted_on_each_splits_training_stimuli() -> None:
    x, y = data()
    splits = kfold(60, folds=3, seed=0)
    found = score_layer(summary(x), y, ["V4"] * 6, splits, SETTINGS._replace(components=8))
    for i, split in enumerate(splits):
        scores = PCA(8, svd_solver="full").fit(x[split.train]).transform(x)
        for j in range(6):
            wanted = refit(scores, y[:, j], split.train, split.test, found.details["penalty"][i, j])
            assert abs(found.value[i, j] - wanted) < 1e-9
