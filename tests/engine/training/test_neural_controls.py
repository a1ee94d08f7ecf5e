"""What the controls keep, and that nothing of the stimuli is left in them."""

import numpy as np
import pytest
from scipy.stats import norm

from engine.errors import InputError
from engine.training.neural_controls import CONTROLS, derangement, shuffled, surrogate


def counts(stimuli: int = 300, neuroids: int = 20) -> np.ndarray:
    """Skewed spike counts with common causes."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(stimuli, 6)) @ rng.normal(size=(6, neuroids))
    return rng.poisson(np.exp(0.4 * causes + 0.3)).astype(float)


def sampling_error(y: np.ndarray) -> np.ndarray:
    """Standard deviation of each covariance over data sets of that many stimuli: var(x y) / n for centred x and y."""
    centred = y - y.mean(0)
    return np.sqrt(((centred**2).T @ centred**2 / len(y) - np.cov(y.T, ddof=0) ** 2) / len(y))


def largest_by_chance(stimuli: int, comparisons: int) -> float:
    """|r| that the largest of many correlations between unrelated data exceeds once in 1000 (Fisher, Bonferroni)."""
    return float(np.tanh(norm.isf(0.0005 / comparisons) / np.sqrt(stimuli - 3)))


def between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson r of every neuroid with every neuroid."""
    return np.corrcoef(first.T, second.T)[: first.shape[1], first.shape[1] :]


@pytest.mark.parametrize("count", [2, 3, 4, 257])
def test_a_derangement_moves_everything_in_one_cycle(count: int) -> None:
    order = derangement(count, 0)
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    assert (order != np.arange(count)).all()
    place, turns = order[0], 1
    while place != 0:
        place, turns = order[place], turns + 1
    assert turns == count


def test_derangements_are_drawn_evenly_and_by_seed() -> None:
    drawn = [tuple(derangement(4, seed)) for seed in range(1200)]
    tally = np.array([drawn.count(each) for each in sorted(set(drawn))])
    assert len(tally) == 6  # (4 - 1)! cycles
    assert ((tally - 200) ** 2 / 200).sum() < 20.5  # chi squared of 5 degrees of freedom, once in 1000
    with pytest.raises(InputError, match="wanted at least 2"):
        derangement(1, 0)


def test_shuffled_responses_are_the_same_vectors_elsewhere() -> None:
    y = counts()
    y[5, 3] = np.nan
    found = shuffled(y, seed=1)
    np.testing.assert_array_equal(found, y[derangement(len(y), 1)])
    assert np.isnan(found).sum() == 1
    whole = np.delete(y, 3, axis=1)
    np.testing.assert_allclose(np.cov(np.delete(found, 3, axis=1).T), np.cov(whole.T), atol=1e-12)


def test_a_surrogate_keeps_the_values_of_every_neuroid_exactly() -> None:
    y = counts()
    np.testing.assert_array_equal(np.sort(surrogate(y, seed=1), axis=0), np.sort(y, axis=0))


@pytest.mark.parametrize(("stimuli", "neuroids", "share"), [(300, 20, 0.3), (40, 60, 0.6)])
def test_a_surrogate_keeps_covariances_closer_than_the_stimuli_tell_them(
    stimuli: int, neuroids: int, share: float
) -> None:
    # Another draw of stimuli would move each covariance by its sampling error, a root mean square of 1; 0.3 and 0.6
    # are the "some tenths" and "half" of the documentation with room for the draw.
    y = counts(stimuli, neuroids)
    off = ~np.eye(neuroids, dtype=bool)
    for seed in (1, 2):
        apart = ((np.cov(surrogate(y, seed=seed).T, ddof=0) - np.cov(y.T, ddof=0)) / sampling_error(y))[off]
        assert np.sqrt(np.mean(apart**2)) < share


@pytest.mark.parametrize("kind", CONTROLS)
def test_nothing_of_the_stimuli_is_left(kind: str) -> None:
    y = counts(neuroids=8)
    # The bound is for independent pairs of normal data; for counts, take ranks.
    ranks = y.argsort(axis=0).argsort(axis=0)
    found = CONTROLS[kind](ranks, seed=1)
    assert np.abs(between(ranks, found)).max() < largest_by_chance(len(y), 64)
    assert np.abs(between(ranks, ranks)).max() > 0.99
    np.testing.assert_array_equal(CONTROLS[kind](y, seed=1), CONTROLS[kind](y, seed=1))
    assert not np.array_equal(CONTROLS[kind](y, seed=1), CONTROLS[kind](y, seed=2))


def test_a_surrogate_of_silent_and_of_equal_neuroids() -> None:
    y = counts(neuroids=5)
    y[:, 1] = 0
    y[:, 2] = y[:, 0]
    found = surrogate(y, seed=1)
    assert (found[:, 1] == 0).all()
    assert np.corrcoef(found[:, 0], found[:, 2])[0, 1] > 0.95


def test_what_a_surrogate_refuses() -> None:
    y = counts()
    y[3, :2] = np.nan
    with pytest.raises(InputError, match="2 of 20 neuroids lack responses"):
        surrogate(y, seed=0)
    with pytest.raises(InputError, match="at least 3"):
        surrogate(y[:2, 3:], seed=0)
