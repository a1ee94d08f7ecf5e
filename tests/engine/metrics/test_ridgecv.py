"""Ridge with one penalty for all neuroids against scikit-learn's RidgeCV and Brain-Score."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from engine.metrics import ridge, ridgecv
from engine.metrics.aggregate import brain_score
from engine.metrics.ridgecv import brain_score_penalties, score_layer
from engine.splits import kfold
from tests.engine.metrics.brain_score import case, correlations, summary

STIMULI = 72
SPLITS = kfold(STIMULI, folds=4, seed=0)
SETTINGS = ridgecv.RidgeCV((1e-3, 0.1, 1.0, 10.0, 100.0, 1e3))


def data(units: int = 150, neuroids: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STIMULI, units)) * np.geomspace(3, 0.3, units) + 4
    y = x @ rng.normal(size=(units, neuroids))
    return x, y * np.geomspace(1, 0.1, neuroids) + 4 * rng.normal(size=(STIMULI, neuroids)) + 2


@pytest.mark.parametrize("units", [12, 150])
def test_equals_scikit_learn(units: int) -> None:
    x, y = data(units)
    found = score_layer(summary(x), y, SPLITS, SETTINGS)
    for fold, split in enumerate(SPLITS):
        model = RidgeCV(SETTINGS.penalties).fit(x[split.train], y[split.train])
        assert (found.details["penalty"][fold] == model.alpha_).all()
        wanted = correlations(model.predict(x[split.test]), y[split.test])
        np.testing.assert_allclose(found.value[fold], wanted, atol=1e-9)


def test_selection_is_the_r2_of_leave_one_out() -> None:
    x, y = data()
    found = score_layer(summary(x), y, SPLITS, SETTINGS)
    for fold, split in enumerate(SPLITS):
        a, b = x[split.train], y[split.train]
        left = np.empty_like(b)
        for one in range(len(a)):
            model = Ridge(found.details["penalty"][fold, 0]).fit(np.delete(a, one, 0), np.delete(b, one, 0))
            left[one] = model.predict(a[one : one + 1])[0]
        wanted = 1 - ((b - left) ** 2).mean(axis=0) / b.var(axis=0)
        np.testing.assert_allclose(found.selection[fold], wanted, atol=1e-9)


def test_the_penalties_of_brain_score() -> None:
    penalties = np.array(brain_score_penalties())
    assert len(penalties) == 99
    assert (np.diff(penalties) > 0).all()
    assert penalties[[0, 3, 4, 8, 26, 44, 62, 80, 98]].tolist() == [0.01, 1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7]
    assert penalties[[5, 9, 27, 97]].tolist() == [32.5, 150, 1500, 9.5e6]


def test_equals_brain_score(shared: Path) -> None:
    own = case(shared)
    found = score_layer(summary(own.features), own.responses, own.splits[10:], ridgecv.RidgeCV())
    assert (found.details["penalty"] == 32.5).all()
    for name in ("ridgecv_split", "dual_ridgecv_split"):
        value, penalty = own.expected[name]
        assert abs(brain_score(found.value)[0] - value) < 1e-6
        assert found.details["penalty"][0, 0] == penalty


def test_ridge_at_penalty_1_equals_brain_score(shared: Path) -> None:
    own = case(shared)
    settings = ridge.Ridge((1.0,), relative=False, select="pearson", choose="neuroid")
    regions = ["IT"] * own.responses.shape[1]
    value = ridge.score_layer(summary(own.features), own.responses, regions, own.splits, settings).value
    np.testing.assert_allclose(brain_score(value[:10]), own.expected["ridge"], atol=1e-6)
    for name in ("ridge_split", "dual_ridge_split"):
        assert abs(brain_score(value[10:])[0] - own.expected[name][0]) < 1e-6


def test_missing_responses_share_the_penalty_of_the_others() -> None:
    x, y = data()
    y[3:9, 0] = np.nan
    there = np.isfinite(y[:, 0])
    found = score_layer(summary(x), y, SPLITS, SETTINGS)
    for fold, split in enumerate(SPLITS):
        errors = np.zeros(len(SETTINGS.penalties))
        for own, columns in ((split.train[there[split.train]], slice(0, 1)), (split.train, slice(1, None))):
            model = RidgeCV(SETTINGS.penalties, alpha_per_target=True, store_cv_results=True).fit(
                x[own], y[own, columns]
            )
            errors += model.cv_results_.mean(axis=0).sum(axis=0)
        penalty = SETTINGS.penalties[errors.argmin()]
        assert (found.details["penalty"][fold] == penalty).all()
        train, test = split.train[there[split.train]], split.test[there[split.test]]
        wanted = correlations(Ridge(penalty).fit(x[train], y[train, :1]).predict(x[test])[:, None], y[test, :1])
        np.testing.assert_allclose(found.value[fold, :1], wanted, atol=1e-9)


def test_tiny_penalties_on_a_float32_gram_matrix_are_solved_and_told() -> None:
    x, _ = data(12)
    y = x @ np.random.default_rng(2).normal(size=(12, 6))  # no noise: the smallest penalty wins
    own = summary(1e3 * x, np.float32)
    found = score_layer(own, y, SPLITS, SETTINGS._replace(penalties=(1e-6, 1e9)))
    assert (found.value > 0.9999).all()
    assert len(found.notes) == 1
    assert found.notes[0].startswith("in 4 of 4 splits the penalty that was chosen lies below the resolution")


def test_constant_neuroids_have_no_score() -> None:
    x, y = data()
    y[:, 1] = 1 / 3
    found = score_layer(summary(x), y, SPLITS, SETTINGS)
    for values in (found.value, found.selection):
        assert np.isnan(values).any(axis=0).nonzero()[0].tolist() == [1]
