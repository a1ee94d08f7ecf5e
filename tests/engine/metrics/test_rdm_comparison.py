import numpy as np
import pytest
import rsatoolbox
from scipy.spatial.distance import squareform
from scipy.stats import kendalltau, pearsonr, rankdata, spearmanr

import engine.metrics.kendall as kendall
import engine.metrics.rdm_comparison as module
from engine.errors import InputError
from engine.metrics.rdm_comparison import COMPARISONS, Comparison, compare, ranks

STIMULI = 24
RSATOOLBOX = {
    "spearman": "spearman",
    "pearson": "corr",
    "kendall": "tau-a",
    "rho_a": "rho-a",
    "cosine": "cosine",
    "whitened_cosine": "cosine_cov",
    "whitened_pearson": "corr_cov",
}


def rdms(ties: bool) -> tuple[np.ndarray, np.ndarray]:
    """Condensed; with ties, all kinds of pairs: none tied, one, both."""
    rng = np.random.default_rng(0)
    first, second = rng.random((3, 276)), rng.random((4, 276))
    second += first[0]
    if ties:
        first[0], first[1] = np.round(4 * first[0]), np.round(30 * first[1])
        second[0], second[1] = np.round(3 * second[0]), np.round(50 * second[1])
    return first, second


def reference(first: np.ndarray, second: np.ndarray, comparison: str, sigma: np.ndarray | None = None) -> np.ndarray:
    sets = rsatoolbox.rdm.RDMs(first), rsatoolbox.rdm.RDMs(second)
    return rsatoolbox.rdm.compare(*sets, method=RSATOOLBOX[comparison], sigma_k=sigma)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("comparison", COMPARISONS)
def test_equals_rsatoolbox(comparison: Comparison, ties: bool) -> None:
    first, second = rdms(ties)
    wanted = reference(first, second, comparison)
    np.testing.assert_allclose(compare(first, second, comparison), wanted, rtol=0, atol=1e-13)
    square = np.stack([squareform(rdm) for rdm in first]), np.stack([squareform(rdm) for rdm in second])
    square[0][:, np.arange(STIMULI), np.arange(STIMULI)] = np.nan  # the diagonal is ignored
    np.testing.assert_allclose(compare(*square, comparison), wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("comparison", ["whitened_cosine", "whitened_pearson"])
def test_whitening_equals_solving_with_the_covariance_of_the_dissimilarities(comparison: Comparison) -> None:
    # Given a covariance of the stimuli, the peer solves with the m x m matrix by conjugate gradients (rtol 1e-5).
    first, second = rdms(ties=False)
    wanted = reference(first, second, comparison, np.eye(STIMULI))
    np.testing.assert_allclose(compare(first, second, comparison), wanted, rtol=0, atol=1e-5)
    # The same by its definition: V = (C Cᵀ)², element by element, for the contrasts C of all pairs of stimuli.
    i, j = np.triu_indices(STIMULI, 1)
    contrasts = np.eye(STIMULI)[i] - np.eye(STIMULI)[j]
    covariance = (contrasts @ contrasts.T) ** 2
    if comparison == "whitened_pearson":
        first, second = first - first.mean(axis=1, keepdims=True), second - second.mean(axis=1, keepdims=True)
    left, right = np.linalg.solve(covariance, first.T), np.linalg.solve(covariance, second.T)
    norms = np.sqrt(np.sum(first * left.T, axis=1)), np.sqrt(np.sum(second * right.T, axis=1))
    np.testing.assert_allclose(compare(first, second, comparison), first @ right / np.outer(*norms), rtol=0, atol=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_equals_scipy(ties: bool) -> None:
    first, second = rdms(ties)
    for comparison, reference in (("pearson", pearsonr), ("spearman", spearmanr)):
        found = compare(first, second, comparison)
        for i in range(3):
            for j in range(4):
                assert abs(found[i, j] - reference(first[i], second[j])[0]) < 1e-13
    if not ties:  # where tau-a and tau-b are the same
        assert abs(compare(first, second, "kendall")[1, 2] - kendalltau(first[1], second[2])[0]) < 1e-13
    for rdm in first:
        assert (ranks(rdm) == rankdata(rdm)).all()


def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = rdms(ties=True)
    wanted = {comparison: compare(first, second, comparison) for comparison in COMPARISONS}
    monkeypatch.setattr(module, "MEMORY", 2 * 2 * 8 * 300)  # two RDMs at a time
    monkeypatch.setattr(kendall, "BLOCK", 2**9)  # one pair at a time
    for comparison in COMPARISONS:
        np.testing.assert_allclose(compare(first, second, comparison), wanted[comparison], rtol=0, atol=1e-15)


def test_inversions_are_counted_pair_by_pair() -> None:
    rng = np.random.default_rng(1)
    given = np.stack([rng.permutation(512) for _ in range(3)] + [np.arange(512), np.arange(512)[::-1]])
    above = np.triu(np.ones((512, 512), bool), 1)
    wanted = [int(np.sum((row[:, None] > row[None, :]) & above)) for row in given]
    assert kendall.inversions(given.astype(np.int32)).tolist() == wanted
    assert wanted[3:] == [0, 512 * 511 // 2]
    for width in (2, 4, 32, 64):
        row = rng.permutation(width)
        descending = np.sum(np.triu(row[:, None] > row[None, :]))
        assert kendall.inversions(row[None].astype(np.int32)).tolist() == [descending]


def test_what_is_not_defined_is_nan() -> None:
    first, second = rdms(ties=False)
    first[1] = 0.7
    for comparison in ("spearman", "pearson", "whitened_pearson"):
        found = compare(first, second, comparison)
        assert np.isnan(found[1]).all()
        assert np.isfinite(found[[0, 2]]).all()
    for comparison in ("kendall", "rho_a"):  # a model that says nothing agrees with nothing
        assert (compare(first, second, comparison)[1] == 0).all()
    first[1] = 0.0
    for comparison in ("cosine", "whitened_cosine"):
        assert np.isnan(compare(first, second, comparison)[1]).all()


def test_scale_does_not_matter() -> None:
    first, second = rdms(ties=False)
    for comparison in COMPARISONS:
        wanted = compare(first, second, comparison)
        np.testing.assert_allclose(compare(1e-200 * first, 1e200 * second, comparison), wanted, rtol=0, atol=1e-13)


def test_what_is_no_rdm_is_refused() -> None:
    first, second = rdms(ties=False)
    square = np.stack([squareform(rdm) for rdm in first])
    skewed = square.copy()
    skewed[2, 3, 5] += 0.1
    with pytest.raises(InputError, match="RDM 2 of the first ones is not symmetric"):
        compare(skewed, square, "pearson")
    skewed[2, 3, 5] = np.nan
    with pytest.raises(InputError, match="RDM 2 of the second ones has 1 dissimilarities of 276"):
        compare(square, skewed, "pearson")
    skewed[2] = skewed[2].T
    with pytest.raises(InputError, match="not symmetric"):
        compare(skewed, square, "pearson")
    with pytest.raises(InputError, match="over 24 and 23 stimuli"):
        compare(square, square[:, 1:, 1:], "pearson")
    with pytest.raises(InputError, match="no number of pairs"):
        compare(square[0], second[:, :-1], "pearson")
    with pytest.raises(InputError, match="RDMs x stimuli x stimuli"):
        compare(square[:, 1:], second, "pearson")
    with pytest.raises(InputError, match="did you mean spearman"):
        compare(square, second, "spearmann")  # type: ignore[arg-type]  # wrong on purpose
