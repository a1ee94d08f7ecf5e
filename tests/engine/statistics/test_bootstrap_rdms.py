import numpy as np
import pytest
from rsatoolbox.rdm import RDMs, compare

from engine.errors import InputError
from engine.metrics.rdm_comparison import compare as compare_whole
from engine.statistics.bootstrap import draws
from engine.statistics.bootstrap_rdms import COMPARISONS, Comparison, rdm_similarities

STIMULI = 12
PEER = {"pearson": "corr", "rho_a": "rho-a"}


def rdms(count: int, seed: int) -> np.ndarray:
    """Whole numbers, so that there are ties."""
    return np.random.default_rng(seed).integers(1, 30, (count, STIMULI * (STIMULI - 1) // 2)).astype(float)


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_similarities_equal_rsatoolboxs_of_subsampled_rdms(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound in ("BLOCK", "CACHE", "SIDE_BY_SIDE"):  # several blocks, the last one not full
        monkeypatch.setattr(f"engine.statistics.bootstrap_rdms.{bound}", 8)
    models, measured = rdms(2, 0), rdms(3, 1)
    counts = draws(STIMULI, resamples=20)
    found = rdm_similarities(counts, models, measured, comparison)
    for resample, count in zip(found, counts, strict=True):
        drawn = np.repeat(np.arange(STIMULI), count)
        parts = [RDMs(each).subsample_pattern("index", drawn) for each in (measured, models)]
        np.testing.assert_allclose(resample, compare(*parts, method=PEER.get(comparison, comparison)), atol=1e-12)


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_with_every_stimulus_once_they_are_the_comparison_of_whole_rdms(comparison: Comparison) -> None:
    models, measured = rdms(2, 0), rdms(3, 1)
    found = rdm_similarities(np.ones((1, STIMULI), int), models, measured, comparison)[0]
    np.testing.assert_allclose(found, compare_whole(measured, models, comparison), atol=1e-13)


@pytest.mark.parametrize("comparison", ["spearman", "pearson"])
def test_a_resample_of_pairs_that_are_all_alike_has_no_similarity(comparison: Comparison) -> None:
    counts = np.zeros((2, STIMULI), int)
    counts[:, :2] = 6  # two stimuli: one pair, many times
    counts[1, 2:] = 1
    found = rdm_similarities(counts, rdms(1, 0), rdms(1, 1), comparison)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(InputError, match="which have 45 pairs"):
        rdm_similarities(draws(10), rdms(1, 0), rdms(1, 1), "pearson")
    with pytest.raises(InputError, match="kendall"):
        rdm_similarities(draws(STIMULI), rdms(1, 0), rdms(1, 1), "kendall")  # type: ignore[arg-type]  # wrong on purpose
