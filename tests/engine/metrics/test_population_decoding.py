import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from engine.errors import InputError
from engine.metrics.population_decoding import score_layer
from engine.splits import kfold

CATEGORIES = np.repeat([f"c{i}" for i in range(8)], 30)
SPLITS = kfold(240, folds=4, seed=0)


def neurons(neuroids: int = 60) -> np.ndarray:
    rng = np.random.default_rng(0)
    means = np.repeat(rng.normal(size=(8, neuroids)), 30, axis=0)
    return 5 + rng.uniform(0.5, 3, neuroids) * (0.6 * means + rng.normal(size=(240, neuroids)))


def test_units_that_are_copies_decode_as_the_neurons_do_and_not_in_another_order() -> None:
    y = neurons()
    rng = np.random.default_rng(1)
    copies = -2 + 7 * y + 1e-3 * rng.normal(size=y.shape)  # another scale and offset, hardly any noise
    found = score_layer(np.stack([copies] * 4), y, CATEGORIES, SPLITS, random=rng.normal(size=(240, 100)))
    np.testing.assert_allclose(found.value, found.details["neurons"], atol=1 / 60 + 1e-9)  # one stimulus of 60
    assert found.value.mean() > 0.9
    # One of 8 categories by chance. An accuracy of 240 stimuli has a standard error of .02; populations of random
    # units and orders are averaged over 20.
    assert abs(found.details["shuffled"].mean() - 1 / 8) < 0.06
    assert abs(found.details["random_units"].mean() - 1 / 8) < 0.06
    assert np.isnan(found.selection).all()


def test_noisy_copies_lie_between_the_bounds() -> None:
    y = neurons()
    noisy = y + 3 * y.std(axis=0) * np.random.default_rng(2).normal(size=y.shape)
    found = score_layer(np.stack([noisy] * 4), y, CATEGORIES, SPLITS)
    assert found.details["shuffled"].mean() + 0.2 < found.value.mean() <= found.details["neurons"].mean()
    assert np.isnan(found.details["random_units"]).all()


def test_the_upper_bound_and_chance_by_hand() -> None:
    y = neurons(12)
    y[:, 3] = 1.7
    categories = ["a"] * 100 + list(CATEGORIES[100:])
    matched = np.random.default_rng(3).normal(size=(4, 240, 12))
    matched[1, :, 5] = np.nan
    found = score_layer(matched, y, categories, SPLITS, shuffles=1)
    for i, split in enumerate(SPLITS):
        used = [j for j in range(12) if j != 3 and not (i == 1 and j == 5)]
        labels = np.array(categories)
        reference = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))
        reference.fit(y[split.train][:, used], labels[split.train])
        assert found.details["neurons"][i, 0] == reference.score(y[split.test][:, used], labels[split.test])
        assert found.details["chance"][i, 0] == np.mean(labels[split.test] == "a")
    assert found.notes[0].startswith("population decoding: 5 of 48 pairs")


def test_what_cannot_be_decoded_is_refused() -> None:
    y = neurons(12)
    matched = np.stack([y] * 4)
    gaps = y.copy()
    gaps[3:5, 2] = np.nan
    with pytest.raises(InputError, match="2 are missing, of 1 of 12 neuroids"):
        score_layer(matched, gaps, CATEGORIES, SPLITS)
    with pytest.raises(InputError, match="wanted splits x stimuli x neuroids"):
        score_layer(matched[:3], y, CATEGORIES, SPLITS)
    with pytest.raises(InputError, match="239 categories for 240 stimuli"):
        score_layer(matched, y, CATEGORIES[1:], SPLITS)
    with pytest.raises(InputError, match="1 categories"):
        score_layer(matched, y, ["a"] * 240, SPLITS)
    with pytest.raises(InputError, match="draw more units"):
        score_layer(matched, y, CATEGORIES, SPLITS, random=y[:, :5])
    with pytest.raises(InputError, match="no neuroid has a unit"):
        score_layer(np.full((4, 240, 12), np.nan), y, CATEGORIES, SPLITS)
