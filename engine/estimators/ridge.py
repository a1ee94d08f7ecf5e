"""Ridge regression with a choice of penalty as a scikit-learn estimator."""

from collections.abc import Sequence
from typing import Any, Self

import jax
import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.model_selection import check_cv
from sklearn.utils.validation import check_is_fitted, validate_data

from engine.errors import InputError, unknown
from engine.solvers.fit import RidgeFit, fit_features, fit_kernel
from engine.solvers.scoring import Selection

SCORINGS: dict[str, Selection] = {"neg_mean_squared_error": "mse", "r2": "r2", "pearson": "pearson"}


class RidgeCV(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """``sklearn.linear_model.RidgeCV``: ridge with the best of some penalties, by leave-one-out or by folds.

    Works in the precision of X: float64, or float32 where X is that (scikit-learn computes in float64 even then).

    Args:
        alphas: penalties, positive.
        fit_intercept: only True: the intercept is part of the method here.
        scoring: ``neg_mean_squared_error``, ``r2`` or ``pearson``, averaged over targets that share a penalty. None is
            scikit-learn's: the squared error in leave-one-out, R2 over folds.
        cv: None for leave-one-out, where all held-out predictions of a target are scored together; otherwise a number
            of folds, a splitter or pairs of train and test samples whose score is averaged. Each fold trains on all
            samples it does not test on.
        alpha_per_target: a penalty for each target, with any ``cv`` (scikit-learn: in leave-one-out only).

    Attributes:
        alpha_: chosen penalty, or one per target.
        best_score_: its score, or one per target.
        coef_: targets x features; features only where there is one target.
        intercept_: of each target; a number where ``fit`` had one list of responses.
    """

    def __init__(
        self,
        alphas: Sequence[float] | np.ndarray = (0.1, 1.0, 10.0),
        *,
        fit_intercept: bool = True,
        scoring: str | None = None,
        cv: Any = None,
        alpha_per_target: bool = False,
    ) -> None:
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.scoring = scoring
        self.cv = cv
        self.alpha_per_target = alpha_per_target

    def fit(self, X: Any, y: Any) -> Self:
        """Fits samples x features to samples or samples x targets; InputError (a ValueError) where it cannot."""
        if not self.fit_intercept:
            raise InputError("RidgeCV was given fit_intercept=False, but always fits an intercept; leave it out")
        if self.scoring is not None and self.scoring not in SCORINGS:
            raise unknown("scoring", self.scoring, SCORINGS)
        X, y = validate_data(
            self, X, y, dtype=(np.float64, np.float32), multi_output=True, y_numeric=True, ensure_min_samples=2
        )
        targets = y.reshape(len(y), -1).astype(X.dtype)
        alphas = np.atleast_1d(np.asarray(self.alphas, np.float64))
        several = self.alpha_per_target and targets.shape[1] > 1
        fit = _fit(
            X,
            targets,
            alphas,
            validation=None if self.cv is None else held_out(self.cv, X, y),
            selection=SCORINGS[self.scoring or ("neg_mean_squared_error" if self.cv is None else "r2")],
            groups=None if several else np.zeros(targets.shape[1], int),
        )
        chosen, scores = alphas[fit.penalty_index], fit.selection[fit.penalty_index, np.arange(targets.shape[1])]
        self.alpha_ = chosen if several else float(chosen[0])
        self.best_score_ = scores if several else float(scores.mean())
        self.coef_ = fit.coefficients.T if targets.shape[1] > 1 else fit.coefficients.ravel()
        self.intercept_ = fit.intercept.astype(X.dtype) if y.ndim > 1 else fit.intercept.item()
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Samples x targets, or samples where there was one target."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        return X @ self.coef_.T + self.intercept_


def _fit(x: np.ndarray, targets: np.ndarray, alphas: np.ndarray, **how: Any) -> RidgeFit:
    """The fit with coefficients of the features, from whichever of features and samples are fewer."""
    offset = x.mean(axis=0)
    centred = x - offset
    with jax.enable_x64(x.dtype == np.float64):
        if x.shape[1] < len(x):
            fit = fit_features(centred, targets, alphas, **how)
        else:
            fit = fit_kernel(jax.numpy.matmul(centred, centred.T, precision="highest"), targets, alphas, **how)
            fit = fit._replace(coefficients=centred.T @ fit.coefficients)
    return fit._replace(intercept=fit.intercept - offset @ fit.coefficients)


def held_out(cv: Any, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Test samples of each fold."""
    held = []
    for train, test in check_cv(cv).split(x, y):
        if not np.array_equal(np.sort(train), np.setdiff1d(np.arange(len(x)), test)):
            raise InputError("wanted folds that train on all samples they do not test on; give cv another splitter")
        held.append(np.asarray(test))
    return held
