import numpy as np
from scipy.stats import pearsonr

from engine.ceilings import known, masked_pearson, spearman_brown, split_half


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


def test_no_ceiling_where_it_cannot_be_known() -> None:
    assert np.isnan(split_half(np.ones((1, 20, 2)))).all()
    constant = simulated(6, 1.0, neuroids=2)[1]
    constant[:, :, 0] = 3.0
    assert np.isnan(split_half(constant)[0])
    assert np.isfinite(split_half(constant)[1])


def test_spearman_brown_of_half() -> None:
    assert spearman_brown(np.array([0.5]))[0] == 2 / 3
