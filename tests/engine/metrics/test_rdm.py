import numpy as np
import pytest
import rsatoolbox
from scipy.spatial.distance import pdist, squareform

from engine.errors import InputError
from engine.gram import Summary
from engine.metrics.rdm import (
    DISTANCES,
    SHRINKAGES,
    Distance,
    Shrinkage,
    crossnobis_rdm,
    layer_rdm,
    mahalanobis_rdm,
    noise_covariance,
    response_rdm,
)

SCIPY = {"euclidean": "euclidean", "squared_euclidean": "sqeuclidean", "correlation": "correlation", "cosine": "cosine"}


def activations(stimuli: int = 20, units: int = 300) -> np.ndarray:
    # A mean pattern common to all stimuli, as layers have.
    rng = np.random.default_rng(0)
    return rng.normal(size=(stimuli, units)) + 3 * rng.normal(size=units) + 1.5


def summary(x: np.ndarray, dtype: type = np.float64) -> Summary:
    shift = x[:8].mean(axis=0)
    z = x - shift
    return Summary((z @ z.T).astype(dtype), x.sum(axis=1), z @ shift, float(shift @ shift), x.shape[1])


def repetitions(repeats: int = 5, stimuli: int = 9, neuroids: int = 6) -> np.ndarray:
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(neuroids, neuroids))
    return rng.normal(size=(stimuli, neuroids)) + rng.normal(size=(repeats, stimuli, neuroids)) @ mixing


def dataset(repeats: np.ndarray) -> rsatoolbox.data.Dataset:
    count, stimuli, neuroids = repeats.shape
    descriptors = {
        "stimulus": np.tile(np.arange(float(stimuli)), count),
        "repeat": np.repeat(np.arange(float(count)), stimuli),
    }
    return rsatoolbox.data.Dataset(repeats.reshape(-1, neuroids), obs_descriptors=descriptors)


@pytest.mark.parametrize("distance", DISTANCES)
def test_equals_scipy_on_the_raw_activations(distance: Distance) -> None:
    x = activations()
    wanted = squareform(pdist(x, SCIPY[distance]))
    np.testing.assert_allclose(layer_rdm(summary(x), distance), wanted, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(response_rdm(x, distance), wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_float32_gram_matrix_costs_its_own_rounding_only(distance: Distance) -> None:
    x = activations()
    wanted = squareform(pdist(x, SCIPY[distance]))
    assert np.abs(layer_rdm(summary(x, np.float32), distance) - wanted).max() < 2e-6 * wanted.max()


def test_identical_stimuli_are_at_distance_zero_and_never_below() -> None:
    x = activations()
    x[7] = x[3]
    for distance in DISTANCES:
        for rdm in (layer_rdm(summary(x), distance), response_rdm(x, distance)):
            assert 0 <= rdm[3, 7] < 1e-6  # a square root of a rounding error
            assert (np.diag(rdm) == 0).all()
            assert (rdm == rdm.T).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_stimulus_without_spread_over_units_has_no_correlation(dtype: type) -> None:
    x = activations()
    x[4] = 0.3
    missing = np.zeros((20, 20), bool)
    missing[4] = missing[:, 4] = True
    assert (np.isnan(layer_rdm(summary(x, dtype), "correlation")) == missing).all()
    assert (np.isnan(response_rdm(x, "correlation")) == missing).all()
    assert np.isfinite(layer_rdm(summary(x, dtype), "cosine")).all()
    x[4] = 0.0
    assert (np.isnan(layer_rdm(summary(x, dtype), "cosine")) == missing).all()
    assert (np.isnan(response_rdm(x, "cosine")) == missing).all()
    assert np.isfinite(response_rdm(x, "euclidean")).all()


@pytest.mark.parametrize("method", SHRINKAGES)
def test_noise_covariance_equals_rsatoolbox(method: Shrinkage) -> None:
    x = repetitions()
    wanted = rsatoolbox.data.noise.cov_from_unbalanced(dataset(x), "stimulus", method=method)
    np.testing.assert_allclose(noise_covariance(x, method), wanted, rtol=1e-11, atol=1e-12)


def test_mahalanobis_and_crossnobis_equal_rsatoolbox() -> None:
    x = repetitions()
    data = dataset(x)
    covariance = noise_covariance(x, "shrinkage_diag")
    precision = np.linalg.inv(covariance)
    wanted = rsatoolbox.rdm.calc_rdm(data, method="mahalanobis", descriptor="stimulus", noise=precision)
    np.testing.assert_allclose(
        mahalanobis_rdm(x.mean(axis=0), covariance), wanted.get_matrices()[0], rtol=1e-11, atol=1e-12
    )
    for given, noise in ((covariance, precision), (None, None)):
        wanted = rsatoolbox.rdm.calc_rdm(
            data, method="crossnobis", descriptor="stimulus", noise=noise, cv_descriptor="repeat"
        )
        np.testing.assert_allclose(crossnobis_rdm(x, given), wanted.get_matrices()[0], rtol=1e-10, atol=1e-11)


def test_crossnobis_is_unbiased_where_mahalanobis_is_not() -> None:
    # Stimuli 0 and 1 are alike: their distance is zero, seen through noise 1000 times.
    rng = np.random.default_rng(2)
    signal = rng.normal(size=(4, 5))
    signal[1] = signal[0]
    found = np.array([crossnobis_rdm(signal + rng.normal(size=(3, 4, 5)), None)[0] for _ in range(1000)])
    error = found.std(axis=0) / np.sqrt(1000)
    truth = np.sum((signal[0] - signal) ** 2, axis=1) / 5
    assert (np.abs(found.mean(axis=0) - truth) <= 4 * error).all()
    assert (found[:, 1] < 0).any()
    noisy = [mahalanobis_rdm((signal + rng.normal(size=(3, 4, 5))).mean(axis=0), np.eye(5))[0, 1] for _ in range(200)]
    assert np.mean(noisy) > 0.5  # 2 / 3, twice the variance of a mean of three


def test_what_cannot_be_compared_is_refused() -> None:
    x = activations()
    x[2, 5] = np.nan
    with pytest.raises(InputError, match="1 of 300 neuroids lack responses"):
        response_rdm(x, "euclidean")
    with pytest.raises(InputError, match="did you mean correlation"):
        response_rdm(activations(), "correlations")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(InputError, match="noise needs at least 2"):
        crossnobis_rdm(repetitions(1), None)
    with pytest.raises(InputError, match="has no inverse"):
        mahalanobis_rdm(activations(), np.zeros((300, 300)))
    with pytest.raises(InputError, match="300 x 300 neuroids"):
        mahalanobis_rdm(activations(), np.eye(6))
    silent = repetitions()
    silent[:, :, 2] = 1.0
    with pytest.raises(InputError, match="1 of 6 neuroids never vary"):
        noise_covariance(silent, "shrinkage_diag")
