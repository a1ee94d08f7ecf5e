"""Problems of several feature spaces, himalaya's solution of them, and what equal solutions are."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from himalaya.kernel_ridge import solve_multiple_kernel_ridge_random_search
from himalaya.scoring import correlation_score, l2_neg_loss, r2_score
from sklearn.model_selection import KFold

from engine.solvers.banded import BandedFit, fit_banded, simplex_weightings

GRID = np.logspace(-1, 3, 5)
SCORES = {"mse": l2_neg_loss, "r2": r2_score, "pearson": correlation_score}
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)


class Problem(NamedTuple):
    spaces: list[np.ndarray]
    responses: np.ndarray

    @property
    def kernels(self) -> np.ndarray:
        return np.stack([x @ x.T for x in self.spaces])


def problem(n: int = 46, units: tuple[int, ...] = (30, 90, 12), targets: int = 8, seed: int = 0) -> Problem:
    rng = np.random.default_rng(seed)
    spaces = [rng.standard_normal((n, p)) * np.arange(1, p + 1) ** -0.5 + 3 for p in units]
    amount = rng.exponential(size=(len(units), targets)) ** 2
    y = sum(x @ (rng.standard_normal((x.shape[1], targets)) * a) for x, a in zip(spaces, amount, strict=True))
    return Problem(spaces, y + 3 * rng.standard_normal((n, targets)) + 7)


def held_out(splitter: Any, n: int = 46) -> list[np.ndarray]:
    return [test for _, test in splitter.split(np.arange(n))]


FIVE = KFold(5, shuffle=True, random_state=0)
WEIGHTINGS = simplex_weightings(3, 12, 0)


def from_himalaya(data: Problem, splitter: Any, weightings: np.ndarray, score: str = "mse", **options: Any) -> Any:
    return solve_multiple_kernel_ridge_random_search(
        data.kernels,
        data.responses,
        n_iter=weightings,
        alphas=GRID,
        cv=splitter,
        score_func=SCORES[score],
        fit_intercept=True,
        return_weights="dual",
        return_alphas=True,
        progress_bar=False,
        **options,
    )


def assert_same(found: BandedFit, wanted: Any) -> None:
    deltas, dual, scores, alphas, intercept = wanted
    close(found.penalty, alphas)
    close(found.weights / found.penalty, np.exp(deltas))
    close(found.selection, scores, rtol=1e-8, atol=1e-8)  # himalaya adds 1e-10 log(alpha)
    # Its coefficients are of exp(deltas) K, ours of weights K.
    close(found.weights[:, None] * found.coefficients, np.exp(deltas)[:, None] * dual)
    close(found.intercept, intercept, rtol=1e-7)


def assert_equal(found: BandedFit, wanted: BandedFit) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        close(ours, theirs, rtol=1e-7, atol=1e-8)


def predict(fit: BandedFit, kernels: np.ndarray) -> np.ndarray:
    return (fit.weights[:, None] * (kernels @ fit.coefficients)).sum(axis=0) + fit.intercept


def solve(data: Problem, weightings: np.ndarray = WEIGHTINGS, grid: np.ndarray = GRID) -> BandedFit:
    return fit_banded(data.kernels, data.responses, held_out(FIVE), weightings, grid)
