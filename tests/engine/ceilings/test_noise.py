import numpy as np
import pytest

from engine.ceilings.noise import (
    explainable_variance,
    explained,
    noise_ceiling_percent,
    noise_ceiling_snr,
    signal_power,
)
from engine.errors import InputError


def simulated(repetitions: int = 5, stimuli: int = 80, neuroids: int = 4) -> np.ndarray:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(stimuli, neuroids)) * [2.0, 1.0, 0.5, 1.0]
    return signal + 3.0 + rng.normal(size=(repetitions, stimuli, neuroids))


def with_holes(repeats: np.ndarray) -> np.ndarray:
    """Uneven repetitions, the same for all neuroids: two or more of each stimulus."""
    kept = np.random.default_rng(1).integers(2, len(repeats) + 1, repeats.shape[1])
    return np.where(np.arange(len(repeats))[:, None, None] < kept[:, None], repeats, np.nan)


def as_list(repeats: np.ndarray) -> list[np.ndarray]:
    """One array of repetitions x neuroids for each stimulus, as neuralpredictors wants it."""
    return [own[np.isfinite(own[:, 0])] for own in repeats.swapaxes(0, 1)]


@pytest.mark.parametrize("repeats", [simulated(), with_holes(simulated())], ids=["even", "uneven"])
def test_explained_variance_equals_neuralpredictors(repeats: np.ndarray) -> None:
    reference = pytest.importorskip("neuralpredictors.measures.np_functions")
    predictions = 0.7 * np.nanmean(repeats, axis=0) + 0.9
    targets = as_list(repeats)
    spread_out = [np.broadcast_to(one, own.shape) for one, own in zip(predictions, targets, strict=True)]
    share, of_share = reference.fev(targets, spread_out, return_exp_var=True)
    np.testing.assert_allclose(explainable_variance(repeats), share, rtol=1e-12)
    np.testing.assert_allclose(explained(repeats, predictions), of_share, rtol=1e-11)


def test_explained_variance_equals_its_formula() -> None:
    repeats = with_holes(simulated())
    predictions = 0.7 * np.nanmean(repeats, axis=0) + 0.9
    noise = np.nanvar(repeats, axis=0, ddof=1).mean(axis=0)
    total = np.nanvar(repeats.reshape(-1, 4), axis=0, ddof=1)
    mse = np.nanmean(((repeats - predictions) ** 2).reshape(-1, 4), axis=0)
    np.testing.assert_allclose(explainable_variance(repeats), 1 - noise / total, rtol=1e-12)
    np.testing.assert_allclose(explained(repeats, predictions), 1 - (mse - noise) / (total - noise), rtol=1e-11)


def test_the_signal_explains_all_that_can_be_explained() -> None:
    rng = np.random.default_rng(2)
    signal = rng.normal(size=(2000, 50))
    repeats = signal + rng.normal(size=(4, 2000, 50))
    # Standard error of a neuroid's estimate near sqrt(8 / 8000) = .03, of the mean over 50 near .005.
    assert abs(explained(repeats, signal).mean() - 1) < 0.02
    assert abs(explainable_variance(repeats).mean() - 0.5) < 0.02


@pytest.mark.parametrize("repeats", [simulated(), with_holes(simulated())], ids=["even", "uneven"])
def test_snr_equals_the_formula_for_z_scores(repeats: np.ndarray) -> None:
    flat = repeats.reshape(-1, 4)
    z = (repeats - np.nanmean(flat, axis=0)) / np.nanstd(flat, axis=0, ddof=1)
    noise = np.nanvar(z, axis=0, ddof=1).mean(axis=0)
    np.testing.assert_allclose(noise_ceiling_snr(repeats), np.sqrt((1 - noise) / noise), rtol=1e-11)


def test_noise_ceiling_of_uneven_presentations() -> None:
    # NSD's own case: A stimuli with 3 trials, B with 2, C with 1.
    snr = np.array([0.5, 0.0, np.inf, np.nan])
    k = np.repeat([3, 2, 1, 0], [5, 3, 2, 4])
    wanted = 100 * 0.25 / (0.25 + (5 / 3 + 3 / 2 + 2) / 10)
    np.testing.assert_allclose(noise_ceiling_percent(snr, k), [wanted, 0, 100, np.nan], rtol=1e-12)
    np.testing.assert_allclose(noise_ceiling_percent(snr[:1], 3), 100 * 0.25 / (0.25 + 1 / 3), rtol=1e-12)


def test_signal_power_is_the_mean_covariance_of_two_repetitions() -> None:
    repeats = simulated()
    found = signal_power(repeats)
    for neuroid in range(4):
        covariance = np.cov(repeats[:, :, neuroid])
        between = covariance[~np.eye(5, dtype=bool)].mean()
        assert abs(found.signal[neuroid] - between) < 1e-12
        assert abs(found.noise[neuroid] - (np.diag(covariance).mean() - between)) < 1e-12


def test_neuroids_without_repetitions_are_nan_alone() -> None:
    repeats = simulated()
    repeats[1:, :, 1] = np.nan
    repeats[:, :, 2] = 3.3  # which repeated addition does not hit exactly
    for found in (explainable_variance(repeats), noise_ceiling_snr(repeats), explained(repeats, repeats[0])):
        assert np.isnan(found[1:3]).all()
        assert np.isfinite(found[[0, 3]]).all()
    assert np.isnan(signal_power(repeats).signal[1])


def test_no_noise_at_all_is_an_infinite_ratio() -> None:
    repeats = np.broadcast_to(simulated()[0], (3, 80, 4))
    assert (noise_ceiling_snr(repeats) == np.inf).all()


def test_what_the_data_cannot_support_is_refused() -> None:
    single = simulated()
    single[1:] = np.nan
    for formula in (explainable_variance, noise_ceiling_snr):
        with pytest.raises(InputError, match="two or more repetitions"):
            formula(single[:1])
        with pytest.raises(InputError, match="no neuroid has two responses to the same stimulus"):
            formula(single)
    with pytest.raises(InputError, match="same number of repetitions"):
        signal_power(with_holes(simulated()))
    with pytest.raises(InputError, match="wanted predictions"):
        explained(simulated(), np.zeros((80, 3)))
    with pytest.raises(InputError, match="wanted how many presentations"):
        noise_ceiling_percent(np.ones(2), 0)
