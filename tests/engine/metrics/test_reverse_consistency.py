import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge

from engine.errors import InputError
from engine.metrics.reverse import prepare, score_block
from engine.metrics.reverse_consistency import corrected_block, explained_variance, predict_block
from engine.splits import kfold, shuffle_splits

SPLITS = [split._replace(validation=None) for split in kfold(60, folds=5, seed=0)]


def data(noise: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Repetitions x stimuli x neuroids, and the units."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(60, 8))
    return truth + noise * rng.normal(size=(10, 60, 8)), truth @ rng.normal(size=(8, 5)) + rng.normal(size=(60, 5)) + 3


def pooled(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    guess = np.empty_like(y)
    for split in SPLITS:
        guess[split.test] = Ridge(penalty).fit(x[split.train], y[split.train]).predict(x[split.test])
    return guess


def test_equals_the_protocol_restated_with_scikit_learn() -> None:
    repeats, units = data()
    halvings = [(repeats[:5].mean(0), repeats[5:].mean(0)), (repeats[::2].mean(0), repeats[1::2].mean(0))]
    halves = [(prepare(a, SPLITS, [0.1]), prepare(b, SPLITS, [0.1])) for a, b in halvings]
    found = corrected_block(prepare(repeats.mean(0), SPLITS, [0.1]), halves, units)
    whole = pooled(repeats.mean(0), units, 0.1)
    for j in range(5):
        rho = []
        for a, b in halvings:
            c = pearsonr(pooled(a, units, 0.1)[:, j], pooled(b, units, 0.1)[:, j])[0]
            rho.append(2 * c / (1 + c))
        r = pearsonr(whole[:, j], units[:, j])[0]
        assert abs(found.details["r"][0, j] - r) < 1e-10
        assert abs(found.details["consistency"][0, j] - np.mean(rho)) < 1e-10
        assert abs(found.value[0, j] - r**2 / np.mean(rho)) < 1e-10


def test_predictions_use_the_chosen_penalties() -> None:
    repeats, units = data()
    splits = kfold(60, folds=5, seed=0)
    ready = prepare(repeats[0], splits, [1e-3, 10.0, 1e3])
    guess, chosen = predict_block(ready, units), score_block(ready, units).details["penalty"]
    assert len(np.unique(chosen)) > 1
    for split, penalties in zip(splits, chosen, strict=True):
        for j, penalty in enumerate(penalties):
            model = Ridge(penalty).fit(repeats[0][split.train], units[split.train, j])
            np.testing.assert_allclose(guess[split.test, j], model.predict(repeats[0][split.test]), atol=1e-9)


def test_noise_free_predictors_need_no_correction() -> None:
    repeats, units = data(noise=0)
    ready = prepare(repeats.mean(0), SPLITS, [0.1])
    found = corrected_block(ready, [(prepare(repeats[0], SPLITS, [0.1]), prepare(repeats[1], SPLITS, [0.1]))], units)
    np.testing.assert_allclose(found.details["consistency"], 1, atol=1e-12)
    np.testing.assert_allclose(found.value, found.details["r"] ** 2, atol=1e-12)


def test_units_without_a_consistent_prediction_have_no_score() -> None:
    np.testing.assert_allclose(explained_variance(np.array([0.6, -0.6]), np.array([0.9, 0.4]), 0.8), [0.5, 1.125])
    assert np.isnan(explained_variance(np.array([0.6]), np.array([-0.1]))).all()
    repeats, units = data()
    units[:, 1] = 4
    ready = prepare(repeats[0], SPLITS, [0.1])
    opposite = prepare(-repeats[0], SPLITS, [0.1])  # predicts the same: the map turns with it
    found = corrected_block(ready, [(ready, opposite)], units)
    np.testing.assert_array_equal(np.isnan(found.value[0]), [False, True, False, False, False])
    assert found.notes == ("1 of 5 units are constant over all stimuli and have no score",)


def test_folds_that_do_not_test_each_stimulus_once_are_refused() -> None:
    repeats, units = data()
    ready = prepare(repeats[0], shuffle_splits(60, splits=3, train_size=0.8, inner_folds=3, seed=1), [0.1])
    with pytest.raises(InputError, match="need k folds"):
        predict_block(ready, units)
    with pytest.raises(InputError, match="no halving"):
        corrected_block(prepare(repeats[0], SPLITS, [0.1]), [], units)
