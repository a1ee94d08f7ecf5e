"""Parts of explained variance by their identities, by cases with a known answer, and by refits."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from himalaya.scoring import r2_score
from sklearn.linear_model import LinearRegression

from engine.errors import InputError
from engine.metrics.variance_partition import VariancePartition, commonality, partition
from engine.solvers.banded import simplex_weightings
from engine.solvers.folds import Split
from engine.solvers.ridge import nested_ridge
from engine.splits import kfold
from tests.engine.metrics.brain_score import summary

STIMULI = 48
SPLITS = kfold(STIMULI, folds=3, seed=0)
SETTINGS = VariancePartition((1e-2, 0.1, 1.0, 10.0), weightings=6)
close = partial(np.testing.assert_allclose, atol=1e-9)


def data(neuroids: int = 5) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    spaces = [scale * rng.normal(size=(STIMULI, units)) + 3 for scale, units in ((1, 20), (30, 60), (0.1, 8))]
    amount = rng.exponential(size=(3, neuroids))
    signal = sum(
        x / x.std() @ rng.normal(size=(x.shape[1], neuroids)) / x.shape[1] ** 0.5 * a
        for x, a in zip(spaces, amount, strict=True)
    )
    return spaces, signal + 0.5 * rng.normal(size=(STIMULI, neuroids)) + 7


def unit_kernel(x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=0)
    return centred @ centred.T / (centred**2).sum() * STIMULI


def test_parts_add_up_and_are_what_refits_say() -> None:
    spaces, y = data()
    found = partition([summary(x) for x in spaces], y, SPLITS, SETTINGS)
    assert set(found.subsets) == {own for size in (1, 2, 3) for own in combinations(range(3), size)}
    close(sum(found.parts.values()), found.joint)
    close(found.product.sum(axis=1) + found.mean, found.joint)
    r2 = found.subsets
    for space in range(3):
        others = tuple(other for other in range(3) if other != space)
        close(found.unique[:, space], found.joint - r2[others])
        close(found.parts[(space,)], found.unique[:, space])
        close(r2[(space,)], nested_ridge(unit_kernel(spaces[space]), y, SPLITS, SETTINGS.penalties).r2, atol=1e-4)
    close(found.parts[(0, 1)], r2[(0, 2)] + r2[(1, 2)] - r2[(2,)] - r2[(0, 1, 2)])
    close(
        found.parts[(0, 1, 2)],
        r2[(0,)] + r2[(1,)] + r2[(2,)] - r2[(0, 1)] - r2[(0, 2)] - r2[(1, 2)] + r2[(0, 1, 2)],
    )


def test_the_joint_model_is_himalayas() -> None:
    spaces, y = data()
    found = partition([summary(x) for x in spaces], y, SPLITS, SETTINGS)
    kernels = np.stack([unit_kernel(x) for x in spaces])
    for fold, split in enumerate(SPLITS):
        train = split.train
        inner = [
            (np.searchsorted(train, np.setdiff1d(train, part)), np.searchsorted(train, part))
            for part in split.validation or ()
        ]
        options = {
            "n_iter": simplex_weightings(3, 6, 0),
            "alphas": np.array(SETTINGS.penalties),
            "score_func": r2_score,
            "progress_bar": False,
        }
        model = MultipleKernelRidgeCV(kernels="precomputed", solver_params=options, cv=inner, fit_intercept=True)
        model.fit(kernels[:, train[:, None], train], y[train])
        predicted = model.predict(kernels[:, split.test[:, None], train])
        close(found.joint[fold], r2_score(y[split.test], predicted), atol=1e-7)


def test_two_spaces_share_what_neither_adds() -> None:
    spaces, y = data()
    found = partition([summary(x) for x in spaces[:2]], y, SPLITS, SETTINGS)
    close(found.parts[(0, 1)], found.subsets[(0,)] + found.subsets[(1,)] - found.joint)
    close(sum(found.parts.values()), found.joint)


def test_a_copied_space_shares_everything() -> None:
    spaces, y = data()
    # Weightings of one kernel twice add up to that kernel, so that with or without the copy the model is the same,
    # whatever the scale of the copy.
    found = partition([summary(spaces[0]), summary(100 * spaces[0])], y, SPLITS, SETTINGS)
    close(found.unique, 0)
    close(found.parts[(0, 1)], found.joint)


def test_orthogonal_spaces_add() -> None:
    # Every fold holds each pair of 4 levels of A and 4 of B once: A and B are orthogonal in all training and test sets.
    levels = np.array([(a, b) for a in range(4) for b in range(4)] * 3)
    tests = np.array_split(np.arange(STIMULI), 3)
    splits = [
        Split(np.setdiff1d(np.arange(STIMULI), test), test, tuple(t for j, t in enumerate(tests) if j != i))
        for i, test in enumerate(tests)
    ]
    a, b = (np.eye(4)[column] for column in levels.T)
    rng = np.random.default_rng(0)
    y = a @ rng.normal(size=(4, 5)) + b @ rng.normal(size=(4, 5)) + 0.3 * rng.normal(size=(STIMULI, 5))
    y -= np.repeat([y[test].mean(axis=0) for test in tests], 16, axis=0)  # so that R2 of the mean is exactly 0
    found = partition([summary(a), summary(b)], y, splits, SETTINGS._replace(penalties=(1e-7,), weightings=2))
    # Penalties of 1e-7 over weightings down to about 0.01 shrink by less than 1e-5.
    close(found.parts[(0, 1)], 0, atol=1e-4)
    close(found.joint, found.subsets[(0,)] + found.subsets[(1,)], atol=1e-4)
    close(found.product, found.unique, atol=1e-4)
    for fold, split in enumerate(splits):
        for space, x in enumerate((a, b)):
            guess = LinearRegression().fit(x[split.train], y[split.train]).predict(x[split.test])
            close(found.subsets[(space,)][fold], r2_score(y[split.test], guess), atol=1e-4)
    assert np.median(found.unique) > 0.2


def test_four_spaces_have_no_shared_parts() -> None:
    spaces, y = data()
    found = partition([summary(x) for x in (*spaces, spaces[0] ** 2)], y, SPLITS, SETTINGS._replace(weightings=3))
    assert found.parts == {}
    assert found.unique.shape == (3, 4, 5)
    close(found.product.sum(axis=1) + found.mean, found.joint)


def test_commonality_of_known_overlaps() -> None:
    # Spaces as sets of independent parts of the variance: R2 is the size of the union.
    sizes = {"a": 0.1, "b": 0.2, "c": 0.05, "ab": 0.15, "bc": 0.03, "abc": 0.07}
    sets = [{part for part in sizes if name in part} for name in "abc"]
    r2 = {
        own: np.array([sum(sizes[part] for part in set().union(*(sets[space] for space in own)))])
        for size in (1, 2, 3)
        for own in combinations(range(3), size)
    }
    found = commonality(r2, 3)
    for own, part in found.items():
        close(part, sizes.get("".join("abc"[space] for space in own), 0))
    with pytest.raises(InputError, match="R2 of every subset"):
        commonality({(0,): r2[(0,)]}, 2)


def test_bad_input_is_refused() -> None:
    spaces, y = data()
    given = [summary(x) for x in spaces]
    with pytest.raises(InputError, match="two or more feature spaces; 1 was given"):
        partition(given[:1], y, SPLITS, SETTINGS)
    with pytest.raises(InputError, match="over the same stimuli, got spaces over \\[40, 48\\]"):
        partition([given[0], summary(spaces[1][:40])], y, SPLITS, SETTINGS)
    with pytest.raises(InputError, match="feature space 2 is constant"):
        partition([given[0], summary(np.ones((STIMULI, 3)))], y, SPLITS, SETTINGS)
    y[0, 1] = np.nan
    with pytest.raises(InputError, match="1 of 5 neuroids lack responses"):
        partition(given, y, SPLITS, SETTINGS)
