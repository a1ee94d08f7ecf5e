import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, linprog
from scipy.stats import pearsonr

from engine.errors import InputError
from engine.metrics.soft_matching import score_layer, transport, wanted_units
from engine.solvers.folds import Split
from engine.splits import kfold


def data(units: int, neuroids: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = 3 + rng.normal(size=(60, units)) * rng.uniform(0.5, 5, units)
    return x, x[:, :neuroids] + rng.normal(size=(60, neuroids))


def test_a_plan_worked_out_by_hand() -> None:
    # Three units of 1/3, two neurons of 1/2: unit 0 belongs to neuron 0 and unit 2 to neuron 1, each of which has room
    # for 1/6 of unit 1.
    np.testing.assert_allclose(
        transport(np.array([[0.0, 1.0], [0.4, 0.6], [1.0, 0.0]])), [[1 / 3, 0], [1 / 6, 1 / 6], [0, 1 / 3]], atol=1e-12
    )


@pytest.mark.parametrize("shape", [(12, 4), (7, 3), (3, 7), (5, 5)])
def test_plans_are_of_least_cost(shape: tuple[int, int]) -> None:
    cost = np.random.default_rng(1).uniform(0, 2, shape)
    plan = transport(cost)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / shape[0], atol=1e-12)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / shape[1], atol=1e-12)
    assert plan.min() >= 0
    # The dual programme: the largest sum of prices that no pair undercuts is the least cost.
    weights = np.concatenate([np.full(shape[0], 1 / shape[0]), np.full(shape[1], 1 / shape[1])])
    rows, columns = np.divmod(np.arange(cost.size), shape[1])
    prices = np.zeros((cost.size, sum(shape)))
    prices[np.arange(cost.size), rows] = 1
    prices[np.arange(cost.size), shape[0] + columns] = 1
    dual = linprog(-weights, A_ub=prices, b_ub=cost.ravel(), bounds=(None, None))
    assert abs((plan * cost).sum() + dual.fun) < 1e-10


def test_as_many_units_as_neurons_make_the_mapping_without_reuse() -> None:
    x, y = data(4)
    y[:, 1] = y[:, 0] + 0.5 * y[:, 1]
    for i, split in enumerate(splits := kfold(60, folds=3, seed=0)):
        r = np.corrcoef(x[split.train].T, y[split.train].T)[:4, 4:]
        unit = linear_sum_assignment(-r.T)[1]
        found = score_layer(x, y, splits)
        test = [pearsonr(x[split.test, unit[j]], y[split.test, j])[0] for j in range(4)]
        np.testing.assert_allclose(found.value[i], np.sign(r[unit, range(4)]) * test, atol=1e-12)
        np.testing.assert_allclose(found.details["transported_r"][i], test, atol=1e-12)
        np.testing.assert_allclose(found.details["transported_train_r"][i], r[unit, range(4)], atol=1e-12)


def test_predictions_follow_the_published_formula() -> None:
    x, y = data(10)
    x[:, 6] = 0.1  # takes no part
    kept = np.delete(np.arange(10), 6)
    splits = kfold(60, folds=3, seed=0)
    found = score_layer(x, y, splits)

    def predicted(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        r = np.corrcoef(x[train][:, kept].T, y[train].T)[:9, 9:]
        standardised = (x[test][:, kept] - x[train][:, kept].mean(axis=0)) / x[train][:, kept].std(axis=0)
        guess = standardised @ (transport(1 - r) * r) * 4
        return np.array([pearsonr(guess[:, j], y[test, j])[0] for j in range(4)])

    for i, split in enumerate(splits):
        np.testing.assert_allclose(found.value[i], predicted(split.train, split.test), atol=1e-12)
        inner = [predicted(np.setdiff1d(split.train, part), part) for part in split.validation or ()]
        np.testing.assert_allclose(found.selection[i], np.mean(inner, axis=0), atol=1e-12)


def test_neurons_hidden_among_other_units_are_found() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=(400, 4))
    x = np.concatenate([rng.normal(size=(400, 36)), y], axis=1)
    found = score_layer(x, y, [Split(np.arange(300), np.arange(300, 400), None)])
    # Each neuron gets its copy with weight 1 and nine units with weights of some 1 / sqrt(300): r of about .99.
    assert found.value.min() > 0.95
    assert np.isnan(found.selection).all()


def test_wide_layers_are_sampled_in_a_multiple_of_the_neurons() -> None:
    np.testing.assert_array_equal(wanted_units(900, 60), np.arange(900))
    sample = wanted_units(100_000, 60, seed=1)
    assert len(set(sample)) == len(sample) == 1000
    assert (np.diff(sample) > 0).all()
    assert sample[-1] > 90_000
    assert not np.array_equal(sample, wanted_units(100_000, 60, seed=2))
    assert len(wanted_units(100_000, 3000)) == 3000


def test_what_cannot_be_matched_is_refused() -> None:
    x, y = data(10)
    splits = kfold(60, folds=3, seed=0)
    with pytest.raises(InputError, match="all units of the layer are constant"):
        score_layer(np.ones((60, 10)), y, splits)
    y[:, 2] = 4.4
    with pytest.raises(InputError, match="1 of 4 neuroids are constant"):
        score_layer(x, y, splits)
    y[3, 1] = np.nan
    with pytest.raises(InputError, match="1 are missing, of 1 of 4 neuroids"):
        score_layer(x, y, splits)
