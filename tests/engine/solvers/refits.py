"""Problems, designs and the definition of nested ridge: a scikit-learn refit for every fold and penalty."""

from functools import partial

import numpy as np
from scipy.stats import pearsonr
from sklearn import metrics
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit

from engine.solvers.folds import Split
from engine.solvers.nested import NestedRidge

GRID = np.logspace(-2, 3, 6)
close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)


def problem(
    n: int = 45, units: int = 80, targets: int = 6, seed: int = 0, noise: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, units)) * np.arange(1, units + 1) ** -0.5 + 3
    y = x @ rng.standard_normal((units, targets)) + noise * rng.standard_normal((n, targets)) + 7
    return x, y


def each_other(tests: list[np.ndarray]) -> list[Split]:
    """Every fold with the other folds as its inner folds."""
    everything = np.sort(np.concatenate(tests))
    return [
        Split(np.setdiff1d(everything, test), test, tuple(t for j, t in enumerate(tests) if j != i))
        for i, test in enumerate(tests)
    ]


def kfold(n: int, folds: int, seed: int = 0) -> list[Split]:
    cut = KFold(folds, shuffle=True, random_state=seed).split(np.arange(n))
    return each_other([test for _, test in cut])


def grouped(n: int, folds: int) -> list[Split]:
    groups = np.repeat(np.arange(n), np.arange(n) % 7 + 1)[:n]
    return each_other([test for _, test in GroupKFold(folds).split(np.arange(n), groups=groups)])


def shuffled(n: int, repeats: int, inner: int) -> list[Split]:
    splits = []
    for train, test in ShuffleSplit(repeats, train_size=0.8, random_state=1).split(np.arange(n)):
        parts = KFold(inner, shuffle=True, random_state=2).split(train)
        splits.append(Split(train, test, tuple(train[part] for _, part in parts)))
    return splits


def fixed(n: int) -> list[Split]:
    """One split that leaves stimuli unused."""
    order = np.random.default_rng(3).permutation(n)
    train, test = order[: n // 2], order[n // 2 : n - 5]
    return [Split(train, test, tuple(np.array_split(train, 3)))]


def score(kind: str, measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    if kind == "r2":
        return metrics.r2_score(measured, predicted, multioutput="raw_values")
    if kind == "mse":
        return -metrics.mean_squared_error(measured, predicted, multioutput="raw_values")
    return np.array([pearsonr(a, b).statistic for a, b in zip(measured.T, predicted.T, strict=True)])


def predict(x: np.ndarray, y: np.ndarray, penalty: float, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    fitted = Ridge(alpha=penalty, solver="svd").fit(x[train], y[train])
    return fitted.predict(x[test]).reshape(len(test), -1)


def left_out(x: np.ndarray, y: np.ndarray, penalty: float, train: np.ndarray) -> np.ndarray:
    """The prediction of every stimulus from a fit on all others."""
    return np.concatenate([predict(x, y, penalty, np.setdiff1d(train, [one]), np.array([one])) for one in train])


def refitted(
    x: np.ndarray,
    y: np.ndarray,
    splits: list[Split],
    grid: np.ndarray,
    kind: str = "r2",
    groups: np.ndarray | None = None,
) -> NestedRidge:
    """The definition: one scikit-learn fit for every fold, inner fold and penalty, on the features themselves."""
    shape = (len(splits), y.shape[1])
    pearson, r2, selection = (np.zeros(shape) for _ in range(3))
    index = np.zeros(shape, int)
    predictions = []
    for fold, split in enumerate(splits):
        test = np.sort(split.test)
        inner = np.zeros((len(grid), y.shape[1]))
        outer = np.zeros((len(grid), len(test), y.shape[1]))
        for a, penalty in enumerate(grid):
            for part in split.validation or ():
                rest = np.setdiff1d(split.train, part)
                inner[a] += score(kind, y[part], predict(x, y, penalty, rest, part)) / len(split.validation)
            if split.validation is None:
                inner[a] = score(kind, y[split.train], left_out(x, y, penalty, split.train))
            outer[a] = predict(x, y, penalty, split.train, test)
        choice = inner.copy()
        for label in [] if groups is None else np.unique(groups):
            choice[:, groups == label] = choice[:, groups == label].mean(axis=1, keepdims=True)
        index[fold] = choice.argmax(axis=0)
        at = index[fold], slice(None), np.arange(y.shape[1])
        predicted = outer[at].T
        predictions.append(predicted)
        selection[fold] = inner[index[fold], np.arange(y.shape[1])]
        pearson[fold], r2[fold] = score("pearson", y[test], predicted), score("r2", y[test], predicted)
    return NestedRidge(pearson, r2, index, selection, predictions, 0.0)


def assert_same(found: NestedRidge, wanted: NestedRidge) -> None:
    np.testing.assert_array_equal(found.penalty_index, wanted.penalty_index)
    close(found.pearson, wanted.pearson)
    close(found.r2, wanted.r2)
    close(found.selection, wanted.selection)
    assert (found.predictions is None) == (wanted.predictions is None)
    for ours, theirs in zip(found.predictions or [], wanted.predictions or [], strict=True):
        close(ours, theirs, rtol=1e-8)
