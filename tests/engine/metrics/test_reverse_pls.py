import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.cross_decomposition import PLSRegression

from engine.errors import InputError
from engine.metrics.reverse_pls import prepare_pls, reverse_pls, score_block_pls
from engine.solvers.folds import Split
from engine.splits import kfold, shuffle_splits


def data(stimuli: int = 60, neuroids: int = 12, units: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(stimuli, neuroids)) * np.geomspace(3, 0.3, neuroids) + 5
    return responses, responses @ rng.normal(size=(neuroids, units)) + 3 * rng.normal(size=(stimuli, units)) + 2


def refits(x: np.ndarray, y: np.ndarray, splits: list[Split], components: int) -> tuple[np.ndarray, np.ndarray]:
    r, turns = [], []
    for split in splits:
        model = PLSRegression(components, scale=False).fit(x[split.train], y[split.train])
        guess = model.predict(x[split.test])
        r.append([pearsonr(*pair)[0] for pair in zip(guess.T, y[split.test].T, strict=True)])
        turns.append(model.n_iter_)
    return np.array(r), np.array(turns)


def test_equals_brain_scores_reverse_pls(shared: Path) -> None:
    rng = np.random.RandomState(7)  # the numbers were made from these draws, in this order
    stimuli, units, neuroids, repeats = 200, 300, 30, 10
    model = rng.randn(stimuli, units) * np.linspace(2, 0.1, units)
    signal = model @ (rng.randn(units, neuroids) / np.sqrt(units))
    neural = (signal + rng.randn(repeats, stimuli, neuroids)).mean(axis=0)
    splits = shuffle_splits(
        stimuli, splits=10, train_size=0.9, inner_folds=2, seed=1, strata=[f"o{i % 8}" for i in range(stimuli)]
    )
    medians = np.median(reverse_pls(neural, model, splits).value, axis=1)
    oracle = json.loads((shared / "oracles" / "brainscore_vision_2.4.2.json").read_text())
    value, error = oracle["brainscore"]["reverse_pls"]
    assert abs(medians.mean() - value) < 1e-6
    assert abs(medians.std() / np.sqrt(10) - error) < 1e-6


@pytest.mark.parametrize("units", [7, 90])
def test_equals_scikit_learn_turn_by_turn(units: int) -> None:
    x, y = data(units=units)
    splits = kfold(60, folds=4, seed=0)
    r, turns = refits(x, y, splits, 6)
    np.testing.assert_allclose(reverse_pls(x, y, splits, 6).value, r, atol=1e-9)
    shifted = y - y[:5].mean(axis=0)  # as layers are summarised
    ready = prepare_pls(x, splits, shifted @ shifted.T, y[:, 0], 6)
    np.testing.assert_array_equal(ready.turns, turns)
    assert turns.max() > 5
    for part in (slice(0, 3), slice(3, None)):
        np.testing.assert_allclose(score_block_pls(ready, y[:, part]).value, r[:, part], atol=1e-9)


def test_pieces_of_a_block_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data(units=7)
    splits = kfold(60, folds=4, seed=0)
    whole = reverse_pls(x, y, splits, 6).value
    monkeypatch.setattr("engine.metrics.reverse_pls.WIDTH", 5)
    np.testing.assert_allclose(reverse_pls(x, y, splits, 6).value, whole, atol=1e-10)


def test_units_that_do_not_vary_have_no_score_and_are_counted() -> None:
    x, y = data(units=8)
    splits = kfold(60, folds=4, seed=0)
    y[:, 0] = 1 / 3
    y[splits[1].test, 4] = 0.1
    y[splits[2].train, 5] = 0.1
    found = reverse_pls(x, y, splits, 6)
    wanted = np.zeros(found.value.shape, bool)
    wanted[:, [0, 5]] = wanted[1, 4] = True  # unit 5 varies in one test part alone
    np.testing.assert_array_equal(np.isnan(found.value), wanted)
    assert found.notes == ("1 of 8 units are constant over all stimuli and have no score",)


def test_bad_input_is_refused() -> None:
    x, y = data(units=7)
    splits = kfold(60, folds=4, seed=0)
    with pytest.raises(InputError, match="wanted 1 to 12 components"):
        reverse_pls(x, y, splits)
    with pytest.raises(InputError, match="all 7 units are constant"):
        reverse_pls(x, np.ones_like(y), splits, 6)
    with pytest.raises(InputError, match="wanted a Gram matrix of 60 x 60"):
        prepare_pls(x, splits, y, y[:, 0], 6)
    with pytest.raises(InputError, match="the first unit is constant"):
        prepare_pls(x, splits, y @ y.T, np.ones(60), 6)
