"""Against loops over scikit-learn, and simulations whose answer is known."""

import warnings

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge

from engine.ceilings.from_neuroids import noise_corrected_from_neuroids
from engine.ceilings.predictivity import NoiseCorrected, noise_corrected
from engine.errors import InputError
from engine.solvers.folds import Split
from engine.solvers.ridge import nested_ridge
from engine.splits import kfold, shuffle_splits

SPLITS = kfold(60, folds=3, seed=0)


def data(repetitions: int = 5, units: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, units))
    signal = x @ rng.normal(size=(units, 4)) / np.sqrt(units)
    return x, signal + rng.normal(size=(repetitions, 60, 4))


def fitted(x: np.ndarray, y: np.ndarray, split: Split, penalty: float) -> np.ndarray:
    there = np.isfinite(y[split.train])
    return Ridge(penalty).fit(x[split.train][there], y[split.train][there]).predict(x[split.test])


def mean(values: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a stimulus without responses
        return np.nanmean(values, axis=0)


def loop(x: np.ndarray, y: np.ndarray, split: Split, penalty: float, halvings: int) -> list[float]:
    """One neuroid's corrected score, raw score, reliabilities and number of halvings. y: repetitions x stimuli."""
    draws, half = np.random.default_rng(3), len(y) // 2
    seen = np.isfinite(mean(y))
    test = split.test[seen[split.test]]
    split = Split(split.train, test, None)
    raw = pearsonr(fitted(x, mean(y), split, penalty), mean(y)[test])[0]
    values = []
    for _ in range(halvings):
        order = draws.permutation(len(y))
        one, other = mean(y[order[:half]]), mean(y[order[half:]])
        if np.isnan(one[seen]).any() or np.isnan(other[seen]).any():
            continue
        of_map = pearsonr(fitted(x, one, split, penalty), fitted(x, other, split, penalty))[0]
        of_responses = pearsonr(one[test], other[test])[0]
        of_map, of_responses = 2 * of_map / (1 + of_map), 2 * of_responses / (1 + of_responses)
        values.append((raw / np.sqrt(of_map * of_responses), of_map, of_responses))
    corrected, of_map, of_responses = np.mean(values, axis=0)
    return [corrected, raw, of_map, of_responses, len(values)]


def at(found: NoiseCorrected, split: int, neuroid: int) -> list[float]:
    return [float(each[split, neuroid]) for each in found]


def test_equals_a_loop_over_scikit_learn() -> None:
    x, y = data()
    found = noise_corrected(x @ x.T, y, SPLITS, [20.0], halvings=4, seed=3)
    for number, split in enumerate(SPLITS):
        for neuroid in range(4):
            wanted = loop(x, y[:, :, neuroid], split, 20.0, 4)
            np.testing.assert_allclose(at(found, number, neuroid), wanted, rtol=1e-10)


def test_halvings_with_missing_trials_are_skipped_neuroid_by_neuroid() -> None:
    x, y = data(repetitions=6)
    y[0, 5, 1] = np.nan  # every half still has responses
    y[2:, 9, 2] = np.nan  # two responses left: halves with both of them on one side are skipped
    y[:, 11:14, 3] = np.nan  # stimuli that this neuroid never saw
    found = noise_corrected(x @ x.T, y, SPLITS, [20.0], halvings=8, seed=3)
    for number, split in enumerate(SPLITS):
        for neuroid in range(4):
            wanted = loop(x, y[:, :, neuroid], split, 20.0, 8)
            np.testing.assert_allclose(at(found, number, neuroid), wanted, rtol=1e-10)
    assert 0 < found.halvings[0, 2] < 8
    assert (found.halvings[:, [0, 1, 3]] == 8).all()


def test_penalties_are_chosen_on_the_averages_and_shared_by_the_halves() -> None:
    x, y = data()
    grid = [0.5, 40.0, 3000.0]
    found = noise_corrected(x @ x.T, y, SPLITS, grid, halvings=3, seed=3)
    chosen = nested_ridge(x @ x.T, y.mean(axis=0), SPLITS, grid).penalty_index
    assert len(np.unique(chosen)) > 1
    for number, split in enumerate(SPLITS):
        for neuroid in range(4):
            wanted = loop(x, y[:, :, neuroid], split, grid[chosen[number, neuroid]], 3)
            np.testing.assert_allclose(at(found, number, neuroid), wanted, rtol=1e-9)


def test_a_neuroid_without_responses_or_repetitions_is_nan_alone() -> None:
    x, y = data()
    for penalties in ([20.0], [0.5, 40.0, 3000.0]):
        whole = noise_corrected(x @ x.T, y, SPLITS, penalties, halvings=3)
        holes = y.copy()
        holes[:, :, 1] = np.nan
        holes[1:, :, 2] = np.nan
        found = noise_corrected(x @ x.T, holes, SPLITS, penalties, halvings=3)
        assert (found.halvings[:, [1, 2]] == 0).all()
        assert np.isnan(found.corrected[:, [1, 2]]).all()
        assert np.isnan(found.raw[:, 1]).all()
        np.testing.assert_allclose(found.corrected[:, [0, 3]], whole.corrected[:, [0, 3]], rtol=1e-12)
    with pytest.raises(InputError, match="none of 3 halvings"):
        noise_corrected(x @ x.T, holes[:, :, 1:3], SPLITS, [20.0], halvings=3)


def test_without_noise_nothing_is_corrected() -> None:
    x, y = data()
    found = noise_corrected(x @ x.T, np.broadcast_to(y[0], y.shape), SPLITS, [20.0], halvings=4)
    np.testing.assert_allclose(found.corrected, found.raw, rtol=1e-12)
    np.testing.assert_allclose(found.predictions, 1, rtol=1e-12)
    np.testing.assert_allclose(found.responses, 1, rtol=1e-12)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_noisy_data_corrected_score_what_noise_free_data_would(share: float) -> None:
    # Responses are a share of what the layer's 8 units say and the rest of what they do not, plus noise of the same
    # variance in each of 4 trials. At share 1 the layer is the true model.
    rng = np.random.default_rng(4)
    x = rng.normal(size=(320, 8))
    seen, unseen = x @ rng.normal(size=(8, 150)), rng.normal(size=(320, 150))
    signal = np.sqrt(share) * seen / seen.std(axis=0) + np.sqrt(1 - share) * unseen
    y = signal + rng.normal(size=(4, 320, 150))
    splits = shuffle_splits(320, splits=4, train_size=0.5, inner_folds=3, seed=0)
    found = noise_corrected(x @ x.T, y, splits, [1e-3], halvings=30)
    wanted = []
    for split in splits:
        guess = Ridge(1e-3).fit(x[split.train], signal[split.train]).predict(x[split.test])
        wanted.append([pearsonr(a, b)[0] for a, b in zip(guess.T, signal[split.test].T, strict=True)])
    if share == 1:
        np.testing.assert_allclose(wanted, 1, rtol=1e-8)  # the map is shrunk by 1e-5 only
    apart = (found.corrected - wanted).mean(axis=0)
    error = apart.std(ddof=1) / np.sqrt(150)
    assert error < 0.005
    # Four standard errors over neuroids, and .003 for the correction's own bias at 160 test stimuli.
    assert abs(apart.mean()) < 4 * error + 0.003
    assert np.mean(wanted) - found.raw.mean() > 0.07


def test_from_neuroids_equals_a_loop_over_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    latent = rng.normal(size=(60, 6))
    x, y = (latent @ rng.normal(size=(6, k)) + rng.normal(size=(r, 60, k)) for r, k in ((6, 7), (4, 3)))
    x[2:, 8, 1] = np.nan  # halves with both responses on one side are skipped
    splits = SPLITS[:2]
    neurons = noise_corrected_from_neuroids(x, y, splits, 3.0, halvings=5, seed=3)
    units = noise_corrected_from_neuroids(x, y[0], splits, 3.0, halvings=5, seed=3)
    draws, own_draws = np.random.default_rng(3), np.random.default_rng(3)
    orders = [(draws.permutation(6), own_draws.permutation(4)) for _ in range(5)]
    for number, split in enumerate(splits):
        for target in range(3):
            raw = pearsonr(fitted(mean(x), mean(y)[:, target], split, 3.0), mean(y)[split.test, target])[0]
            values, consistencies = [], []
            for order, own in orders:
                one, other = mean(x[order[:3]]), mean(x[order[3:]])
                if np.isnan(one).any() or np.isnan(other).any():
                    continue
                a, b = mean(y[own[:2]])[:, target], mean(y[own[2:]])[:, target]
                of_map = pearsonr(fitted(one, a, split, 3.0), fitted(other, b, split, 3.0))[0]
                of_responses = pearsonr(a[split.test], b[split.test])[0]
                of_map, of_responses = 2 * of_map / (1 + of_map), 2 * of_responses / (1 + of_responses)
                values.append((raw / np.sqrt(of_map * of_responses), of_map, of_responses))
                same = [fitted(half, y[0, :, target], split, 3.0) for half in (one, other)]
                consistencies.append(2 * pearsonr(*same)[0] / (1 + pearsonr(*same)[0]))
            assert 0 < len(values) < 5
            corrected, of_map, of_responses = np.mean(values, axis=0)
            wanted = [corrected, raw, of_map, of_responses, len(values)]
            np.testing.assert_allclose(at(neurons, number, target), wanted, rtol=1e-10)
            assert abs(units.predictions[number, target] - np.mean(consistencies)) < 1e-12
            assert abs(units.responses[number, target] - 1) < 1e-12


def test_what_the_data_cannot_support_is_refused() -> None:
    x, y = data()
    with pytest.raises(InputError, match=r"two or more repetitions .* got 1"):
        noise_corrected(x @ x.T, y[:1], SPLITS, [1.0])
    with pytest.raises(InputError, match="wanted a kernel of 60 x 60"):
        noise_corrected(x, y, SPLITS, [1.0])
    with pytest.raises(InputError, match=r"two or more repetitions .* got 1"):
        noise_corrected_from_neuroids(y[:1], x, SPLITS, 1.0)
    holes = y.copy()
    holes[:, 3, 1] = np.nan
    with pytest.raises(InputError, match="1 of 4 predicting neuroids have no response"):
        noise_corrected_from_neuroids(holes, x, SPLITS, 1.0)
    holes = y.copy()
    holes[1:, 3, 1] = np.nan
    with pytest.raises(InputError, match="in each of 10 halvings"):
        noise_corrected_from_neuroids(holes, x, SPLITS, 1.0)
    with pytest.raises(InputError, match="targets hold values that are missing"):
        noise_corrected_from_neuroids(y, holes, SPLITS, 1.0)
