from itertools import pairwise

import jax
import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.cross_decomposition import PLSRegression

from engine.errors import InputError
from engine.metrics.spatial_map import ceiling, grid_features, saliency_scores, score_maps

GRID, NEURONS = 8, 5


def data(size: int, channels: int, images: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    layer = rng.normal(size=(images, size, size, channels)).cumsum(axis=1).cumsum(axis=2)
    maps = grid_features(layer, (GRID, GRID))
    return layer, maps @ rng.normal(size=(maps.shape[-1], NEURONS)) + rng.normal(size=(images, GRID, GRID, NEURONS))


def restated_features(layer: np.ndarray) -> np.ndarray:
    """What the published code makes of a layer, step by step, with JAX's resizing in place of TensorFlow's."""
    images, size, _, channels = layer.shape
    features = np.zeros((images, GRID, GRID, channels))
    if size <= GRID:
        shape = (images, GRID, GRID, channels - 1)
        with jax.enable_x64(True):
            features[..., :-1] = jax.image.resize(layer[..., :-1], shape, "bilinear", antialias=False)
    else:
        edges = [int(i * size / float(GRID)) for i in range(GRID + 1)]
        for a in range(GRID):
            for b in range(GRID):
                features[:, a, b] = layer[:, edges[a] : edges[a + 1], edges[b] : edges[b + 1]].mean(axis=(1, 2))
    for image in features:
        image -= image.min()
        image /= image.max()
    return features


@pytest.mark.parametrize("size", [3, 8, 11])
def test_parity_equals_the_published_steps_with_scikit_learn(size: int) -> None:
    layer, maps = data(size, channels=12)
    features = restated_features(layer)
    found = score_maps(layer, maps, components=4, parity=True)
    for image in range(len(maps)):
        rest = [other for other in range(len(maps)) if other != image]
        model = PLSRegression(4, scale=False, tol=1e-4)
        model.fit(features[rest].reshape(-1, 12), maps[rest].reshape(-1, NEURONS))
        guess = model.predict(features[image].reshape(-1, 12))
        measured = maps[image].reshape(-1, NEURONS)
        wanted = [pearsonr(*pair)[0] for pair in zip(guess.T, measured.T, strict=True)]
        np.testing.assert_allclose(found.scores.value[image], wanted, atol=1e-8)
        np.testing.assert_allclose(found.predictions[image].reshape(-1, NEURONS), guess, atol=1e-8)
        rho = spearmanr(guess.mean(axis=1), measured.mean(axis=1))[0]
        np.testing.assert_allclose(found.scores.details["saliency"][image], rho, atol=1e-12)
    assert np.isnan(found.scores.selection).all()


def test_without_parity_the_last_channel_of_an_enlarged_map_counts() -> None:
    layer, _ = data(3, channels=12)
    with jax.enable_x64(True):
        wanted = np.asarray(jax.image.resize(layer, (4, GRID, GRID, 12), "bilinear", antialias=False))
    low, high = wanted.min(axis=(1, 2, 3), keepdims=True), wanted.max(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(grid_features(layer, (GRID, GRID)), (wanted - low) / (high - low), atol=1e-12)
    assert (grid_features(layer, (GRID, GRID), parity=True)[..., -1] == 0).mean() < 1  # scaled with the others
    assert np.ptp(grid_features(layer, (GRID, GRID), parity=True)[..., -1], axis=(1, 2)).max() == 0


def test_all_neurons_are_fitted_on_the_other_images_alone() -> None:
    layer, maps = data(11, channels=12)
    found = score_maps(layer, maps, components=4)
    changed = maps.copy()
    changed[2] = 100 * np.random.default_rng(1).normal(size=changed[2].shape)
    again = score_maps(layer, changed, components=4)
    np.testing.assert_allclose(again.predictions[2], found.predictions[2], atol=1e-8)
    assert np.abs(again.predictions[1] - found.predictions[1]).max() > 0.1


@pytest.mark.parametrize(("channels", "groups"), [(603, 3), (604, 4), (601, 1), (600, 1)])
def test_many_channels_are_averaged_in_threes_or_fours(channels: int, groups: int) -> None:
    layer = np.random.default_rng(0).normal(size=(2, 2, 2, channels))
    averaged = np.stack([layer[..., i : i + groups].mean(axis=-1) for i in range(0, channels, groups)], axis=-1)
    low, high = averaged.min(axis=(1, 2, 3), keepdims=True), averaged.max(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(grid_features(layer, (2, 2)), (averaged - low) / (high - low), atol=1e-12)
    if channels == 601:
        with pytest.raises(InputError, match="refuses 601 channels"):
            grid_features(layer, (2, 2), parity=True)


def test_maps_need_not_be_square_nor_grow_or_shrink_on_both_sides() -> None:
    layer = np.arange(2 * 2 * 4 * 1, dtype=float).reshape(2, 2, 4, 1)
    found = grid_features(layer, (4, 2))[0, :, :, 0]
    # Rows 0 and 4 sampled at 0, 1/4, 3/4, 1 of the way; columns averaged in twos to .5 and 2.5.
    wanted = np.add.outer([0, 1, 3, 4], [0.5, 2.5])
    np.testing.assert_allclose(found, (wanted - 0.5) / 6, atol=1e-12)


@pytest.mark.parametrize("parity", [True, False])
def test_quarter_maps_are_sampled_or_averaged(parity: bool) -> None:
    rng = np.random.default_rng(0)
    predicted, measured = rng.normal(size=(2, 3, 17, 17, NEURONS))
    _, quarter = saliency_scores(predicted, measured, parity=parity)
    for image in range(3):
        pair = [values[image].mean(axis=-1) for values in (predicted, measured)]
        if parity:
            with jax.enable_x64(True):
                small = [np.asarray(jax.image.resize(each, (4, 4), "bilinear", antialias=False)) for each in pair]
        else:
            cut = [0, 4, 8, 12, 17]
            small = [
                np.array([[each[a:b, c:d].mean() for c, d in pairwise(cut)] for a, b in pairwise(cut)]) for each in pair
            ]
        assert abs(quarter[image] - spearmanr(small[0].ravel(), small[1].ravel())[0]) < 1e-12


def test_ceiling_equals_a_loop_over_pairs_of_neurons() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(3, 6, 7, 1)) + rng.normal(size=(3, 6, 7, NEURONS)) * 0.8
    maps[1] = rng.normal(size=(6, 7, 1)) * np.array([1, 0, 0, 0, -1.0]) + 0.01 * rng.normal(size=(6, 7, NEURONS))
    maps[2, :, :, 1] = 0.1  # a neuron without a map
    every, published = np.full((2, 3, NEURONS, NEURONS), -np.inf)
    for n in range(3):
        for i in range(NEURONS):
            for j in range(i):
                if n == 2 and 1 in (i, j):
                    continue
                every[n, i, j] = pearsonr(maps[n, ..., i].ravel(), maps[n, ..., j].ravel())[0]
                rows = [pearsonr(a, b)[0] for a, b in zip(maps[n, ..., i], maps[n, ..., j], strict=True)]
                if i < NEURONS - 1:
                    published[n, i, j] = np.mean(rows)
    np.testing.assert_allclose(ceiling(maps), every.max(axis=(1, 2)), atol=1e-12)
    np.testing.assert_allclose(ceiling(maps, parity=True), np.maximum(published.max(axis=(1, 2)), 0), atol=1e-12)


def test_ceiling_where_no_pair_agrees() -> None:
    one = np.random.default_rng(0).normal(size=(1, 6, 7, 1))
    opposite = one * np.array([1.0, -1.0, 1.0])
    np.testing.assert_allclose(ceiling(opposite), 1)
    np.testing.assert_array_equal(ceiling(opposite, parity=True), 0)  # the third neuron is left out
    assert np.isnan(ceiling(np.ones((1, 6, 7, 3)))).all()


def test_constant_maps_have_no_score_and_bad_input_is_refused() -> None:
    layer, maps = data(11, channels=12)
    maps[..., 3] = 0.1
    found = score_maps(layer, maps, components=4)
    np.testing.assert_array_equal(np.isnan(found.scores.value).any(axis=0), [False, False, False, True, False])
    assert found.scores.notes == ("1 of 5 neurons have constant maps and no score",)
    with pytest.raises(InputError, match="responses of as many images"):
        score_maps(layer[:3], maps)
    with pytest.raises(InputError, match="layer's maps are not finite"):
        score_maps(layer * np.inf, maps)
    with pytest.raises(InputError, match="square maps"):
        grid_features(layer[:, :9], (GRID, GRID), parity=True)
    with pytest.raises(InputError, match="4 or more channels"):
        grid_features(layer[:, :3, :3, :2], (GRID, GRID), parity=True)
    with pytest.raises(InputError, match="3 or more"):
        ceiling(maps[..., :2], parity=True)
    maps[0, 0, 0, :2] = np.nan
    with pytest.raises(InputError, match="2 of 5 neurons have maps with missing values"):
        score_maps(layer, maps)
