"""Least squares against refits by scikit-learn and by pseudo-inverse, and against Brain-Score."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from engine.errors import InputError
from engine.metrics.aggregate import brain_score
from engine.metrics.linear import Linear, score_layer
from engine.metrics.resolution import resolved
from engine.solvers.folds import Split
from engine.splits import kfold
from tests.engine.metrics.brain_score import case, correlations, summary

STIMULI = 72
SPLITS = kfold(STIMULI, folds=3, seed=0)  # 48 training stimuli, 24 within inner folds


def data(units: int, neuroids: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STIMULI, units)) * np.geomspace(3, 0.3, units) + 4
    y = x @ rng.normal(size=(units, neuroids))
    return x, y / y.std(axis=0) + 0.5 * rng.normal(size=(STIMULI, neuroids)) + 2


def refit(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """By the pseudo-inverse of the centred features, which is their least squares solution of minimum norm."""
    mean = x[train].mean(axis=0)
    weights = np.linalg.pinv(x[train] - mean, rcond=1e-10) @ (y[train] - y[train].mean(axis=0))
    return correlations((x[test] - mean) @ weights, y[test])


def inner(x: np.ndarray, y: np.ndarray, split: Split) -> np.ndarray:
    return np.mean([refit(x, y, np.setdiff1d(split.train, part), part) for part in split.validation or ()], axis=0)


# Fewer units than any training set; than the outer ones only; than stimuli only; and more.
@pytest.mark.parametrize(("units", "accuracy"), [(12, 1e-7), (40, 1e-5), (60, 1e-5), (150, 1e-8)])
def test_equals_the_pseudo_inverse(units: int, accuracy: float) -> None:
    x, y = data(units)
    found = score_layer(summary(x), y, SPLITS, Linear())
    for row, chosen, split in zip(found.value, found.selection, SPLITS, strict=True):
        np.testing.assert_allclose(row, refit(x, y, split.train, split.test), atol=accuracy)
        np.testing.assert_allclose(chosen, inner(x, y, split), atol=accuracy)
    assert found.notes == ()


def test_equals_scikit_learn_where_it_is_unambiguous() -> None:
    x, y = data(12)
    found = score_layer(summary(x), y, SPLITS, Linear()).value
    for row, split in zip(found, SPLITS, strict=True):
        model = LinearRegression().fit(x[split.train], y[split.train])
        np.testing.assert_allclose(row, correlations(model.predict(x[split.test]), y[split.test]), atol=1e-7)


@pytest.mark.parametrize("units", [12, 150])
def test_a_float32_gram_matrix_serves(units: int) -> None:
    x, y = data(units)
    x = x.astype(np.float32).astype(np.float64)
    found = score_layer(summary(x, np.float32), y, SPLITS, Linear())
    for row, split in zip(found.value, SPLITS, strict=True):
        # Smallest eigenvalues are some 1e-3 of the norm: rounding of 1e-7 of the norm is 1e-4 of them.
        np.testing.assert_allclose(row, refit(x, y, split.train, split.test), atol=1e-4)


def test_equals_brain_scores_linear_predictivity(shared: Path) -> None:
    own = case(shared)
    found = brain_score(score_layer(summary(own.features), own.responses, own.splits, Linear()).value[:10])
    # Its version of scikit-learn gives the direction that centring takes away a share of the fit.
    np.testing.assert_allclose(found, own.expected["linear_predictivity"], atol=5e-4)


def test_missing_responses_equal_a_refit_without_those_stimuli() -> None:
    x, y = data(12)
    y[3:9, 0] = np.nan
    splits = [split._replace(validation=None) for split in SPLITS[:1]]
    found = score_layer(summary(x), y, splits, Linear()).value
    there = np.isfinite(y[:, 0])
    for row, split in zip(found, splits, strict=True):
        train, test = split.train[there[split.train]], split.test[there[split.test]]
        np.testing.assert_allclose(row[:1], refit(x, y[:, :1], train, test), atol=1e-7)
        np.testing.assert_allclose(row[1:], refit(x, y[:, 1:], split.train, split.test), atol=1e-7)


def test_directions_below_the_resolution_are_left_out_and_counted() -> None:
    x, y = data(12)
    fine = np.random.default_rng(1).normal(size=(STIMULI, 12))
    both = np.hstack([x, 1e-5 * fine])
    gram = summary(both).gram.astype(np.float32)
    found = score_layer(summary(both)._replace(gram=gram), y, SPLITS, Linear())
    np.testing.assert_allclose(found.value, score_layer(summary(x), y, SPLITS, Linear()).value, atol=1e-5)
    assert found.notes == (
        "12 of 24 directions of the layer lie below the resolution of its float32 Gram matrix and are left out of "
        "least squares",
    )


def test_what_is_left_is_the_kernel_of_the_leading_components() -> None:
    x, _ = data(60)
    x[:, 30:] *= 1e-7
    found = resolved(summary(x).gram)
    leading = x[:, :30] - x[:, :30].mean(axis=0)
    assert found.rank == 30
    # The components are those of all units, which the small ones move by 1e-7.
    np.testing.assert_allclose(found.kernel, leading @ leading.T, atol=1e-6 * found.norm)
    assert resolved(np.eye(20)).rank == 19
    assert resolved(np.ones((20, 20))).rank == 0


def test_layers_and_neuroids_without_variation_have_no_score() -> None:
    x, y = data(12)
    y[:, 1] = 3.1
    assert np.isnan(score_layer(summary(x), y, SPLITS, Linear()).value).any(axis=0).nonzero()[0].tolist() == [1]
    flat = score_layer(summary(np.ones((STIMULI, 12))), y, SPLITS, Linear())
    assert np.isnan(flat.value).all()
    assert np.isnan(flat.selection).all()
    assert flat.notes == ("all units of the layer are constant",)


def test_a_gram_matrix_that_is_not_finite_is_refused() -> None:
    x, y = data(12)
    x[0, 0] = np.nan
    with pytest.raises(InputError, match="NaN or infinity"):
        score_layer(summary(x), y, SPLITS, Linear())
