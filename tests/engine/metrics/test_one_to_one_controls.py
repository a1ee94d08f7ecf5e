from itertools import combinations

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest, ortho_group, pearsonr
from sklearn.decomposition import PCA

from engine.errors import InputError
from engine.metrics import one_to_one
from engine.metrics.one_to_one import match_block, prepare, scores
from engine.metrics.one_to_one_controls import (
    best_component,
    best_of,
    component_scores,
    correlations,
    permuted,
    rotated_units,
    sample_units,
)
from engine.splits import kfold

SPLITS = kfold(60, folds=3, seed=0)


def data(units: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, units)) * rng.uniform(0.5, 5, units)
    y = x[:, :3] + rng.normal(size=(60, 3))
    y[4:9, 1] = np.nan
    return x, y


def test_permuted_responses_choose_and_true_ones_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_to_one, "WIDTH", 32)
    x, y = data()
    mixed = permuted(y, SPLITS, seed=3)
    prepared = prepare(y, SPLITS, fitted=mixed)
    single = x.astype(np.float32)
    found = scores(match_block([jnp.asarray(single)], 0, prepared), prepared)
    for i, split in enumerate(SPLITS):
        for j in range(3):
            has = split.train[np.isfinite(y[split.train, j])]
            assert not np.array_equal(mixed[i][has, j], y[has, j])
            np.testing.assert_array_equal(np.sort(mixed[i][has, j]), np.sort(y[has, j]))
            assert np.isfinite(mixed[i][:, j]).sum() == len(has)
            train = [pearsonr(unit, mixed[i][has, j])[0] for unit in x[has].T]
            test = split.test[np.isfinite(y[split.test, j])]
            assert found.details["unit"][i, j] == np.argmax(train)
            # Activations in float32.
            assert abs(found.details["train_r"][i, j] - max(train)) < 1e-6
            assert abs(found.value[i, j] - pearsonr(x[test, np.argmax(train)], y[test, j])[0]) < 1e-6
    assert "training correlation" in found.notes[0]


def test_permuted_responses_do_not_find_units_that_copy_the_neurons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_to_one, "WIDTH", 32)
    rng = np.random.default_rng(1)
    y = rng.normal(size=(60, 3))
    x = jnp.asarray(np.concatenate([y, rng.normal(size=(60, 17))], axis=1).astype(np.float32))
    true = prepare(y, SPLITS)
    assert scores(match_block([x], 0, true), true).value.min() > 0.999
    null = []
    for seed in range(20):
        prepared = prepare(y, SPLITS, fitted=permuted(y, SPLITS, seed=seed))
        null.append(scores(match_block([x], 0, prepared), prepared).value)
    # 3 of 20 units are the copies, of which one is chosen now and then: a mean of .05, with a standard error of .03.
    assert abs(np.mean(null) - 0.05) < 0.09


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_the_best_of_some_units_is_the_mean_over_all_subsets(count: int, absolute: bool) -> None:
    x, y = data(7)
    x[SPLITS[0].train, 5] = 0.1  # not drawn in the first split, only 6 units are
    r = correlations(x, y, SPLITS)
    found = best_of(r, count, absolute=absolute)
    for i in range(3):
        units = [u for u in range(7) if i or u != 5]
        for j in range(3):
            values = []
            for subset in combinations(units, count):
                size = {u: abs(r.train[i, u, j]) if absolute else r.train[i, u, j] for u in subset}
                best = max(size, key=lambda u: size[u])
                test = np.nan_to_num(r.test[i, best, j])  # unit 5 is constant over the other splits' test parts
                values.append(test * (np.sign(r.train[i, best, j]) if absolute else 1))
            assert abs(found[i, j] - np.mean(values)) < 1e-12


def test_correlations_leave_missing_responses_out() -> None:
    x, y = data()
    r = correlations(x, y, SPLITS)
    for i, split in enumerate(SPLITS):
        for part, found in ((split.train, r.train), (split.test, r.test)):
            has = part[np.isfinite(y[part, 1])]
            np.testing.assert_allclose(found[i, :, 1], [pearsonr(unit, y[has, 1])[0] for unit in x[has].T], atol=1e-12)


def test_more_units_than_there_are_give_nan() -> None:
    x, y = data(7)
    assert np.isnan(best_of(correlations(x, y, SPLITS), 8)).all()


def test_the_best_component_is_that_of_pca() -> None:
    x, y = data()
    found = best_component(x @ x.T, y, SPLITS)
    for i, split in enumerate(SPLITS):
        z = PCA().fit(x[split.train]).transform(x)
        for j in range(3):
            train, test = (part[np.isfinite(y[part, j])] for part in (split.train, split.test))
            r = np.array([pearsonr(component, y[train, j])[0] for component in z[train].T])
            best = np.abs(r).argmax()
            assert found.details["component"][i, j] == best
            assert abs(found.selection[i, j] - abs(r[best])) < 1e-9
            assert abs(found.value[i, j] - np.sign(r[best]) * pearsonr(z[test, best], y[test, j])[0]) < 1e-9
    first = best_component(x @ x.T, y, SPLITS, components=1)
    assert (first.details["component"] == 0).all()
    size = np.abs(component_scores(x @ x.T, SPLITS[0].train, 2))
    np.testing.assert_allclose(size, np.abs(PCA(2).fit(x[SPLITS[0].train]).transform(x)), atol=1e-9)


@pytest.mark.parametrize("units", [20, 200])
def test_a_rotated_layer_keeps_its_gram_matrix_and_loses_its_units(units: int) -> None:
    x, _ = data(units)
    x = x - x.mean(axis=0)
    rotated = rotated_units(x @ x.T, units, units, seed=1)
    assert rotated.shape == x.shape
    np.testing.assert_allclose(rotated @ rotated.T, x @ x.T, atol=1e-9 * np.trace(x @ x.T))
    assert np.abs(np.corrcoef(rotated.T, x.T)[:units, units:]).max() < 0.9


@pytest.mark.parametrize(("units", "count"), [(8, 3), (20, 15), (20, 2)])
def test_some_rotated_units_are_distributed_as_those_of_a_rotated_layer(units: int, count: int) -> None:
    # A rank of 7: the rest of the layer is drawn directly in the first two cases, as a Wishart matrix in the third.
    x = np.random.default_rng(2).normal(size=(8, units)) * np.linspace(0.1, 2, units)
    x = x - x.mean(axis=0)
    rotations = ortho_group.rvs(units, size=500, random_state=3)
    drawn = [rotated_units(x @ x.T, units, count, seed=seed) for seed in range(500)]
    turned = [(x @ rotation)[:, :count] for rotation in rotations]
    for statistic in (lambda z: z[0, 0], lambda z: (z[0] * z[1]).sum(), lambda z: z[:, 0] @ z[:, 1]):
        assert kstest([statistic(z) for z in drawn], [statistic(z) for z in turned]).pvalue > 0.01


def test_samples_of_units() -> None:
    np.testing.assert_array_equal(sample_units(5, 10), np.arange(5))
    sample = sample_units(1000, 100, seed=1)
    assert len(set(sample)) == 100
    assert (np.diff(sample) > 0).all()


def test_what_cannot_be_drawn_is_refused() -> None:
    x, y = data()
    with pytest.raises(InputError, match="between 1 and all"):
        rotated_units(x @ x.T, 20, 21)
    with pytest.raises(InputError, match="rank 20"):
        rotated_units(x @ x.T, 10, 5)
    with pytest.raises(InputError, match="wanted 1 or more"):
        best_of(correlations(x, y, SPLITS), 0)
    with pytest.raises(InputError, match="at least one of each"):
        sample_units(0, 3)
