"""The PLS estimator against scikit-learn's, and scikit-learn's own checks."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn import cross_decomposition
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from engine.errors import InputError
from engine.estimators import PLSRegression

close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)


# scikit-learn skips two of these itself: array API input unless SCIPY_ARRAY_API is set, and input that is not an array
# for every estimator of this name, because its own draws random numbers in other modes.
@parametrize_with_checks([PLSRegression()])
def test_is_an_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


def problem(n: int, features: int, targets: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, features)) * rng.uniform(0.3, 2, features) + 3
    y = x @ rng.standard_normal((features, targets)) + 3 * rng.standard_normal((n, targets)) + 7
    return x, y * np.arange(1, targets + 1)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize(
    ("n", "features", "targets"), [(40, 60, 5), (40, 9, 5), (40, 39, 5), (40, 60, 45), (300, 9, 45), (40, 60, 1)]
)
def test_equals_scikit_learn(n: int, features: int, targets: int, scale: bool) -> None:
    x, y = problem(n, features, targets)
    x[:, 3] = 1 / 3  # constant columns are not scaled
    y[:, 2:3] = 0.1
    new = problem(11, features, targets, seed=1)[0]
    ours, theirs = (kind(6, scale=scale).fit(x, y) for kind in (PLSRegression, cross_decomposition.PLSRegression))
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.n_features_in_ == features
    close(ours.coef_, theirs.coef_)
    close(ours.intercept_, theirs.intercept_)
    close(ours.predict(new), theirs.predict(new), rtol=1e-8)


def test_all_components_are_least_squares() -> None:
    x, y = problem(200, 6, 3)
    predicted = PLSRegression(6).fit(x, y).predict(x)
    bordered = np.hstack([x, np.ones((200, 1))])
    close(predicted, bordered @ np.linalg.lstsq(bordered, y)[0])


def test_one_list_of_responses() -> None:
    x, y = problem(30, 40, 1)
    ours, theirs = (kind().fit(x, y[:, 0]) for kind in (PLSRegression, cross_decomposition.PLSRegression))
    assert ours.predict(x).shape == (30,)
    close(ours.predict(x), theirs.predict(x))
    close(ours.score(x, y[:, 0]), theirs.score(x, y[:, 0]))
    close(ours.coef_, theirs.coef_)


def test_ends_where_nothing_is_left() -> None:
    x, y = problem(30, 40, 3)
    x[:, 2:] = x[:, :1]
    model = PLSRegression(5, scale=False).fit(x, y)
    assert len(model.n_iter_) == 2
    close(model.predict(x), cross_decomposition.PLSRegression(2, scale=False).fit(x, y).predict(x), rtol=1e-7)


def test_works_inside_scikit_learn() -> None:
    x, y = problem(40, 60, 5)
    ours = cross_val_score(clone(PLSRegression(4, tol=1e-9)), x, y, cv=3)
    close(ours, cross_val_score(cross_decomposition.PLSRegression(4, tol=1e-9), x, y, cv=3))


def test_says_that_it_did_not_converge() -> None:
    x, y = problem(30, 40, 3)
    with pytest.warns(ConvergenceWarning, match="in 2 turns"):
        assert PLSRegression(3, max_iter=2).fit(x, y).n_iter_ == [2, 2, 2]


@pytest.mark.parametrize("parameters", [{"max_iter": 0}, {"tol": -1e-6}, {"tol": np.nan}])
def test_an_iteration_that_cannot_run_is_refused(parameters: dict[str, float]) -> None:
    with pytest.raises(InputError, match="wanted max_iter from 1 and tol from 0, got"):
        PLSRegression(**parameters).fit(*problem(30, 40, 2))  # type: ignore[arg-type]  # settings by name


@pytest.mark.parametrize("components", [0, 31, 2.5])
def test_components_that_cannot_be_fitted_are_refused(components: int) -> None:
    with pytest.raises(InputError, match="wanted n_components from 1 to 30, got"):
        PLSRegression(components).fit(*problem(30, 40, 2))


def test_parameters_without_effect_are_refused() -> None:
    with pytest.raises(TypeError, match="copy"):
        PLSRegression(copy=False)  # type: ignore[call-arg]  # wrong on purpose
