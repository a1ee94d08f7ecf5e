import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr

from engine.ceilings import internal_consistency, known, masked_pearson, spearman_brown, split_half
from engine.errors import InputError


def simulated(repetitions: int, noise: float, neuroids: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(300, neuroids))
    return truth, truth + noise * rng.normal(size=(repetitions, 300, neuroids))


def test_recovers_the_reliability_of_the_average() -> None:
    # Variance 1 of signal, 4 / 10 of noise in the average over 10: reliability 1 / 1.4.
    truth, repeats = simulated(10, 2.0)
    assert abs(np.median(split_half(repeats)) - 1 / 1.4) < 0.02
    assert abs(np.median(known(truth, repeats.mean(axis=0))) - 1 / 1.4) < 0.02


def test_equals_a_loop_over_halvings() -> None:
    _, repeats = simulated(7, 1.0, neuroids=3)
    rng = np.random.default_rng(5)
    values = []
    for _ in range(4):
        order = rng.permutation(7)
        a, b = repeats[order[:3]].mean(axis=0), repeats[order[3:6]].mean(axis=0)
        r = np.array([pearsonr(a[:, i], b[:, i])[0] for i in range(3)])
        values.append(2 * r / (1 + r))
    np.testing.assert_allclose(split_half(repeats, halvings=4, seed=5), np.mean(values, axis=0), rtol=1e-12)


def test_missing_presentations_are_left_out_not_counted_as_zero() -> None:
    _, repeats = simulated(10, 1.0)
    holes = repeats + 5.0  # a mean far from zero, so that a hole counted as zero would show
    holes[np.random.default_rng(1).random(holes.shape) < 0.1] = np.nan
    assert abs(np.median(split_half(holes)) - np.median(split_half(repeats + 5.0))) < 0.02


def test_pearson_over_present_pairs_equals_scipys() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 40, 3))
    has_a, has_b = rng.random((2, 40, 3)) > 0.2
    found = masked_pearson(a, has_a, b, has_b)
    for i in range(3):
        both = has_a[:, i] & has_b[:, i]
        assert abs(found[i] - pearsonr(a[both, i], b[both, i])[0]) < 1e-12


def test_constant_columns_correlate_with_nothing_whatever_their_level() -> None:
    b = np.random.default_rng(4).normal(size=(50, 5))
    a = np.broadcast_to([0.1, 0.3, 1e9 + 0.1, 1 / 3, 1e-13], b.shape)
    present = b < 2  # some missing
    assert present.sum() < b.size
    assert np.isnan(masked_pearson(a, present, b, present)).all()
    assert np.isnan(masked_pearson(b, present, a, present)).all()
    # The means of 3 and of 2 equal responses differ by rounding, which is no variation.
    means = np.where(present, (a + a + a) / 3, (a + a) / 2)
    everywhere = np.ones_like(present)
    assert np.isnan(masked_pearson(means, everywhere, b, everywhere)).all()


@pytest.mark.parametrize("unit", [1e-100, 1e-13, 1e9, 1e100])
def test_the_unit_of_the_responses_does_not_matter(unit: float) -> None:
    a, b = np.random.default_rng(5).normal(size=(2, 30, 4))
    present = np.random.default_rng(6).random(a.shape) < 0.8
    wanted = [pearsonr(a[:, i][present[:, i]], b[:, i][present[:, i]]).statistic for i in range(4)]
    assert masked_pearson(unit * a, present, unit * b, present) == pytest.approx(wanted, abs=1e-12)


def test_no_ceiling_where_it_cannot_be_known() -> None:
    assert np.isnan(split_half(np.ones((1, 20, 2)))).all()
    constant = simulated(6, 1.0, neuroids=2)[1]
    constant[:, :, 0] = 3.0
    assert np.isnan(split_half(constant)[0])
    assert np.isfinite(split_half(constant)[1])


def test_spearman_brown_of_half() -> None:
    assert spearman_brown(np.array([0.5]))[0] == 2 / 3


def test_missing_presentations_equal_a_loop_over_halvings() -> None:
    _, repeats = simulated(6, 1.0, neuroids=3)
    rng = np.random.default_rng(3)
    repeats[rng.random(repeats.shape) < 0.3] = np.nan
    repeats[:, :, 2] = np.where(np.isfinite(repeats[:, :, 2]), 3.1, np.nan)  # constant, with holes
    draws = np.random.default_rng(5)
    values = []
    for _ in range(4):
        order = draws.permutation(6)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing
            a, b = np.nanmean(repeats[order[:3]], axis=0), np.nanmean(repeats[order[3:]], axis=0)
        both = np.isfinite(a) & np.isfinite(b)
        r = np.array([pearsonr(a[both[:, i], i], b[both[:, i], i])[0] for i in range(2)])
        values.append(2 * r / (1 + r))
    found = split_half(repeats, halvings=4, seed=5)
    np.testing.assert_allclose(found[:2], np.mean(values, axis=0), rtol=1e-12)
    assert np.isnan(found[2])


def test_internal_consistency_equals_brain_scores(shared: Path) -> None:
    rng = np.random.RandomState(7)  # the draws that Brain-Score was given
    signal = rng.randn(200, 300) * np.linspace(2, 0.1, 300) @ (rng.randn(300, 30) / np.sqrt(300))
    repeats = signal + rng.randn(10, 200, 30)
    wanted = json.loads((shared / "oracles" / "brainscore_vision_2.4.2.json").read_text())
    found = internal_consistency(repeats)
    assert found.neuroids.shape == (10, 30)
    assert abs(found.value - wanted["brainscore"]["internal_consistency"][0]) < 1e-10
    assert abs(found.error - wanted["brainscore"]["internal_consistency"][1]) < 1e-10


def test_internal_consistency_leaves_constant_neuroids_out_of_the_median() -> None:
    _, repeats = simulated(5, 1.0, neuroids=4)
    alone = internal_consistency(repeats[:, :, 1:])
    repeats[:, :, 0] = 0.1
    found = internal_consistency(repeats)
    assert found.value == alone.value
    assert np.isnan(found.neuroids[:, 0]).all()


def test_one_repetition_has_no_internal_consistency() -> None:
    with pytest.raises(InputError, match=r"two or more repetitions .* got 1"):
        internal_consistency(np.ones((1, 20, 2)))
