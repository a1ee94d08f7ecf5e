"""Banded ridge as a scikit-learn estimator."""

from collections.abc import Sequence
from typing import Any, Self

import jax
import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from engine.errors import InputError
from engine.estimators.ridge import held_out
from engine.solvers.banded import fit_banded, simplex_weightings


class BandedRidgeCV(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """``himalaya.ridge.GroupRidgeCV``: ridge with a penalty for each group of features, found by random search.

    Draws himalaya's candidates for the same ``random_state`` and chooses among them as it does, for each target the one
    with the least mean squared error over the folds. Differences: the intercept is fitted unless told otherwise,
    ``coef_`` is targets x features as in scikit-learn, in the order of the features and not of the groups, and
    ``score`` is one number, the mean R2 of the targets.

    Works in the precision of X. A fit keeps a samples x samples matrix for each group.

    Args:
        groups: label of each feature; None for a single group.
        alphas: penalties, positive. That of a group is alpha / weight, the weights of the groups adding up to 1.
        fit_intercept: without, X and y should have mean 0.
        n_iter: number of random weightings, of which the first is equal weights; or the weightings themselves,
            count x groups.
        cv: number of folds, a splitter, or pairs of train and test samples. Each fold trains on all samples it does
            not test on.
        random_state: seed of the weightings; None for others every time.

    Attributes:
        groups_: the labels in order, which is that of the groups below.
        coef_: targets x features; features only where y was one list of responses, and so on below.
        intercept_: of each target.
        deltas_: groups x targets, log(weight / alpha); -inf where a group has weight 0.
        best_alphas_: of each target.
        cv_scores_: weightings x targets, minus the mean squared error over the folds at the best penalty.
    """

    def __init__(
        self,
        groups: Sequence[Any] | np.ndarray | None = None,
        *,
        alphas: Sequence[float] | np.ndarray = (0.1, 1.0, 10.0),
        fit_intercept: bool = True,
        n_iter: int | np.ndarray = 100,
        cv: Any = 5,
        random_state: int | None = None,
    ) -> None:
        self.groups = groups
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.n_iter = n_iter
        self.cv = cv
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Fits samples x features to samples or samples x targets; InputError (a ValueError) where it cannot."""
        X, y = validate_data(
            self, X, y, dtype=(np.float64, np.float32), multi_output=True, y_numeric=True, ensure_min_samples=2
        )
        labels = np.zeros(X.shape[1], int) if self.groups is None else np.asarray(self.groups)
        if labels.shape != (X.shape[1],):
            raise InputError(f"wanted one group label for each of {X.shape[1]} features, got {labels.shape}")
        self.groups_, self._group = np.unique(labels, return_inverse=True)
        targets = y.reshape(len(y), -1).astype(X.dtype)
        validation = held_out(self.cv, X, y)
        weightings = self._weightings()
        offset = X.mean(axis=0) if self.fit_intercept else np.zeros(X.shape[1], X.dtype)
        spaces = [X[:, own] - offset[own] for own in self._columns()]
        with jax.enable_x64(X.dtype == np.float64):
            kernels = jax.numpy.stack([jax.numpy.matmul(x, x.T, precision="highest") for x in spaces])
            fit = fit_banded(
                kernels, targets, validation, weightings, np.atleast_1d(self.alphas), fit_intercept=self.fit_intercept
            )
        coefficients = np.empty((X.shape[1], targets.shape[1]), X.dtype)
        for own, x, weight in zip(self._columns(), spaces, fit.weights, strict=True):
            coefficients[own] = x.T @ fit.coefficients * weight
        with np.errstate(divide="ignore"):
            deltas = np.log(fit.weights / fit.penalty)
        intercept = (fit.intercept - offset @ coefficients).astype(X.dtype)
        one = y.ndim == 1
        self.coef_ = coefficients[:, 0] if one else coefficients.T
        self.intercept_ = intercept.item() if one else intercept
        self.deltas_ = deltas[:, 0] if one else deltas
        self.best_alphas_, self.cv_scores_ = fit.penalty, fit.selection
        return self

    def predict(self, X: Any, split: bool = False) -> np.ndarray:
        """Samples x targets, or samples where y was one list of responses.

        With ``split`` the part of each group, groups x samples (x targets); they and the intercept add up to the
        prediction.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        if split:
            return np.stack([X[:, own] @ self.coef_[..., own].T for own in self._columns()])
        return X @ self.coef_.T + self.intercept_

    def _columns(self) -> list[np.ndarray]:
        """The features of each group."""
        return [np.flatnonzero(self._group == place) for place in range(len(self.groups_))]

    def _weightings(self) -> np.ndarray:
        if not isinstance(self.n_iter, int | np.integer):
            return np.asarray(self.n_iter, np.float64)
        spaces = len(self.groups_)
        drawn = simplex_weightings(spaces, int(self.n_iter) if spaces > 1 else 1, self.random_state)
        drawn[0] = 1 / spaces
        return drawn
