"""Leave-one-out, inside a nested design and plain, and the fits on all stimuli: against scikit-learn."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from engine.errors import InputError
from engine.solvers.fit import RidgeFit, fit_features, fit_kernel, fold_fits
from engine.solvers.folds import Split
from engine.solvers.ridge import nested_ridge
from engine.solvers.scoring import Selection
from tests.engine.solvers.refits import GRID, assert_same, close, kfold, predict, problem, refitted, score, shuffled

SPLITS = [Split(split.train, split.test, None) for split in shuffled(30, 3, 2)]
SIDES = pytest.mark.parametrize("units", [80, 7], ids=["dual", "primal"])


@pytest.mark.parametrize("kind", ["mse", "r2", "pearson"])
def test_inner_leave_one_out_equals_refitting_without_each_stimulus(kind: Selection) -> None:
    x, y = problem(n=30, noise=4.0)
    found = nested_ridge(x @ x.T, y, SPLITS, GRID, selection=kind, predictions=True)
    assert len(np.unique(found.penalty_index)) > 1
    assert_same(found, refitted(x, y, SPLITS, GRID, kind))


def test_inner_leave_one_out_chooses_as_ridgecv_does_on_the_train_part() -> None:
    x, y = problem(n=60, targets=20, noise=6.0)
    splits = [Split(split.train, split.test, None) for split in shuffled(60, 4, 2)]
    found = nested_ridge(x @ x.T, y, splits, GRID, selection="mse", predictions=True)
    assert found.predictions is not None
    for fold, split in enumerate(splits):
        reference = RidgeCV(GRID, alpha_per_target=True).fit(x[split.train], y[split.train])
        close(GRID[found.penalty_index[fold]], reference.alpha_)
        close(found.predictions[fold], reference.predict(x[np.sort(split.test)]), rtol=1e-7)


def test_targets_of_one_group_share_the_penalty_of_ridgecv() -> None:
    x, y = problem(n=60, noise=6.0)
    splits = [Split(split.train, split.test, None) for split in shuffled(60, 4, 2)]
    found = nested_ridge(x @ x.T, y, splits, GRID, selection="mse", groups=np.zeros(6))
    wanted = [RidgeCV(GRID).fit(x[split.train], y[split.train]).alpha_ for split in splits]
    close(GRID[found.penalty_index], np.repeat(np.array(wanted)[:, None], 6, axis=1))


def fit(x: np.ndarray, y: np.ndarray, **options: Any) -> tuple[RidgeFit, np.ndarray, np.ndarray]:
    """A fit on its side, its weights on the features, and its predictions of new stimuli."""
    new = problem(n=20, units=x.shape[1], seed=9)[0]
    if x.shape[1] < len(x):
        found = fit_features(x, y, GRID, **options)
        return found, found.coefficients, new @ found.coefficients + found.intercept
    found = fit_kernel(x @ x.T, y, GRID, **options)
    return found, x.T @ found.coefficients, (new @ x.T) @ found.coefficients + found.intercept


@SIDES
@pytest.mark.parametrize("shared", [False, True])
def test_plain_leave_one_out_equals_ridgecv(units: int, shared: bool) -> None:
    x, y = problem(n=50, units=units, noise=3.0)
    found, weights, predictions = fit(x, y, groups=np.zeros(6) if shared else None)
    reference = RidgeCV(GRID, alpha_per_target=not shared, store_cv_results=True).fit(x, y)
    close(GRID[found.penalty_index], np.broadcast_to(reference.alpha_, 6))
    close(weights, reference.coef_.T)
    close(found.intercept, reference.intercept_, rtol=1e-8)
    close(found.selection, -reference.cv_results_.mean(axis=0).T)
    close(predictions, reference.predict(problem(n=20, units=units, seed=9)[0]), rtol=1e-8)


@SIDES
def test_fits_chosen_on_folds(units: int) -> None:
    x, y = problem(n=40, units=units, noise=3.0)
    parts = [split.test for split in kfold(40, 4)]
    found, _, predictions = fit(x, y, validation=parts, selection="r2")
    rest = [np.setdiff1d(np.arange(40), part) for part in parts]
    for a, penalty in enumerate(GRID):
        held = [
            score("r2", y[part], predict(x, y, penalty, train, part)) for part, train in zip(parts, rest, strict=True)
        ]
        close(found.selection[a], np.mean(held, axis=0))
    np.testing.assert_array_equal(found.penalty_index, found.selection.argmax(axis=0))
    new = problem(n=20, units=units, seed=9)[0]
    for target, index in enumerate(found.penalty_index):
        both = np.concatenate([x, new])
        wanted = predict(both, np.pad(y, ((0, 20), (0, 0))), GRID[index], np.arange(40), np.arange(40, 60))
        close(predictions[:, target], wanted[:, target], rtol=1e-8)


def test_fits_behind_the_scores_predict_what_was_scored() -> None:
    x, y = problem(n=45)
    y[3:7, 1], y[20:, 4] = np.nan, np.nan
    splits = kfold(45, 3)
    result = nested_ridge(x @ x.T, y, splits, GRID, predictions=True)
    assert result.predictions is not None
    fits = fold_fits(x @ x.T, y, splits, GRID[result.penalty_index])
    for split, guess, (coefficients, intercept) in zip(splits, result.predictions, fits, strict=True):
        test, train = np.sort(split.test), np.sort(split.train)
        there = np.isfinite(y[test])
        predicted = (x @ x.T)[np.ix_(test, train)] @ coefficients + intercept
        close(predicted[there], guess[there], rtol=1e-8)
        assert np.isnan(guess[~there]).all()
        assert (coefficients[~np.isfinite(y[train])] == 0).all()


@SIDES
def test_penalties_below_the_resolution_are_warned_about(units: int) -> None:
    x, y = problem(n=50, units=units)
    x = (x - x.mean(axis=0)).astype(np.float32)
    fit, given = (fit_features, x) if units < 50 else (fit_kernel, x @ x.T)
    eigenvalues = np.linalg.eigvalsh((x.T @ x if units < 50 else x @ x.T).astype(np.float64))
    resolution = np.finfo(np.float32).eps * np.sqrt((eigenvalues**2).sum())
    with pytest.warns(RuntimeWarning, match=r"1 of 2 penalties lie below .* in float32: .*; raise the penalties or"):
        fit(given, y, [0.9 * resolution, 1.0])
    fit(given, y, [1.1 * resolution, 1.0])


def test_fits_that_break_down_are_refused() -> None:
    x, y = problem(units=3)
    with pytest.raises(InputError, match=r"ridge at penalty 1e-09 broke down: .* float32 resolves here; raise"):
        fold_fits((x @ x.T).astype(np.float32), y, kfold(45, 3), np.full((3, 6), 1e-9))
    y[1:, 2] = np.nan
    with pytest.raises(InputError, match=r"target 2 has [01] responses in the train part of fold 1, at least 2"):
        fold_fits(x @ x.T, y, kfold(45, 3), np.ones((3, 6)))


def test_bad_input_is_refused() -> None:
    x, y = problem(n=20)
    missing = y.copy()
    missing[0, 0] = np.nan
    with pytest.raises(InputError, match="responses hold NaN"):
        fit_kernel(x @ x.T, missing, GRID)
    with pytest.raises(InputError, match="validation: every inner fold holds out a single stimulus, where r2"):
        fit_kernel(x @ x.T, y, GRID, validation=list(np.arange(20)[:, None]), selection="r2")
    with pytest.raises(InputError, match="leave-one-out needs at least 3 stimuli"):
        fit_kernel((x @ x.T)[:2, :2], y[:2], GRID)
    with pytest.raises(InputError, match=r"validation, inner fold 1: .* lie in 0 \.\.\. 19"):
        fit_kernel(x @ x.T, y, GRID, validation=[np.array([20])])
    with pytest.raises(InputError, match="features of real numbers, stimuli x units, got int64"):
        fit_features(np.ones((20, 3), int), y, GRID)
    with pytest.raises(InputError, match=r"penalty for each of 3 folds x 6 targets, got \(3,\)"):
        fold_fits(x @ x.T, y, kfold(20, 3), np.ones(3))
