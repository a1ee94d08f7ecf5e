"""Whether a contender solved the problem: its scores and penalties against float64, and float64 against refits."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from scipy.stats import pearsonr

from engine.solvers.folds import Split
from engine.solvers.ridge import nested_ridge

MAX_R = 1e-4  # of any target in any fold, against float64 at the same penalty
MEDIAN_R = 1e-6
ROUNDING = 1e-5  # inner scores nearer than this may be ordered either way (squared errors in units of the variance)
REFITTED = 1e-7  # float64 against refits in NumPy
FEW = 6  # targets refitted


class Exact(NamedTuple):
    """Every penalty's scores in float64, penalty x fold x target.

    Attributes:
        pearson: on the test part, refitted on the whole train part.
        selection: mean inner score, higher is better, by which the penalty is chosen.
        refits: largest difference of either from refitting in NumPy, over a few targets of the first fold.
    """

    pearson: np.ndarray
    selection: np.ndarray
    refits: float


class Agreement(NamedTuple):
    """Of one contender with ``Exact``, over folds and targets.

    Attributes:
        worst_r, median_r: differences of the test Pearson r at the penalty the contender chose.
        other_penalties: how many chose another penalty.
        lost: largest inner score that such a choice gives away.
        holds: within the bounds of this file.
        predictions: largest difference of a prediction, relative to the largest; None where not compared.
        what: name of the number compared.
        choices: what is chosen, where it is not a penalty.
    """

    worst_r: float
    median_r: float
    other_penalties: int
    lost: float
    holds: bool
    predictions: float | None = None
    what: str = "r"
    choices: str = "penalties"


def exact_scores(
    kernel: np.ndarray, responses: np.ndarray, splits: Sequence[Split], grid: np.ndarray, selection: str
) -> Exact:
    """Our own solver in float64 at each penalty alone, so that nothing is chosen, checked against ``refit``."""
    wide = responses.astype(np.float64)
    with jax.enable_x64(True):
        each = [nested_ridge(kernel, wide, splits, [a], selection=selection) for a in grid]
    pearson, inner = np.stack([one.pearson for one in each]), np.stack([one.selection for one in each])
    if selection == "mse":
        inner = inner / wide.var(axis=0)
    few = wide[:, :FEW]
    off = 0.0
    for position, penalty in enumerate(grid):
        r, score = refit(kernel, few, splits[0], penalty, selection)
        score = score / few.var(axis=0) if selection == "mse" else score
        off = max(off, *(np.abs(r - pearson[position, 0, :FEW])), *(np.abs(score - inner[position, 0, :FEW])))
    if not off < REFITTED:
        raise ValueError(f"float64 scores differ by {off:.1e} from refits in NumPy")
    return Exact(pearson, inner, off)


def refit(
    kernel: np.ndarray, responses: np.ndarray, split: Split, penalty: float, selection: str
) -> tuple[np.ndarray, np.ndarray]:
    """Test Pearson r and mean inner score of each target, each fit solved on its own by ``numpy.linalg.solve``."""
    r = correlation(responses[split.test], predict(kernel, responses, split.train, split.test, penalty))
    if split.validation is None:
        return r, -(_left_out(kernel, responses, split.train, penalty) ** 2).mean(axis=0)
    inner = []
    for part in split.validation:
        measured = responses[part]
        predicted = predict(kernel, responses, np.setdiff1d(split.train, part), part, penalty)
        error = ((measured - predicted) ** 2).mean(axis=0)
        if selection == "pearson":
            inner.append(correlation(measured, predicted))
        else:
            inner.append(-error if selection == "mse" else 1 - error / measured.var(axis=0))
    return r, np.mean(inner, axis=0)


def predict(
    kernel: np.ndarray, responses: np.ndarray, train: np.ndarray, test: np.ndarray, penalty: float
) -> np.ndarray:
    """Ridge with an intercept, from the kernel centred on the train part."""
    fitted = kernel[np.ix_(train, train)]
    means = fitted.mean(axis=0)
    centred = fitted - means - means[:, None] + means.mean()
    across = kernel[np.ix_(test, train)]
    across = across - means - across.mean(axis=1, keepdims=True) + means.mean()
    offset = responses[train].mean(axis=0)
    return across @ np.linalg.solve(centred + penalty * np.eye(len(train)), responses[train] - offset) + offset


def _left_out(kernel: np.ndarray, responses: np.ndarray, train: np.ndarray, penalty: float) -> np.ndarray:
    """Residual of each train stimulus predicted from the others: dual coefficients by the diagonal of the inverse."""
    inverse = np.linalg.inv(kernel[np.ix_(train, train)] + penalty * np.eye(len(train)))
    sums = inverse.sum(axis=0)
    inverse -= np.outer(sums, sums) / sums.sum()
    return (inverse @ responses[train]) / np.diagonal(inverse)[:, None]


def correlation(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pearson r of each column."""
    return np.asarray(pearsonr(measured, predicted, axis=0).statistic)


def grade(exact: Exact, chosen: np.ndarray, pearson: np.ndarray) -> Agreement:
    """Of the first ``len(chosen)`` folds.

    Args:
        exact: the reference.
        chosen: fold x target, positions in the grid.
        pearson: fold x target, test Pearson r.
    """
    folds, targets = chosen.shape
    at = chosen, np.arange(folds)[:, None], np.arange(targets)
    off = np.abs(pearson - exact.pearson[at])
    inner = exact.selection[:, :folds]
    lost = inner.max(axis=0) - exact.selection[at]
    worst, median, most = float(off.max()), float(np.median(off)), float(lost.max())
    return Agreement(
        worst,
        median,
        int((chosen != inner.argmax(axis=0)).sum()),
        most,
        worst <= MAX_R and median <= MEDIAN_R and most <= ROUNDING,
    )
