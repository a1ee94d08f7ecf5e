"""What the figures are made of: SIMULATED layers and populations, of which the right answer is known."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from engine.gram import Summary, summarise
from engine.solvers.folds import Split
from engine.splits import kfold


def folds(stimuli: int) -> list[Split]:
    return kfold(stimuli, folds=5, seed=0)


def spectrum(stimuli: int, dimensions: int, rng: np.random.Generator, power: float = 0.5) -> np.ndarray:
    """Stimuli x dimensions, independent, the standard deviation of dimension k falling as k to minus the power."""
    return rng.standard_normal((stimuli, dimensions)) * np.arange(1, dimensions + 1) ** -power


def mixed(sources: np.ndarray, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Random mixtures of the sources, of variance 1 each."""
    values = sources @ rng.standard_normal((sources.shape[1], columns))
    return standard(values)


def standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(axis=0)) / values.std(axis=0)


def noisy(truth: np.ndarray, reliability: float | np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Columns of variance 1 with noise added, so that they have this reliability."""
    share = np.sqrt(1 / np.asarray(reliability) - 1)
    return truth + share * rng.standard_normal(truth.shape)


def summary(units: np.ndarray) -> Summary:
    """Of a layer given as stimuli x units, in float64."""
    with jax.enable_x64(True):
        return summarise([jnp.asarray(units, jnp.float64)], len(units))


def median(value: np.ndarray) -> float:
    """Median over neuroids of the mean over splits."""
    return float(np.nanmedian(np.nanmean(value, axis=0)))


def medians(values: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([median(value) for value in values])
