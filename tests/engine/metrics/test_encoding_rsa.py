"""RDMs of predicted responses, composed here from scikit-learn's ridge and SciPy's distances and correlations."""

from itertools import product

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error

from engine.errors import InputError
from engine.metrics.encoding_rsa import EncodingRsa, score_layer
from engine.solvers.folds import Split
from engine.splits import kfold
from tests.engine.metrics.brain_score import summary

STIMULI = 48
SPLITS = kfold(STIMULI, folds=4, seed=0)
SETTINGS = EncodingRsa((1.0, 30.0, 1e3), relative=False, select="mse", choose="all")


def data(units: int = 70, neuroids: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STIMULI, units)) * np.geomspace(3, 0.3, units) + 2
    return x, x @ rng.normal(size=(units, neuroids)) + 8 * rng.normal(size=(STIMULI, neuroids))


def predicted(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, inner: list[np.ndarray]) -> np.ndarray:
    """With the penalty that has the least mean error over inner folds and neuroids."""
    errors = np.zeros(len(SETTINGS.penalties))
    for (place, penalty), held in product(enumerate(SETTINGS.penalties), inner):
        fitted = np.setdiff1d(train, held)
        errors[place] += mean_squared_error(y[held], Ridge(penalty).fit(x[fitted], y[fitted]).predict(x[held]))
    return Ridge(SETTINGS.penalties[errors.argmin()]).fit(x[train], y[train]).predict(x[test])


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    return float(spearmanr(pdist(one, "correlation"), pdist(other, "correlation"))[0])


def folds(split: Split) -> list[np.ndarray]:
    assert split.validation is not None
    return list(split.validation)


def test_equals_ridge_then_rsa() -> None:
    x, y = data()
    found = score_layer(summary(x), y, SPLITS, SETTINGS)
    together = np.empty_like(y)
    for fold, split in enumerate(SPLITS):
        together[split.test] = predicted(x, y, split.train, split.test, folds(split))
        assert abs(found.value[fold, 0] - similarity(together[split.test], y[split.test])) < 1e-9
        first, *others = folds(split)
        guess = predicted(x, y, np.setdiff1d(split.train, first), first, others)
        assert abs(found.selection[fold, 0] - similarity(guess, y[first])) < 1e-9
    np.testing.assert_allclose(found.details["whole"], np.full((4, 1), similarity(together, y)), atol=1e-9)


def test_other_distances_and_comparisons() -> None:
    x, y = data()
    found = score_layer(summary(x), y, SPLITS, SETTINGS._replace(distance="euclidean", comparison="pearson")).value
    for row, split in zip(found, SPLITS, strict=True):
        guess = predicted(x, y, split.train, split.test, folds(split))
        assert abs(row[0] - pearsonr(pdist(guess), pdist(y[split.test]))[0]) < 1e-9


def test_a_population_that_the_layer_explains_is_found_alike() -> None:
    x, _ = data(units=6)
    y = x @ np.random.default_rng(1).normal(size=(6, 8))
    settings = SETTINGS._replace(penalties=(1e-6, 1e-4), relative=True, choose="neuroid")
    found = score_layer(summary(x), y, SPLITS, settings)
    for values in (found.value, found.selection, found.details["whole"]):
        assert (values > 0.999).all()


def test_one_split_without_inner_folds() -> None:
    x, y = data()
    found = score_layer(summary(x), y, [SPLITS[0]._replace(validation=None)], SETTINGS)
    assert np.isfinite(found.value).all()
    assert np.isnan(found.selection).all()
    assert np.isnan(found.details["whole"]).all()  # not all stimuli are tested


def test_a_layer_without_variation_has_no_score() -> None:
    _, y = data()
    flat = summary(np.ones((STIMULI, 5)))
    assert np.isnan(score_layer(flat, y, SPLITS, SETTINGS._replace(distance="euclidean")).value).all()


def test_bad_input_is_refused() -> None:
    x, y = data()
    with pytest.raises(InputError, match="has 2 test stimuli; RDMs are compared over at least 3"):
        score_layer(summary(x), y, [SPLITS[0]._replace(test=SPLITS[0].test[:2])], SETTINGS)
    y[3, 4] = np.nan
    with pytest.raises(InputError, match="1 of 8 neuroids lack responses to some stimuli"):
        score_layer(summary(x), y, SPLITS, SETTINGS)
