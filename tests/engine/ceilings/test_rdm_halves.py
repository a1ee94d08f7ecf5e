import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, spearmanr

from engine.ceilings.halves import random_halves
from engine.ceilings.rdm_halves import rdm_split_half
from engine.errors import InputError
from engine.metrics.rdm import response_rdm
from engine.metrics.rdm_comparison import compare


def recorded(repetitions: int, noise: float, seed: int) -> np.ndarray:
    signal = np.random.default_rng(0).normal(size=(40, 30))
    return signal + noise * np.random.default_rng(seed).normal(size=(repetitions, *signal.shape))


def test_equals_a_loop_over_halvings() -> None:
    repeats = recorded(5, 1.0, 1)
    found = rdm_split_half(repeats, "correlation", "spearman", halvings=6, seed=3)
    wanted = []
    for one, other in zip(*random_halves(5, 6, 3, leave_one_out=True), strict=True):
        rdms = [pdist(repeats[half > 0].mean(axis=0), "correlation") for half in (one, other)]
        wanted.append(spearmanr(*rdms).statistic)
    assert found.halvings == pytest.approx(wanted, abs=1e-12)
    whole = [2 * r / (1 + r) for r in wanted]
    assert (found.value, found.spread) == pytest.approx((np.mean(whole), np.std(whole)), abs=1e-12)


def test_without_noise_an_rdm_repeats_itself() -> None:
    found = rdm_split_half(recorded(4, 0.0, 1), "squared_euclidean", "pearson", halvings=3)
    assert found.value == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_it_is_the_similarity_with_another_recording_of_as_many_repetitions(noise: float) -> None:
    found = rdm_split_half(recorded(10, noise, 2), "correlation", "pearson", halvings=50)
    rdms = [response_rdm(recorded(10, noise, seed).mean(axis=0), "correlation")[None] for seed in range(3, 23)]
    again = [compare(a, b, "pearson")[0, 0] for a, b in zip(rdms[::2], rdms[1::2], strict=True)]
    # A hundredth of scatter between recordings, and what the squares of noise take.
    assert found.value == pytest.approx(np.mean(again), abs=0.03)
    truth = pdist(recorded(1, 0.0, 0)[0], "correlation")
    above = np.triu_indices(40, 1)
    reached = np.mean([pearsonr(truth, rdm[0][above]).statistic for rdm in rdms])
    assert np.sqrt(found.value) == pytest.approx(reached, abs=0.03)


def test_what_the_data_cannot_support_is_refused() -> None:
    repeats = recorded(4, 1.0, 1)
    with pytest.raises(InputError, match="needs two or more repetitions"):
        rdm_split_half(repeats[:1], "correlation", "spearman")
    silent = repeats.copy()
    silent[:, 3] = 0
    with pytest.raises(InputError, match="1 of 40 stimuli have no correlation distance"):
        rdm_split_half(silent, "correlation", "spearman", halvings=2)
    repeats[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="1 of 30 neuroids lack responses"):
        rdm_split_half(repeats, "correlation", "spearman")
