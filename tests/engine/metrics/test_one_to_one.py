import json
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.stats import pearsonr
from sklearn.model_selection import StratifiedShuffleSplit

from engine.errors import InputError
from engine.metrics import one_to_one
from engine.metrics.one_to_one import Matching, Prepared, assign, match_block, merge, prepare, scores, take_units
from engine.solvers.folds import Split
from engine.splits import kfold


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_to_one, "WIDTH", 64)  # small layers then take several pieces, the last not full


def data(stimuli: int = 60, units: int = 150, neuroids: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(stimuli, units)) * rng.uniform(0.1, 10, units) + rng.normal(size=units)
    return x, x @ rng.normal(size=(units, neuroids)) / 40 + rng.normal(size=(stimuli, neuroids))


def blocks(x: np.ndarray, rows: int) -> list[jax.Array]:
    """Row blocks of one size; what follows the last stimulus is not part of the layer."""
    padded = np.concatenate([x, np.full((-len(x) % rows, x.shape[1]), 1e3, x.dtype)])
    return [jnp.asarray(padded[i : i + rows]) for i in range(0, len(padded), rows)]


def matched(x: np.ndarray, prepared: Prepared, cuts: Sequence[int] = (0, 75)) -> Matching:
    found = None
    with jax.enable_x64(x.dtype == np.float64):
        for start, stop in zip(cuts, (*cuts[1:], x.shape[1]), strict=True):
            part = match_block(blocks(x[:, start:stop], 25), start, prepared)
            found = part if found is None else merge(found, part, prepared)
    assert found is not None
    return found


def correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Units x neuroids, NaN where a unit is constant; each over the stimuli that the neuroid has."""
    result = np.full((x.shape[1], y.shape[1]), np.nan)
    units = np.flatnonzero(np.ptp(x, axis=0) > 0)
    for j, response in enumerate(y.T):
        has = np.isfinite(response)
        result[units, j] = pearsonr(x[has][:, units], response[has, None], axis=0)[0]
    return result


def test_brain_scores_neuron_to_neuron(shared: Path) -> None:
    # The reference drew its data with the old generator.
    rng = np.random.RandomState(7)
    x = rng.randn(200, 300) * np.linspace(2, 0.1, 300)
    signal = x @ (rng.randn(300, 30) / np.sqrt(300))
    y = (signal[None] + rng.randn(10, 200, 30)).mean(axis=0)
    labels = np.arange(200) % 8
    drawn = StratifiedShuffleSplit(10, train_size=0.9, random_state=1).split(x, [f"o{label}" for label in labels])
    splits = [Split(np.sort(train), np.sort(test), None) for train, test in drawn]
    prepared = prepare(y, splits)
    value, error = json.loads((shared / "oracles/brainscore_vision_2.4.2.json").read_text())["brainscore"][
        "neuron_to_neuron"
    ]
    for precision, bound in ((np.float64, 1e-12), (np.float32, 1e-6)):
        median = np.median(scores(matched(x.astype(precision), prepared), prepared).value, axis=1)
        assert abs(median.mean() - value) < bound
        assert abs(median.std() / np.sqrt(10) - error) < bound


@pytest.mark.parametrize("absolute", [False, True])
def test_every_number_equals_a_loop_over_units(absolute: bool) -> None:
    x, y = data()
    y[3:9, 0] = np.nan
    y[30:45, 1] = np.nan
    x[:, 7] = 0.3
    splits = kfold(60, folds=4, seed=0)
    prepared = prepare(y, splits, absolute=absolute, keep=True)
    found = matched(x, prepared)
    result = scores(found, prepared)
    signs = set()
    for i, split in enumerate(splits):
        train = correlations(x[split.train], y[split.train])
        unit = np.nanargmax(np.abs(train) if absolute else train, axis=0)
        sign = np.sign(train[unit, range(6)]) if absolute else np.ones(6)
        signs |= set(sign)
        np.testing.assert_array_equal(result.details["unit"][i], unit)
        np.testing.assert_allclose(result.details["train_r"][i], train[unit, range(6)], atol=1e-12)
        for j in range(6):
            test = split.test[np.isfinite(y[split.test, j])]
            assert abs(result.value[i, j] - sign[j] * pearsonr(x[test, unit[j]], y[test, j])[0]) < 1e-12
        inner = []
        for part in split.validation or ():
            rest = np.setdiff1d(split.train, part)
            train = correlations(x[rest], y[rest])
            unit = np.nanargmax(np.abs(train) if absolute else train, axis=0)
            sign = np.sign(train[unit, range(6)]) if absolute else np.ones(6)
            inner.append(sign * np.diagonal(correlations(x[part][:, unit], y[part])))
        np.testing.assert_allclose(result.selection[i], np.mean(inner, axis=0), atol=1e-12)
        assert found.activity is not None
        np.testing.assert_array_equal(found.activity[i], x[:, result.details["unit"][i]])
    assert signs == ({-1.0, 1.0} if absolute else {1.0})
    assert not result.notes


def test_a_layer_in_float32_far_from_zero() -> None:
    x, y = data()
    x = x / x.std(axis=0) + 30
    prepared = prepare(y, kfold(60, folds=4, seed=0))
    exact, single = matched(x.astype(np.float32).astype(np.float64), prepared), matched(x.astype(np.float32), prepared)
    np.testing.assert_array_equal(single.unit, exact.unit)
    np.testing.assert_allclose(single.train, exact.train, atol=1e-6)
    np.testing.assert_allclose(single.test, exact.test, atol=3e-6)  # few stimuli, not centred on their own mean


def test_units_constant_in_training_are_never_chosen() -> None:
    x, y = data(units=5)
    split = Split(np.arange(40), np.arange(40, 60), None)
    x[:40, 1:] = 0.1  # the only unit left is number 0, whatever its correlation
    x[:40, 3] = np.float32(0.7)
    for given in (x, x.astype(np.float32)):
        prepared = prepare(y, [split])
        assert (matched(given, prepared, (0, 2)).unit == 0).all()
        result = scores(matched(given[:, 1:], prepared, (0,)), prepared)
        assert (result.details["unit"] == -1).all()
        assert np.isnan(result.value).all()
        assert np.isnan(result.selection).all()


def test_constant_neuroids_and_units_constant_in_the_test_part_are_nan() -> None:
    x, y = data(units=5)
    split = Split(np.arange(40), np.arange(40, 60), None)
    y[:, 0] = 3.1
    y[40:, 1] = 1.7
    y[:40, 2] = x[:40, 4]
    x[40:, 4] = 0.1
    result = scores(matched(x, prepare(y, [split]), (0,)), prepare(y, [split]))
    np.testing.assert_array_equal(np.isnan(result.value[0]), [True, True, True, False, False, False])
    np.testing.assert_array_equal(result.details["unit"][0, [0, 2]], [-1, 4])
    assert "training correlation" in result.notes[0]


@pytest.mark.parametrize("absolute", [False, True])
def test_assignment_without_reuse_equals_the_dense_one(absolute: bool) -> None:
    x, y = data()
    y = np.concatenate([y, y + 0.1 * np.random.default_rng(1).normal(size=y.shape)], axis=1)  # rivals for every unit
    y[50:, 3] = np.nan
    splits = kfold(60, folds=4, seed=0)
    prepared = prepare(y, splits, reuse=False, absolute=absolute)
    found = scores(assign(matched(x, prepared), prepared), prepared)
    reused = scores(matched(x, prepare(y, splits, absolute=absolute)), prepare(y, splits, absolute=absolute))
    for i, split in enumerate(splits):
        train = correlations(x[split.train], y[split.train])
        size = np.abs(train) if absolute else train
        unit = found.details["unit"][i]
        assert len(set(unit)) == 12 > len(set(reused.details["unit"][i]))
        assert abs(size[linear_sum_assignment(-size)].sum() - size[unit, range(12)].sum()) < 1e-9
        sign = np.sign(train[unit, range(12)]) if absolute else 1
        test = sign * np.diagonal(correlations(x[split.test][:, unit], y[split.test]))
        np.testing.assert_allclose(found.value[i], test, atol=1e-12)


def test_fewer_units_than_neuroids_cannot_be_assigned() -> None:
    x, y = data(units=4)
    prepared = prepare(y, kfold(60, folds=4, seed=0), reuse=False)
    with pytest.raises(InputError, match=r"4 units that vary .* 6 neuroids"):
        assign(matched(x, prepared, (0,)), prepared)


def test_what_cannot_be_used_is_refused() -> None:
    _, y = data()
    with pytest.raises(InputError, match="infinity"):
        prepare(np.where(y > 2, np.inf, y), kfold(60, folds=4, seed=0))
    with pytest.raises(InputError, match="take_units"):
        prepare(y, kfold(60, folds=4, seed=0), reuse=False, keep=True)


def test_units_are_taken_from_the_blocks_they_lie_in() -> None:
    x = data()[0].astype(np.float32)
    wanted = np.array([149, 3, 100, 3, 99])
    into = np.full((60, 5), np.nan, np.float32)
    for start, stop in ((0, 75), (75, 150)):
        take_units(blocks(x[:, start:stop], 25), start, wanted, into)
    np.testing.assert_array_equal(into, x[:, wanted])
