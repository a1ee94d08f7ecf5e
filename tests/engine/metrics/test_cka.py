import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import StratifiedShuffleSplit

from engine.errors import InputError
from engine.gram import Summary
from engine.metrics.cka import Cka, Estimator, compare_layer, neuron_corrected_hsic, population_cka, score_layer
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


def enumerated_hsic(k: np.ndarray, l: np.ndarray) -> float:  # noqa: E741  as in the formula
    """Mean over all ordered quadruples of distinct stimuli of k12 l12 + k12 l34 - 2 k12 l13."""
    terms = [k[a, b] * (l[a, b] + l[c, d] - 2 * l[a, c]) for a, b, c, d in itertools.permutations(range(len(k)), 4)]
    return float(np.mean(terms))


@pytest.mark.parametrize(("estimator", "name"), [("unbiased", "cka"), ("biased", "cka_biased")])
def test_equals_brain_score(shared: Path, estimator: Estimator, name: str) -> None:
    x, y = population()
    assert abs(compare_layer(summary(x), y, Cka(estimator))[0] - brain_score(shared, name)[0]) < 1e-10


def test_equals_brain_score_cross_validated(shared: Path) -> None:
    x, y = population()
    design = StratifiedShuffleSplit(10, test_size=0.9, random_state=1).split(x, np.arange(200) % 8)
    value = score_layer(summary(x), y, [Split(train, test, None) for train, test in design], Cka()).value[:, 0]
    mean, error = brain_score(shared, "cka_cv")
    assert abs(value.mean() - mean) < 1e-10
    assert abs(value.std() / np.sqrt(10) - error) < 1e-10


def test_unbiased_equals_the_mean_over_quadruples_of_stimuli() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 5)) + 2, rng.normal(size=(7, 3)) - 1
    k, l = x @ x.T, y @ y.T  # noqa: E741  as in the formula
    wanted = enumerated_hsic(k, l) / np.sqrt(enumerated_hsic(k, k) * enumerated_hsic(l, l))
    assert abs(compare_layer(summary(x), y, Cka())[0] - wanted) < 1e-11


def test_feature_correction_equals_the_mean_over_quadruples_of_stimuli_and_pairs_of_neurons() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(6, 4)) + 2, rng.normal(size=(6, 3)) - 1

    def within(given: np.ndarray) -> float:
        kernels = [np.outer(one, one) for one in given.T]
        return float(np.mean([enumerated_hsic(*pair) for pair in itertools.permutations(kernels, 2)]))

    assert abs(neuron_corrected_hsic(x) - within(x)) < 1e-11
    assert abs(neuron_corrected_hsic(y) - within(y)) < 1e-11
    common = rng.normal(size=(8, 2))  # neurons much alike, so that the ratio is defined
    x, y = common @ rng.uniform(0.5, 1.5, size=(2, 4)), common @ rng.uniform(0.5, 1.5, size=(2, 3))
    between = enumerated_hsic(x @ x.T / 4, y @ y.T / 3)
    assert within(x) > 0
    assert within(y) > 0
    assert abs(population_cka(x, y) - between / np.sqrt(within(x) * within(y))) < 1e-11
    wanted = between / np.sqrt(enumerated_hsic(x @ x.T / 4, x @ x.T / 4) * within(y))
    assert abs(compare_layer(summary(x), y, Cka("feature_corrected"))[0] - wanted) < 1e-11


def test_feature_correction_does_not_depend_on_the_number_of_neurons() -> None:
    # Two populations of 200 neurons that see the same 6 features of 60 stimuli in different ways.
    rng = np.random.default_rng(2)
    features = rng.normal(size=(60, 6))
    scales = np.ones(6), np.linspace(0.3, 2, 6)
    first, second = (features * scale @ rng.normal(size=(6, 200)) for scale in scales)
    whole = neuron_corrected_hsic(first)
    for size in (4, 30):
        found = np.array([neuron_corrected_hsic(first[:, rng.permutation(200)[:size]]) for _ in range(400)])
        assert abs(found.mean() - whole) < 4 * found.std() / np.sqrt(400)
    truth = population_cka(first, second)
    parts, uncorrected = [], []
    for _ in range(300):
        x, y = first[:, rng.permutation(200)[:10]], second[:, rng.permutation(200)[:10]]
        within = neuron_corrected_hsic(x), neuron_corrected_hsic(y)
        parts.append((population_cka(x, y) * np.sqrt(within[0] * within[1]), *within))
        uncorrected.append(compare_layer(summary(x), y, Cka())[0])
    # Of the unbiased parts the means are divided: the ratio of single samples is not unbiased.
    mean = np.mean(parts, axis=0)
    ratio = mean[0] / np.sqrt(mean[1] * mean[2])
    error = np.std(ratio * (np.array(parts) / mean) @ [1, -0.5, -0.5]) / np.sqrt(300)
    assert abs(ratio - truth) < 4 * error < 0.1
    assert np.mean(uncorrected) < truth - 0.2


def test_unrelated_data_are_alike_only_for_the_biased_estimator() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(100, 2000)), rng.normal(size=(100, 2000))
    assert compare_layer(summary(x), y, Cka("biased"))[0] > 0.9
    assert abs(compare_layer(summary(x), y, Cka())[0]) < 0.1
    x, rotation = x[:, :50], np.linalg.qr(rng.normal(size=(50, 50)))[0]
    assert abs(compare_layer(summary(x), 3 * x @ rotation + 1, Cka())[0] - 1) < 1e-12


def test_each_split_uses_its_own_stimuli_only() -> None:
    x, y = population()
    x, y = x[:40], y[:40]
    splits = kfold(40, folds=4, seed=0)
    found = score_layer(summary(x), y, splits, Cka())
    assert found.value.shape == found.selection.shape == (4, 1)
    for i, split in enumerate(splits):
        assert abs(found.value[i, 0] - compare_layer(summary(x[split.test]), y[split.test], Cka())[0]) < 1e-11
        assert abs(found.selection[i, 0] - compare_layer(summary(x[split.train]), y[split.train], Cka())[0]) < 1e-11
    assert np.isnan(score_layer(summary(x), y, None, Cka()).selection).all()


def test_what_is_not_defined() -> None:
    x, y = population()
    constant = np.ones_like(x)
    assert compare_layer(summary(constant), y, Cka())[0] == 0  # Brain-Score's rule
    assert np.isnan(compare_layer(summary(constant), y, Cka("biased"))[0])
    missing = y.copy()
    missing[3, 4] = np.nan
    with pytest.raises(InputError, match="1 of 30 neuroids lack responses"):
        compare_layer(summary(x), missing, Cka())
    with pytest.raises(InputError, match="for a layer over 200"):
        compare_layer(summary(x), y[:-1], Cka())
    with pytest.raises(InputError, match="at least 4 stimuli, got 3"):
        score_layer(summary(x), y, [Split(np.arange(100), np.arange(100, 103), None)], Cka())
    with pytest.raises(InputError, match="at least 2 neuroids"):
        compare_layer(summary(x), y[:, :1], Cka("feature_corrected"))
    with pytest.raises(InputError, match="unknown CKA estimator"):
        compare_layer(summary(x), y, Cka("debiased"))  # type: ignore[arg-type]  # wrong on purpose
