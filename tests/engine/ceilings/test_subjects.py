import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge

from engine.ceilings.subjects import inter_animal, inter_subject
from engine.errors import InputError
from engine.splits import kfold


def test_bounds_equal_correlations_with_means() -> None:
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(50, 300)) + rng.normal(size=(4, 50, 300))
    responses[1, 7, 0] = np.nan
    found = inter_subject(responses)
    for subject in range(4):
        others = np.nanmean(np.delete(responses, subject, axis=0), axis=0)
        everyone = np.nanmean(responses, axis=0)
        for neuroid in (0, 1, 299):
            own = responses[subject, :, neuroid]
            there = np.isfinite(own)
            assert abs(found.lower[subject, neuroid] - pearsonr(own[there], others[there, neuroid])[0]) < 1e-12
            assert abs(found.upper[subject, neuroid] - pearsonr(own[there], everyone[there, neuroid])[0]) < 1e-12


def test_each_animal_is_predicted_by_refits_on_all_others() -> None:
    rng = np.random.default_rng(1)
    latent = rng.normal(size=(60, 4))
    animals = {name: latent @ rng.normal(size=(4, 3)) + rng.normal(size=(60, 3)) for name in "abc"}
    splits = kfold(60, folds=3, seed=0)
    found = inter_animal(animals, splits, [0.05])
    assert {name: r.shape for name, r in found.items()} == dict.fromkeys("abc", (3, 3))
    others = np.concatenate([animals["a"], animals["c"]], axis=1)
    penalty = 0.05 * 60 * others.var(axis=0).sum() / 60
    for number, split in enumerate(splits):
        guess = Ridge(penalty).fit(others[split.train], animals["b"][split.train]).predict(others[split.test])
        for neuroid in range(3):
            wanted = pearsonr(guess[:, neuroid], animals["b"][split.test, neuroid])[0]
            assert abs(found["b"][number, neuroid] - wanted) < 1e-10


def test_what_the_data_cannot_support_is_refused() -> None:
    with pytest.raises(InputError, match="two or more subjects"):
        inter_subject(np.ones((1, 10, 2)))
    splits = kfold(12, folds=3, seed=0)
    x = np.random.default_rng(0).normal(size=(12, 2))
    with pytest.raises(InputError, match="two or more subjects, got 1"):
        inter_animal({"a": x}, splits, [1.0])
    with pytest.raises(InputError, match="different numbers of stimuli"):
        inter_animal({"a": x, "b": x[:5]}, splits, [1.0])
    with pytest.raises(InputError, match="subject 'b' lacks 1 of 24 responses"):
        inter_animal({"a": x, "b": np.where(np.arange(24).reshape(12, 2) == 3, np.nan, x)}, splits, [1.0])
