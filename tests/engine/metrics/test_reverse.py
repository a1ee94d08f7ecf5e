import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from engine.errors import InputError
from engine.metrics.reverse import prepare, score_block
from engine.metrics.reverse_units import evenly_spaced, unit_sample
from engine.solvers.folds import Split
from engine.splits import kfold, shuffle_splits

GRID = (1e-2, 1.0, 1e2)


def data(stimuli: int = 60, neuroids: int = 9, units: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(stimuli, neuroids)) + 5
    signal = responses @ rng.normal(size=(neuroids, units)) / 3
    return responses, signal + rng.normal(size=(stimuli, units)) * np.geomspace(0.1, 30, units) + 2


def predicted(x: np.ndarray, y: np.ndarray, fitted: np.ndarray, others: np.ndarray, penalty: float) -> np.ndarray:
    return Ridge(penalty).fit(x[fitted], y[fitted]).predict(x[others])


DESIGNS = {
    "k-fold": kfold(60, folds=4, seed=0),
    "random splits": shuffle_splits(60, splits=3, train_size=0.8, inner_folds=3, seed=1),
    "some stimuli unused": [Split(np.arange(0, 40), np.arange(45, 60), (np.arange(0, 9), np.arange(7, 20)))],
}


@pytest.mark.parametrize(("design", "neuroids"), [*((name, 9) for name in DESIGNS), ("k-fold", 80)])
def test_ridge_equals_refits_of_every_fold_and_penalty(design: str, neuroids: int) -> None:
    splits = DESIGNS[design]
    x, y = data(neuroids=neuroids)
    found = score_block(prepare(x, splits, GRID), y)
    for i, split in enumerate(splits):
        inner = np.zeros((len(GRID), y.shape[1]))
        for part in split.validation or ():
            fitted = np.setdiff1d(split.train, part)
            for g, penalty in enumerate(GRID):
                guess = predicted(x, y, fitted, part, penalty)
                inner[g] += r2_score(y[part], guess, multioutput="raw_values") / len(split.validation or ())
        np.testing.assert_array_equal(found.details["penalty"][i], np.array(GRID)[inner.argmax(axis=0)])
        np.testing.assert_allclose(found.selection[i], inner.max(axis=0), rtol=0, atol=1e-9)
        for j, penalty in enumerate(found.details["penalty"][i]):
            guess = predicted(x, y[:, j], split.train, split.test, penalty)
            assert abs(found.value[i, j] - pearsonr(guess, y[split.test, j])[0]) < 1e-9
    assert len(np.unique(found.details["penalty"])) > 1
    assert found.notes == ()


def test_one_penalty_needs_no_inner_folds() -> None:
    x, y = data()
    splits = [split._replace(validation=None) for split in DESIGNS["k-fold"]]
    found = score_block(prepare(x, splits, [0.1]), y)
    for i, split in enumerate(splits):
        guess = predicted(x, y, split.train, split.test, 0.1)
        wanted = [pearsonr(*pair)[0] for pair in zip(guess.T, y[split.test].T, strict=True)]
        np.testing.assert_allclose(found.value[i], wanted, atol=1e-10)
    assert np.isnan(found.selection).all()


def test_blocks_of_units_do_not_change_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data(units=8)
    ready = prepare(x, DESIGNS["k-fold"], GRID)
    whole = score_block(ready, y)
    parts = [score_block(ready, y[:, :4]), score_block(ready, y[:, 4:])]
    np.testing.assert_allclose(np.concatenate([part.value for part in parts], axis=1), whole.value, atol=1e-12)
    monkeypatch.setattr("engine.metrics.reverse.WIDTH", 4)
    pieces = score_block(ready, y[:, :7])  # the last piece is filled up
    np.testing.assert_allclose(pieces.value, whole.value[:, :7], atol=1e-12)
    np.testing.assert_array_equal(pieces.details["penalty"], whole.details["penalty"][:, :7])


def test_float32_units_give_the_same_scores_to_five_digits() -> None:
    x, y = data()
    ready = prepare(x, DESIGNS["k-fold"], [1.0])
    single = score_block(ready, y.astype(np.float32))
    assert single.value.dtype == np.float32
    np.testing.assert_allclose(single.value, score_block(ready, y).value, atol=1e-5)


@pytest.mark.parametrize("unit", [2.0**-40, 2.0**32])
def test_the_size_of_activations_does_not_matter(unit: float) -> None:
    # Powers of 2, so that nothing is rounded anew; sums of squares in float32 reach 1e-22 and 1e24.
    x, y = data()
    ready, single = prepare(x, DESIGNS["k-fold"], GRID), y.astype(np.float32)
    np.testing.assert_allclose(score_block(ready, unit * single).value, score_block(ready, single).value, rtol=1e-5)


def test_units_that_do_not_vary_have_no_score_and_are_counted() -> None:
    x, y = data()
    splits = DESIGNS["k-fold"]
    y[:, 0] = 1 / 3
    y[splits[1].test, 1] = 0.1
    y[splits[2].train, 2] = 0.1
    found = score_block(prepare(x, splits, GRID), y)
    wanted = np.zeros(found.value.shape, bool)
    wanted[:, [0, 2]] = wanted[1, 1] = True  # unit 2 varies in one test part alone
    np.testing.assert_array_equal(np.isnan(found.value), wanted)
    assert found.notes == ("1 of 7 units are constant over all stimuli and have no score",)
    # A unit that is constant in one inner fold scores 0 there and is chosen for by the others.
    assert np.isfinite(found.selection).all()
    for i in (0, 2, 3):
        scores = np.zeros(len(GRID))
        for part in splits[i].validation or ():
            fitted = np.setdiff1d(splits[i].train, part)
            if np.ptp(y[part, 1]):
                scores += [r2_score(y[part, 1], predicted(x, y[:, 1], fitted, part, a)) / 3 for a in GRID]
        assert abs(found.selection[i, 1] - scores.max()) < 1e-9


def test_layers_are_evenly_spaced_from_first_to_last() -> None:
    layers = [f"l{i}" for i in range(15)]
    assert evenly_spaced(layers, 8) == [f"l{i}" for i in range(0, 15, 2)]
    assert evenly_spaced(layers[:16], 2) == ["l0", "l14"]
    assert evenly_spaced(layers[:5], 8) == layers[:5]
    assert evenly_spaced(layers, 1) == ["l0"]


def test_units_are_drawn_without_repetition_and_repeatably() -> None:
    drawn = unit_sample(5000, 1000, seed=3)
    assert len(np.unique(drawn)) == 1000
    assert (np.diff(drawn) > 0).all()
    assert drawn.max() < 5000
    np.testing.assert_array_equal(drawn, unit_sample(5000, 1000, seed=3))
    assert (drawn != unit_sample(5000, 1000, seed=4)).any()
    np.testing.assert_array_equal(unit_sample(10, 1000, seed=0), np.arange(10))


def test_bad_input_is_refused() -> None:
    x, y = data()
    splits = DESIGNS["k-fold"]
    missing = x.copy()
    missing[:3, 2] = np.nan
    with pytest.raises(InputError, match="1 of 9 neuroids lack 3 responses"):
        prepare(missing, splits, GRID)
    with pytest.raises(InputError, match="positive penalties"):
        prepare(x, splits, [0.0])
    with pytest.raises(InputError, match="not leave-one-out"):
        prepare(x, [splits[0]._replace(validation=None)], GRID)
    ready = prepare(x, splits, GRID)
    with pytest.raises(InputError, match="60 stimuli x units, got shape"):
        score_block(ready, y[:50])
    y[0, 0] = np.inf
    with pytest.raises(InputError, match="1 of 7 units are not finite"):
        score_block(ready, y)
    for call in (lambda: unit_sample(5, 0, 0), lambda: evenly_spaced(["a"], 0)):
        with pytest.raises(InputError, match="wanted 1 or more"):
            call()
