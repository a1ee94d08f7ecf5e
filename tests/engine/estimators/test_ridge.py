"""The ridge estimator against scikit-learn's, and scikit-learn's own checks."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from sklearn import linear_model
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, LeaveOneOut, ShuffleSplit, cross_val_predict, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from engine.errors import InputError
from engine.estimators import RidgeCV

ALPHAS = np.logspace(-2, 3, 6)
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)
shapes = pytest.mark.parametrize("features", [8, 70], ids=["fewer features", "fewer samples"])


# scikit-learn skips one of these itself: array API input unless SCIPY_ARRAY_API is set.
@parametrize_with_checks([RidgeCV()])
def test_is_an_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


def problem(features: int, targets: int = 5, n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, features)) * np.arange(1, features + 1) ** -0.5 + 3
    noise = np.geomspace(0.1, 10, targets)
    return x, x @ rng.standard_normal((features, targets)) + noise * rng.standard_normal((n, targets)) + 7


def assert_same(ours: RidgeCV, theirs: linear_model.RidgeCV, x: np.ndarray) -> None:
    close(ours.alpha_, theirs.alpha_)
    close(ours.best_score_, theirs.best_score_)
    close(ours.coef_, theirs.coef_)
    close(ours.intercept_, theirs.intercept_)
    close(ours.predict(x + 1), theirs.predict(x + 1))
    for name in ("alpha_", "coef_", "intercept_"):
        assert np.shape(getattr(ours, name)) == np.shape(getattr(theirs, name))


@shapes
@pytest.mark.parametrize("targets", [1, 5])
@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("scoring", [None, "neg_mean_squared_error", "r2"])
def test_leave_one_out_equals_scikit_learn(features: int, targets: int, each: bool, scoring: str | None) -> None:
    x, y = problem(features, targets)
    ours, theirs = (
        kind(ALPHAS, scoring=scoring, alpha_per_target=each).fit(x, y) for kind in (RidgeCV, linear_model.RidgeCV)
    )
    assert_same(ours, theirs, x)
    assert ours.alpha_ is not None
    assert len(np.unique(ours.alpha_)) > 1 or not each or targets == 1


@shapes
@pytest.mark.parametrize("cv", [4, KFold(5, shuffle=True, random_state=1), list(KFold(3).split(range(40)))])
@pytest.mark.parametrize("scoring", [None, "neg_mean_squared_error", "r2"])
def test_folds_equal_scikit_learn(features: int, cv: Any, scoring: str | None) -> None:
    x, y = problem(features)
    ours, theirs = (kind(ALPHAS, scoring=scoring, cv=cv).fit(x, y) for kind in (RidgeCV, linear_model.RidgeCV))
    assert_same(ours, theirs, x)


@shapes
def test_folds_with_a_penalty_per_target(features: int) -> None:
    x, y = problem(features)
    found = RidgeCV(ALPHAS, cv=4, alpha_per_target=True).fit(x, y)
    each = [linear_model.RidgeCV(ALPHAS, cv=4).fit(x, column) for column in y.T]
    assert len(np.unique(found.alpha_)) > 1
    close(found.alpha_, [model.alpha_ for model in each])
    close(found.best_score_, [model.best_score_ for model in each])
    close(found.coef_, [model.coef_ for model in each])


@shapes
@pytest.mark.parametrize("cv", [None, 4])
def test_pearson(features: int, cv: int | None) -> None:
    x, y = problem(features)
    found = RidgeCV(ALPHAS, scoring="pearson", cv=cv, alpha_per_target=True).fit(x, y)
    scores = np.zeros((len(ALPHAS), y.shape[1]))
    for row, alpha in zip(scores, ALPHAS, strict=True):
        held = cross_val_predict(Ridge(alpha), x, y, cv=cv or LeaveOneOut())
        for part in [np.arange(40)] if cv is None else [test for _, test in KFold(4).split(x)]:
            row += [pearsonr(a, b).statistic / (cv or 1) for a, b in zip(y[part].T, held[part].T, strict=True)]
    close(found.alpha_, ALPHAS[scores.argmax(axis=0)])
    close(found.best_score_, scores.max(axis=0))


@shapes
@pytest.mark.parametrize("cv", [None, 4])
def test_one_list_of_responses(features: int, cv: int | None) -> None:
    x, y = problem(features)
    ours, theirs = (kind(ALPHAS, cv=cv).fit(x, y[:, 0]) for kind in (RidgeCV, linear_model.RidgeCV))
    assert_same(ours, theirs, x)
    assert isinstance(ours.intercept_, float)
    assert isinstance(ours.alpha_, float)


@shapes
def test_float32_stays_float32(features: int) -> None:
    x, y = problem(features)
    exact = RidgeCV(ALPHAS).fit(x, y)
    found = RidgeCV(ALPHAS).fit(x.astype(np.float32), y)
    assert {found.coef_.dtype, found.intercept_.dtype, found.predict(x.astype(np.float32)).dtype} == {
        np.dtype(np.float32)
    }
    close(found.alpha_, exact.alpha_)
    close(found.predict(x), exact.predict(x), rtol=1e-4)


def test_works_inside_scikit_learn() -> None:
    x, y = problem(8)
    frame = pd.DataFrame(x, columns=[f"unit {i}" for i in range(8)])
    ours = cross_val_score(clone(RidgeCV(ALPHAS)), frame, y, cv=3)
    close(ours, cross_val_score(linear_model.RidgeCV(ALPHAS), frame, y, cv=3))
    assert list(RidgeCV().fit(frame, y).feature_names_in_) == list(frame.columns)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alphas": [1.0, 0.0]}, "positive numbers"),
        ({"scoring": "r3"}, "unknown scoring 'r3'; did you mean r2"),
        ({"scoring": print}, "unknown scoring .* known: neg_mean_squared_error, r2, pearson"),
        ({"fit_intercept": False}, "always fits an intercept"),
        ({"cv": ShuffleSplit(2, train_size=0.5, test_size=0.1)}, "train on all samples they do not test on"),
    ],
)
def test_what_cannot_be_done_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RidgeCV(**parameters).fit(*problem(8))


def test_parameters_without_effect_are_refused() -> None:
    with pytest.raises(TypeError, match="gcv_mode"):
        RidgeCV(gcv_mode="svd")  # type: ignore[call-arg]  # wrong on purpose
