"""Partial least squares against scikit-learn and Brain-Score."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression

from engine.errors import InputError
from engine.metrics.aggregate import brain_score
from engine.metrics.pls import PLS, score_layer
from engine.splits import kfold
from tests.engine.metrics.brain_score import case, correlations, summary

STIMULI = 60
SPLITS = kfold(STIMULI, folds=4, seed=0)
SETTINGS = PLS(5)


def data(units: int = 90, neuroids: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STIMULI, units)) + 2
    return x, x @ rng.normal(size=(units, neuroids)) / 9 + rng.normal(size=(STIMULI, neuroids))


def refit(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    model = PLSRegression(5, scale=False).fit(x[train], y[train])
    return correlations(model.predict(x[test]).reshape(len(test), -1), y[test])


def test_scores_and_selection_equal_scikit_learn() -> None:
    x, y = data()
    found = score_layer(summary(x), y, SPLITS, SETTINGS)
    for fold, split in enumerate(SPLITS):
        assert split.validation is not None
        first = split.validation[0]
        np.testing.assert_allclose(found.value[fold], refit(x, y, split.train, split.test), atol=1e-9)
        np.testing.assert_allclose(
            found.selection[fold], refit(x, y, np.setdiff1d(split.train, first), first), atol=1e-9
        )
    assert found.notes == ()


def test_neuroids_with_the_same_missing_responses_are_fitted_together() -> None:
    x, y = data()
    y[3:9, [0, 4]] = np.nan
    there = np.isfinite(y[:, 0])
    # Within these inner folds 3 or 4 stimuli are left for 5 components: there is a score, nothing to choose layers by.
    splits = [split._replace(validation=(split.train[4:],)) for split in SPLITS]
    scores = score_layer(summary(x), y, splits, SETTINGS)
    assert np.isnan(scores.selection).all()
    for row, split in zip(scores.value, SPLITS, strict=True):
        train, test = split.train[there[split.train]], split.test[there[split.test]]
        np.testing.assert_allclose(row[[0, 4]], refit(x, y[:, [0, 4]], train, test), atol=1e-9)
        others = [1, 2, 3, 5]
        np.testing.assert_allclose(row[others], refit(x, y[:, others], split.train, split.test), atol=1e-9)


def test_equals_brain_score(shared: Path) -> None:
    own = case(shared)
    found = score_layer(summary(own.features), own.responses, own.splits, PLS())
    np.testing.assert_allclose(brain_score(found.value[:10]), own.expected["pls"], atol=1e-6)
    assert abs(brain_score(found.value[10:])[0] - own.expected["pls_split"][0]) < 1e-6
    assert np.isnan(found.selection).all()  # leave-one-out would be a fit for every stimulus


def test_a_layer_of_few_directions_ends_early_and_says_so() -> None:
    x, y = data(units=3)
    found = score_layer(summary(x), y, SPLITS, SETTINGS)
    wanted = np.stack(
        [
            correlations(PLSRegression(3, scale=False).fit(x[s.train], y[s.train]).predict(x[s.test]), y[s.test])
            for s in SPLITS
        ]
    )
    np.testing.assert_allclose(found.value, wanted, atol=1e-9)
    assert found.notes == (
        "8 of 20 PLS components were not needed or not there: the layer or the responses were used up before",
    )


def test_constant_neuroids_have_no_score_and_no_part_in_the_others() -> None:
    x, y = data()
    y[:, 0] = 1 / 3
    found = score_layer(summary(x), y, SPLITS, SETTINGS).value
    assert np.isnan(found[:, 0]).all()
    for row, split in zip(found, SPLITS, strict=True):
        np.testing.assert_allclose(row[1:], refit(x, y[:, 1:], split.train, split.test), atol=1e-9)


def test_more_components_than_training_stimuli_are_refused() -> None:
    x, y = data()
    with pytest.raises(InputError, match="wanted 1 to 45 components"):
        score_layer(summary(x), y, SPLITS, PLS(46))
