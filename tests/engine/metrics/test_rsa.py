import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.model_selection import StratifiedShuffleSplit

from engine.errors import InputError
from engine.gram import Summary
from engine.metrics.rdm import response_rdm
from engine.metrics.rsa import Rsa, compare_layer, score_layer
from engine.solvers.folds import Split
from engine.splits import kfold


def summary(x: np.ndarray) -> Summary:
    shift = x[:8].mean(axis=0)
    return Summary((x - shift) @ (x - shift).T, x.sum(axis=1), (x - shift) @ shift, float(shift @ shift), x.shape[1])


def population() -> tuple[np.ndarray, np.ndarray]:
    """200 stimuli of 8 kinds, in turn: 300 units of falling scale, 30 neurons averaged over 10 noisy repetitions."""
    random = np.random.RandomState(7)  # the expected numbers were made with this generator
    x = random.randn(200, 300) * np.linspace(2, 0.1, 300)
    signal = x @ (random.randn(300, 30) / np.sqrt(300))
    return x, (signal + random.randn(10, 200, 30)).mean(axis=0)


def brain_score(shared: Path, name: str) -> tuple[float, float]:
    return json.loads((shared / "oracles" / "brainscore_vision_2.4.2.json").read_text())["brainscore"][name]


def test_equals_brain_score(shared: Path) -> None:
    x, y = population()
    found = compare_layer(summary(x), response_rdm(y, "correlation")[None], Rsa())
    assert abs(found[0] - brain_score(shared, "rdm")[0]) < 1e-10


def test_equals_brain_score_cross_validated(shared: Path) -> None:
    x, y = population()
    design = StratifiedShuffleSplit(10, test_size=0.9, random_state=1).split(x, np.arange(200) % 8)
    splits = [Split(train, test, None) for train, test in design]
    value = score_layer(summary(x), response_rdm(y, "correlation")[None], splits, Rsa()).value[:, 0]
    mean, error = brain_score(shared, "rdm_cv")
    assert abs(value.mean() - mean) < 1e-10
    assert abs(value.std() / np.sqrt(10) - error) < 1e-10


def test_each_split_uses_its_own_stimuli_only() -> None:
    x, y = population()
    x, y = x[:40, :50], y[:40]
    rdms = np.stack([response_rdm(y[:, :15], "euclidean"), response_rdm(y[:, 15:], "euclidean")])
    splits = kfold(40, folds=4, seed=0)
    found = score_layer(summary(x), rdms, splits, Rsa("euclidean", "spearman"))
    assert found.value.shape == found.selection.shape == (4, 2)
    for i, split in enumerate(splits):
        for j, neurons in enumerate((y[:, :15], y[:, 15:])):
            for scores, stimuli in ((found.value, split.test), (found.selection, split.train)):
                wanted = spearmanr(pdist(x[stimuli]), pdist(neurons[stimuli]))[0]
                assert abs(scores[i, j] - wanted) < 1e-12
    everything = score_layer(summary(x), rdms, None, Rsa("euclidean", "spearman"))
    assert abs(everything.value[0, 1] - spearmanr(pdist(x), pdist(y[:, 15:]))[0]) < 1e-12
    assert np.isnan(everything.selection).all()


def test_a_stimulus_the_layer_does_not_see_is_missing_and_named() -> None:
    x, y = population()
    x, rdms = x[:40, :50].copy(), response_rdm(y[:40], "correlation")[None]
    splits = kfold(40, folds=4, seed=0)
    x[splits[2].test[0]] = 0.0
    found = score_layer(summary(x), rdms, splits, Rsa())
    assert np.isnan(found.value[:, 0]).tolist() == [False, False, True, False]
    assert np.isnan(found.selection[:, 0]).tolist() == [True, True, False, True]
    assert "1 of 40 stimuli" in found.notes[0]
    assert not score_layer(summary(x), rdms, splits, Rsa("euclidean", "spearman")).notes


def test_what_does_not_fit_is_refused() -> None:
    x, y = population()
    rdm = response_rdm(y, "correlation")
    with pytest.raises(InputError, match="wanted subjects x 200 x 200"):
        compare_layer(summary(x), rdm, Rsa())
    with pytest.raises(InputError, match="at least 3"):
        score_layer(summary(x), rdm[None], [Split(np.arange(150), np.arange(150, 152), None)], Rsa())
    missing = rdm.copy()
    missing[3, 5] = missing[5, 3] = np.nan
    with pytest.raises(InputError, match="1 dissimilarities of 19900 that are NaN"):
        compare_layer(summary(x), missing[None], Rsa())
