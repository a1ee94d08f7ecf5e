"""Principal components from the Gram matrix against scikit-learn's from the features."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from engine.principal_components import component_scores, components_kernel


@pytest.mark.parametrize("count", [1, 5, 19, 500])
def test_equals_scikit_learn(count: int) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((30, 200)) + 3
    fitted = rng.permutation(30)[:20]
    scores = PCA(min(count, 19), svd_solver="full").fit(features[fitted]).transform(features)
    found = components_kernel(features @ features.T, fitted, count)
    np.testing.assert_allclose(found, scores @ scores.T, rtol=0, atol=1e-9 * np.abs(found).max())


def test_fewer_directions_than_components() -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((30, 3)) @ rng.standard_normal((3, 50))
    centred = features - features[:20].mean(0)
    found = components_kernel(features @ features.T, np.arange(20), 10)
    np.testing.assert_allclose(found, centred @ centred.T, rtol=0, atol=1e-9 * np.abs(found).max())


@pytest.mark.parametrize("count", [1, 6, 12])
def test_scores_equal_scikit_learns_but_for_their_signs(count: int) -> None:
    rng = np.random.default_rng(2)
    features = rng.standard_normal((30, 200)) + 3
    fitted = rng.permutation(30)[:13]
    theirs = PCA(count, svd_solver="full").fit(features[fitted]).transform(features)
    found = component_scores(features @ features.T, fitted, count)
    np.testing.assert_allclose(np.abs(found), np.abs(theirs), rtol=0, atol=1e-7 * np.abs(theirs).max())
    largest = np.abs(found[fitted]).argmax(0)
    assert (found[fitted][largest, np.arange(count)] > 0).all()
