import numpy as np
import pytest
from scipy.stats import pearsonr

from engine.ceilings import internal_consistency, split_half
from engine.ceilings.reliability import ESTIMATORS, Estimator, reliability


def recorded() -> tuple[np.ndarray, np.ndarray]:
    """Noise-free responses, and four repetitions whose averages have reliabilities of .5 and .9."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4000, 2))
    noise = np.sqrt(4 * (1 / np.array([0.5, 0.9]) - 1))
    return truth, truth + noise * rng.normal(size=(4, *truth.shape))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_finds_the_reliability_of_the_averages(estimator: Estimator) -> None:
    _, repeats = recorded()
    found, sentence = reliability(estimator, repeats.mean(axis=0), repeats, None)
    assert found == pytest.approx([0.5, 0.9], abs=0.02)  # 4000 stimuli leave an error of about .01
    assert sentence


def test_split_halves_are_those_of_their_names() -> None:
    repeats = recorded()[1][:, :50]
    averages = repeats.mean(axis=0)
    assert reliability("split_half", averages, repeats, None)[0] == pytest.approx(split_half(repeats))
    drawn = internal_consistency(repeats).neuroids
    assert reliability("internal_consistency", averages, repeats, None)[0] == pytest.approx(drawn.mean(axis=0))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_one_neuroid_without_reliability_leaves_the_others_theirs(estimator: Estimator) -> None:
    repeats = np.concatenate([recorded()[1][:, :60]] * 2, axis=2)
    repeats[1:, :, 0] = np.nan  # nothing repeated
    repeats[:, :, 1] = 3.3  # constant
    repeats[:, 7, 2] = np.nan  # one stimulus never shown
    found, _ = reliability(estimator, np.zeros(repeats.shape[1:]), repeats, None)
    assert np.isnan(found).tolist() == [True, True, False, False]
    alone, _ = reliability(estimator, np.zeros((60, 1)), repeats[:, :, 3:], None)
    assert found[3] == pytest.approx(alone[0])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_what_is_not_repeated_has_no_ceiling_and_says_why(estimator: Estimator) -> None:
    _, repeats = recorded()
    averages = repeats[0]
    for given in (None, repeats[:1]):
        found, sentence = reliability(estimator, averages, given, None)
        assert np.isnan(found).all()
        assert sentence == "no repeats: no ceiling"
    # Every stimulus was seen once, in either of two blocks.
    blocks = np.full((2, *averages.shape), np.nan)
    blocks[0, ::2], blocks[1, 1::2] = averages[::2], averages[1::2]
    found, sentence = reliability(estimator, averages, blocks, None)
    assert np.isnan(found).all()
    assert sentence == "no neuroid has two responses to the same stimulus: no ceiling"


def test_of_a_simulation_it_is_known() -> None:
    truth, repeats = recorded()
    averages = repeats.mean(axis=0)
    found, sentence = reliability("split_half", averages, None, truth)
    assert found == pytest.approx([pearsonr(truth[:, i], averages[:, i]).statistic ** 2 for i in range(2)])
    assert sentence.startswith("known")
