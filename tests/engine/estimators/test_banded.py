"""The banded ridge estimator against himalaya's, and scikit-learn's own checks."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from himalaya.ridge import GroupRidgeCV
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, TimeSeriesSplit
from sklearn.utils.estimator_checks import parametrize_with_checks

from engine.errors import InputError
from engine.estimators.banded import BandedRidgeCV

close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)
GROUPS = np.array([2, 0, 2, 1] * 6)
ALPHAS = np.logspace(-1, 3, 5)


def problem(targets: int = 6, n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, len(GROUPS))) * (1 + GROUPS) + 3
    per_group = rng.standard_normal((3, targets))[GROUPS]
    y = x @ (rng.standard_normal((len(GROUPS), targets)) * per_group) + 4 * rng.standard_normal((n, targets)) + 7
    return x, y


# scikit-learn skips one of these itself: array API input unless SCIPY_ARRAY_API is set.
@parametrize_with_checks([BandedRidgeCV()])
def test_is_an_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("targets", [None, 1, 6])
def test_equals_himalaya(targets: int | None, intercept: bool) -> None:
    x, y = problem(targets or 1)
    y = y if targets else y[:, 0]
    if not intercept:
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    folds = KFold(4, shuffle=True, random_state=1)
    ours = BandedRidgeCV(GROUPS, alphas=ALPHAS, n_iter=12, cv=folds, random_state=3, fit_intercept=intercept).fit(x, y)
    theirs = GroupRidgeCV(
        groups=GROUPS,
        solver_params={"alphas": ALPHAS, "n_iter": 12, "progress_bar": False, "warn": False},
        cv=folds,
        random_state=3,
        fit_intercept=intercept,
    ).fit(x, y)
    if targets == 6:
        assert len(np.unique(theirs.deltas_[0])) > 2
    close(ours.deltas_, theirs.deltas_)
    close(ours.best_alphas_, theirs.best_alphas_)
    close(ours.cv_scores_, theirs.cv_scores_, rtol=1e-8)  # himalaya adds 1e-10 log(alpha)
    group_by_group = np.argsort(GROUPS, kind="stable")  # himalaya's coefficients are in this order
    close(ours.coef_[..., group_by_group], np.transpose(theirs.coef_), rtol=1e-7)
    new = x[:7] + 1
    close(ours.predict(new), theirs.predict(new), rtol=1e-7)
    parts = ours.predict(new, split=True)
    close(parts.sum(axis=0) + ours.intercept_, ours.predict(new))
    if intercept:
        close(ours.intercept_, theirs.intercept_, rtol=1e-7)
    else:  # himalaya splits only these
        close(parts, theirs.predict(new, split=True), rtol=1e-7)


def test_given_weightings_and_labels_of_any_kind() -> None:
    x, y = problem()
    names = np.array(["a", "b", "c"])[GROUPS]
    weightings = np.array([[0.2, 0.8, 0.0]])
    found = BandedRidgeCV(names, alphas=2.0, n_iter=weightings, cv=3).fit(x, y)
    scale = np.sqrt(weightings[0])[GROUPS]
    wanted = Ridge(2.0).fit(x * scale, y)
    assert found.groups_.tolist() == ["a", "b", "c"]
    close(found.coef_, wanted.coef_ * scale)
    close(found.intercept_, wanted.intercept_)
    assert (found.deltas_[2] == -np.inf).all()


def test_float32_stays_float32() -> None:
    x, y = (array.astype(np.float32) for array in problem())
    found = BandedRidgeCV(GROUPS, alphas=ALPHAS, n_iter=5, random_state=0).fit(x, y)
    assert found.coef_.dtype == found.predict(x).dtype == np.float32
    wide = BandedRidgeCV(GROUPS, alphas=ALPHAS, n_iter=5, random_state=0).fit(x.astype(np.float64), y)
    close(found.predict(x), wide.predict(x.astype(np.float64)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": [0, 1]}, r"one group label for each of 24 features, got \(2,\)"),
        ({"cv": TimeSeriesSplit(3)}, "all samples they do not test on"),
        ({"n_iter": 0}, "at least one space, one weighting"),
        ({"n_iter": np.ones((2, 2))}, r"candidates x 3 spaces, got shape \(2, 2\)"),
        ({"alphas": [1.0, -1.0]}, "positive numbers"),
    ],
)
def test_bad_parameters_are_refused(change: dict[str, Any], message: str) -> None:
    x, y = problem()
    with pytest.raises(InputError, match=message):
        BandedRidgeCV(**{"groups": GROUPS} | change).fit(x, y)
