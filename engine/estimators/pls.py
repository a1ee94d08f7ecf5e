"""Partial least squares as a scikit-learn estimator."""

import warnings
from typing import Any, Self

import jax
import numpy as np
from scipy.linalg import helmert
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from engine.errors import InputError
from engine.solvers.pls import MAX_ITER, TOL, fit_pls


class PLSRegression(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """``sklearn.cross_decomposition.PLSRegression`` by way of the kernel: the same fit, predictions and score.

    Always in float64, as there. A fit costs stimuli^2 x units once, and nothing in the iteration depends on the number
    of units. It stops before ``n_components`` where nothing is left to explain. ``transform`` is not offered.

    Args:
        n_components: no more than samples or features.
        scale: divide every feature and target by its standard deviation first.
        max_iter: most turns of the iteration for one component.
        tol: bound on the squared change of the weights, below which the iteration ends.

    Attributes:
        coef_: targets x features. Predictions are (X - mean of X) @ coef_.T + intercept_.
        intercept_: mean of each target.
        n_iter_: turns of the iteration for each fitted component.
    """

    def __init__(
        self, n_components: int = 2, *, scale: bool = True, max_iter: int = MAX_ITER, tol: float = TOL
    ) -> None:
        self.n_components = n_components
        self.scale = scale
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: Any, y: Any) -> Self:
        """Fits samples x features to samples or samples x targets; InputError (a ValueError) where it cannot."""
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, ensure_min_samples=2)
        self._one_target = y.ndim == 1
        most = min(X.shape)
        if not isinstance(self.n_components, int | np.integer) or not 1 <= self.n_components <= most:
            raise InputError(f"wanted n_components from 1 to {most}, got {self.n_components}; reduce n_components")
        if not (self.max_iter >= 1 and self.tol >= 0):
            raise InputError(f"wanted max_iter from 1 and tol from 0, got {self.max_iter} and {self.tol}")
        x, self._x_mean, x_size = _standardised(X, self.scale)
        targets, self.intercept_, y_size = _standardised(y.reshape(len(y), -1).astype(np.float64), self.scale)
        if len(x) > x.shape[1] + 1:
            x, targets = _condensed(x, targets)
        with jax.enable_x64(True):
            kernel = jax.numpy.matmul(x, x.T, precision="highest")
            fit = fit_pls(kernel, targets, components=self.n_components, max_iter=self.max_iter, tol=self.tol)
        self.coef_ = (x.T @ fit.coefficients * y_size / x_size[:, None]).T
        self.n_iter_ = fit.iterations[fit.iterations > 0].tolist()
        if targets.shape[1] > 1 and self.max_iter in self.n_iter_:
            warnings.warn(f"PLS did not converge in {self.max_iter} turns", ConvergenceWarning, stacklevel=2)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Samples x targets, or samples where ``fit`` had one list of responses."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        predicted = (X - self._x_mean) @ self.coef_.T + self.intercept_
        return predicted.ravel() if self._one_target else predicted


def _standardised(values: np.ndarray, scale: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centred columns, divided by their standard deviation if asked to; the means and what was divided by."""
    shifted = values - values[0]  # constant columns become exactly zero
    offset = shifted.mean(axis=0)
    size = shifted.std(axis=0, ddof=1) if scale else np.ones(values.shape[1])
    size[size == 0] = 1
    shifted -= offset
    shifted /= size
    return shifted, values[0] + offset, size


def _condensed(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features + 1 centred samples with the same X'X and X'Y, on which alone the fit depends."""
    features = x.shape[1]
    upper = np.linalg.qr(np.hstack([x, y]), mode="r")[:features]
    both = helmert(features + 1).T @ upper
    return both[:, :features], both[:, features:]
