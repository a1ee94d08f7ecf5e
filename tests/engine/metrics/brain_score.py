"""The problem that Brain-Score's own metrics were run on, and what it makes of it."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import pearsonr

from engine.gram import Summary
from engine.solvers.folds import Split
from engine.splits import shuffle_splits

STIMULI, UNITS, NEUROIDS, REPEATS = 200, 300, 30, 10


class Case(NamedTuple):
    """Attributes:
    features, responses: over the same stimuli.
    splits: Brain-Score's ten, stratified, and last the one of its metrics with given train and test stimuli. Without
        inner folds, as nothing compared here is chosen on them.
    expected: metric -> score and error; for the metrics of one split score and penalty.
    """

    features: np.ndarray
    responses: np.ndarray
    splits: list[Split]
    expected: dict[str, tuple[float, float]]


def case(shared: Path) -> Case:
    random = np.random.RandomState(7)  # the expected numbers were made with this generator, in this order
    features = random.randn(STIMULI, UNITS) * np.linspace(2, 0.1, UNITS)
    signal = features @ (random.randn(UNITS, NEUROIDS) / np.sqrt(UNITS))
    responses = (signal + random.randn(REPEATS, STIMULI, NEUROIDS)).mean(axis=0)
    strata = [f"object {i % 8}" for i in range(STIMULI)]
    splits = shuffle_splits(STIMULI, splits=10, train_size=0.9, inner_folds=2, seed=1, strata=strata)
    splits.append(Split(np.arange(150), np.arange(150, STIMULI), None))
    expected = json.loads((shared / "oracles" / "brainscore_vision_2.4.2.json").read_text())["brainscore"]
    return Case(features, responses, [split._replace(validation=None) for split in splits], expected)


def summary(features: np.ndarray, dtype: type = np.float64) -> Summary:
    """Of a layer, shifted by the mean of all stimuli."""
    mean = features.mean(axis=0)
    x = (features - mean).astype(dtype)
    return Summary(x @ x.T, features.sum(axis=1), x @ mean, float(mean @ mean), x.shape[1])


def correlations(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Pearson r of each column."""
    return np.array([pearsonr(*pair)[0] for pair in zip(predicted.T, measured.T, strict=True)])
