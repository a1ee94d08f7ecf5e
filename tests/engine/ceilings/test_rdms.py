import warnings

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from engine.ceilings.rdms import rdm_bounds
from engine.errors import InputError
from engine.metrics.rdm_comparison import Comparison

METHODS: dict[Comparison, str] = {
    "spearman": "spearman",
    "pearson": "corr",
    "kendall": "tau-a",
    "rho_a": "rho-a",
    "cosine": "cosine",
    "whitened_cosine": "cosine_cov",
    "whitened_pearson": "corr_cov",
}


def subjects() -> np.ndarray:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(12, 6))
    return np.stack([squareform(pdist(shared + 0.5 * rng.normal(size=(12, 6)))) * scale for scale in (1, 2, 5, 1)])


@pytest.mark.parametrize("comparison", METHODS)
def test_bounds_equal_rsatoolboxs(comparison: Comparison) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rsatoolbox's own
        rsatoolbox = pytest.importorskip("rsatoolbox")
        rdms = rsatoolbox.rdm.RDMs(np.stack([squareform(rdm) for rdm in subjects()]))
        lower, upper = rsatoolbox.inference.boot_noise_ceiling(rdms, METHODS[comparison])
    found = rdm_bounds(subjects(), comparison)
    assert found.lower.shape == found.upper.shape == (4,)
    # rsatoolbox solves its whitened comparisons iteratively, to about 1e-5
    tolerance = 1e-5 if comparison.startswith("whitened") else 1e-12
    assert abs(found.lower.mean() - lower) < tolerance
    assert abs(found.upper.mean() - upper) < tolerance


def test_the_pooled_rdm_is_the_best_for_cosine() -> None:
    rng = np.random.default_rng(1)
    vectors = np.stack([squareform(rdm) for rdm in subjects()])
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    upper = rdm_bounds(subjects(), "cosine").upper.mean()
    for _ in range(50):
        other = units.mean(axis=0) + 0.01 * rng.normal(size=units.shape[1])
        assert (units @ other).mean() / np.linalg.norm(other) < upper


def test_what_the_data_cannot_support_is_refused() -> None:
    with pytest.raises(InputError, match="two or more subjects, got 1"):
        rdm_bounds(subjects()[:1], "spearman")
    flat = subjects()
    flat[0] = 1 - np.eye(12)
    with pytest.raises(InputError, match="1 of 4 subjects have an RDM without variation"):
        rdm_bounds(flat, "pearson")
