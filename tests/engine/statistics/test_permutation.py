import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge

from engine.errors import InputError
from engine.solvers.folds import Split
from engine.splits import kfold, shuffle_splits
from engine.statistics.permutation import Null, family_wise, p_values, permutation_null, shuffles

FLOAT32 = 3e-6  # of r: the products are float32, and r of 13 or more stimuli does not magnify their error much


def data(stimuli: int = 65, units: int = 80, neuroids: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(stimuli, units)) + 3
    return x, x @ rng.normal(size=(units, neuroids)) / 9 + 5 * rng.normal(size=(stimuli, neuroids)) + 7


def refits(x: np.ndarray, y: np.ndarray, splits: list[Split], penalties: np.ndarray) -> np.ndarray:
    """The loop that is replaced: scikit-learn, every split and neuroid."""
    return np.array(
        [
            [
                pearsonr(Ridge(a).fit(x[s.train], y[s.train, j]).predict(x[s.test]), y[s.test, j])[0]
                for j, a in enumerate(row)
            ]
            for s, row in zip(splits, penalties, strict=True)
        ]
    )


def chosen(splits: int, neuroids: int) -> np.ndarray:
    return np.random.default_rng(5).choice([0.3, 40.0, 1e6], (splits, neuroids))


def test_every_shuffle_equals_a_loop_of_refits() -> None:
    x, y = data()
    splits = kfold(65, folds=5, seed=0)
    penalties = chosen(5, 5)
    found = permutation_null(x @ x.T, y, splits, penalties, permutations=8, seed=3)
    orders = shuffles(np.arange(65), np.zeros(65, int), 8, 3)
    assert found.null.shape == (8, 5, 5)
    np.testing.assert_allclose(found.observed, refits(x, y, splits, penalties), atol=FLOAT32)
    for turn in range(8):
        wanted = refits(x, y[orders[:, turn + 1]], splits, penalties)
        np.testing.assert_allclose(found.null[turn], wanted, atol=FLOAT32)


def test_splits_that_leave_stimuli_out_and_strata_equal_a_loop_of_refits() -> None:
    x, y = data()
    strata = np.arange(65) % 3
    splits = [
        s._replace(train=s.train[5:], validation=None)
        for s in shuffle_splits(65, splits=2, train_size=0.8, inner_folds=3, seed=1)
    ]
    penalties = chosen(2, 5)
    found = permutation_null(x @ x.T, y, splits, penalties, permutations=4, strata=["abc"[s] for s in strata])
    used = np.unique(np.concatenate([np.concatenate([s.train, s.test]) for s in splits]))
    orders = np.tile(np.arange(65)[:, None], 5)
    orders[used] = used[shuffles(used, strata, 4, 0)]
    assert (strata[orders] == strata[:, None]).all()
    assert len(used) < 65
    for turn in range(4):
        wanted = refits(x, y[orders[:, turn + 1]], splits, penalties)
        np.testing.assert_allclose(found.null[turn], wanted, atol=FLOAT32)


def test_a_neuroid_with_missing_responses_is_shuffled_among_the_stimuli_it_has() -> None:
    x, y = data()
    splits = kfold(65, folds=5, seed=0)
    y[[s.test[2] for s in splits], 1] = np.nan
    penalties = chosen(5, 5)
    found = permutation_null(x @ x.T, y, splits, penalties, permutations=3)
    have = np.flatnonzero(np.isfinite(y[:, 1]))
    orders = shuffles(have, np.zeros(65, int), 3, 0)
    own = [
        Split(
            np.searchsorted(have, np.intersect1d(s.train, have)),
            np.searchsorted(have, np.intersect1d(s.test, have)),
            None,
        )
        for s in splits
    ]
    for turn in range(3):
        wanted = refits(x[have], y[have][orders[:, turn + 1]][:, [1]], own, penalties[:, [1]])
        np.testing.assert_allclose(found.null[turn, :, [1]].T, wanted, atol=FLOAT32)


def test_shuffles_are_permutations_that_agree_between_neuroids_with_other_stimuli() -> None:
    labels = np.arange(40) % 2
    every = shuffles(np.arange(40), labels, 30, 0)
    np.testing.assert_array_equal(np.sort(every, axis=0), np.tile(np.arange(40)[:, None], 31))
    np.testing.assert_array_equal(every[:, 0], np.arange(40))
    some = np.setdiff1d(np.arange(40), [4, 9])
    for whole, part in zip(every.T, some[shuffles(some, labels, 30, 0)].T, strict=True):
        for label in (0, 1):
            left = whole[labels == label]
            np.testing.assert_array_equal(part[labels[some] == label], left[np.isin(left, some)])


def test_a_neuroid_that_is_constant_where_it_is_fitted_or_tested_has_no_score() -> None:
    x, y = data()
    y[:, 0] = 0
    y[3, 0] = 1  # one response: it is in the test part or in the train part, and the other one is constant
    found = permutation_null(x @ x.T, y, kfold(65, folds=5, seed=0), chosen(5, 5), permutations=8)
    assert np.isnan(found.null[:, :, 0]).all()
    assert np.isnan(found.observed[:, 0]).all()
    assert np.isfinite(found.null[:, :, 1:]).all()


def test_p_values_count_the_true_order() -> None:
    observed = np.array([2.0, 0.0, np.nan])
    null = np.array([[1.0, 0.5, 0], [3.0, np.nan, 0], [0.0, -1.0, 0]])
    np.testing.assert_array_equal(p_values(observed, null), [2 / 4, 3 / 4, np.nan])


def test_family_wise_p_values_are_between_the_single_ones_and_bonferronis() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(5000, 1, 3))
    null = shared + 0.5 * rng.normal(size=(5000, 4, 3))
    observed = np.full((4, 3), 2.0)
    single, corrected = p_values(observed, null), family_wise(observed, null)
    assert (corrected > single).all()
    assert (corrected < 4 * single).all()
    by_hand = [(1 + sum(null[turn, :, j].max() >= 2.0 for turn in range(5000))) / 5001 for j in range(3)]
    np.testing.assert_array_equal(corrected, np.tile(by_hand, (4, 1)))


def test_null_of_noise_is_centred_and_true_scores_stand_out() -> None:
    x, y = data()
    y[:, 1] = np.random.default_rng(9).normal(size=65)
    y[:, 0] = x @ np.random.default_rng(8).normal(size=80)
    splits = kfold(65, folds=5, seed=0)
    found: Null = permutation_null(x @ x.T, y, splits, np.full((5, 5), 10.0), permutations=200)
    p = p_values(found.observed.mean(axis=0), found.null.mean(axis=1))
    assert p[0] == 1 / 201
    assert abs(found.null.mean()) < 0.05


def test_what_cannot_be_used_is_refused() -> None:
    x, y = data()
    splits = kfold(65, folds=5, seed=0)
    with pytest.raises(InputError, match="5 splits x 5 neuroids"):
        permutation_null(x @ x.T, y, splits, np.ones((4, 5)))
    with pytest.raises(InputError, match="do not fit"):
        permutation_null(x[:60] @ x[:60].T, y, splits, np.ones((5, 5)))
