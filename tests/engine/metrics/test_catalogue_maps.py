"""The metric of maps, bound to a recording of maps and shown a layer in blocks."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from sklearn.cross_decomposition import PLSRegression

from engine import score
from engine.commands.cross_validation import sentence, split
from engine.commands.cv_schema import Kfold
from engine.errors import InputError
from engine.gram import Summary
from engine.metrics import catalogue
from engine.metrics.catalogue.maps import layer_map
from engine.metrics.metric import Metric, Reader
from engine.metrics.scores import Scores
from engine.recording import Recording
from engine.target import Target, target

IMAGES, SIDE, CHANNELS = 4, 8, 5
RNG = np.random.default_rng(0)
LAYER = RNG.normal(size=(IMAGES, SIDE, SIDE, CHANNELS)).astype(np.float32)
MAPS = LAYER @ RNG.normal(size=(CHANNELS, 9)) + RNG.normal(size=(IMAGES, SIDE, SIDE, 9))
REGIONS, SUBJECTS = ["PL", "ML", "ML"] * 3, list("xxyxxyxxy")
POPULATIONS = ([0, 3, 6], [1, 4, 7], [2, 5, 8])
CV = Kfold("kfold", 5, 0, "auto")


def recorded(maps: np.ndarray = MAPS) -> Recording:
    return Recording(
        name="test",
        stimuli=pd.DataFrame(index=pd.Index([f"s{i}" for i in range(len(maps))])),
        neuroids=pd.DataFrame({"region": REGIONS, "subject": SUBJECTS}, index=[f"n{i}" for i in range(9)]),
        images=None,
        licence="none",
        citation="none",
        maps=maps,
    )


def bound(maps: np.ndarray = MAPS, regions: list[str] | None = None) -> Target:
    return target(recorded(maps), split(recorded(maps), CV), regions)


def shown(layer: np.ndarray, *, components: int = 2, parity: bool = False, wanted: Target | None = None) -> Scores:
    """The metric's scores of a layer of three blocks of units, in no order, each of two padded row blocks."""
    reader = catalogue.spatial_map(components, parity).bind(wanted or bound())
    assert isinstance(reader, Reader)
    state = reader.begin(layer.shape[1:])
    x = layer.reshape(len(layer), -1)
    padded = np.concatenate([x, np.full((4, x.shape[1]), 7, np.float32)])
    edges = [0, x.shape[1] // 3, x.shape[1] // 2, x.shape[1]]
    for start, stop in ((edges[1], edges[2]), (edges[0], edges[1]), (edges[2], edges[3])):
        state = reader.read(state, [jnp.asarray(part) for part in np.split(padded[:, start:stop], 2)], start)
    x = x.astype(np.float64)
    return reader.score(state, Summary(x @ x.T, x.sum(axis=1), np.zeros(IMAGES), 0.0, x.shape[1]))


def test_each_array_is_fitted_on_the_other_images() -> None:
    found = shown(LAYER)
    x = LAYER.astype(np.float64)
    low, high = x.min(axis=(1, 2, 3), keepdims=True), x.max(axis=(1, 2, 3), keepdims=True)
    features = (x - low) / (high - low)
    for own in POPULATIONS:
        for image in range(IMAGES):
            rest = [other for other in range(IMAGES) if other != image]
            model = PLSRegression(2, scale=False, tol=1e-4)
            model.fit(features[rest].reshape(-1, CHANNELS), MAPS[rest][..., own].reshape(-1, len(own)))
            guess = model.predict(features[image].reshape(-1, CHANNELS))
            for place, neuroid in enumerate(own):
                r = pearsonr(guess[:, place], MAPS[image, ..., neuroid].ravel())[0]
                assert found.value[image, neuroid] == pytest.approx(r, abs=1e-8)
    assert np.isnan(found.selection).all()  # nothing here may choose a layer


def test_class_and_register_tokens_are_no_part_of_a_map() -> None:
    tokens = np.concatenate([RNG.normal(size=(IMAGES, 5, CHANNELS)), LAYER.reshape(IMAGES, -1, CHANNELS)], axis=1)
    np.testing.assert_array_equal(shown(tokens.astype(np.float32)).value, shown(LAYER).value)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((7, 9, 3), (7, 9, 3)),
        ((196, 8), (14, 14, 8)),
        ((197, 8), (14, 14, 8)),
        ((198, 8), (14, 14, 8)),
        ((201, 8), (14, 14, 8)),
        ((199, 8), None),
        ((2, 8), None),
        ((1, 1, 64), None),
        ((1000,), None),
        ((), None),
    ],
)
def test_which_activations_are_maps(shape: tuple[int, ...], wanted: tuple[int, int, int] | None) -> None:
    assert layer_map(shape) == wanted


def test_a_layer_without_height_and_width_has_no_score_and_stops_nothing() -> None:
    metric, wanted = catalogue.spatial_map(2, False), bound()
    scores = {"map": shown(LAYER), "logits": shown(LAYER.reshape(IMAGES, -1))}
    assert "(320,) have no height and width" in scores["logits"].notes[0]
    rows = score.score_table(metric, scores, ["map", "logits"], wanted)
    table = score.layer_table(metric, rows).set_index(["layer", "region"])
    assert np.isfinite(table.loc["map", ["score", "ceiled", "saliency", "saliency_quarter"]].to_numpy(float)).all()
    assert table.loc["logits", ["score", "ceiled", "saliency"]].isna().all(axis=None)
    assert score.best_layers(metric, rows).empty


def test_scores_are_divided_by_the_best_pair_of_neuroids() -> None:
    metric, wanted = catalogue.spatial_map(2, False), bound()
    ceilings = {}
    for own in POPULATIONS:
        flat = MAPS[..., own].reshape(IMAGES, -1, 3)
        pairs = [[pearsonr(one[:, i], one[:, j])[0] for i, j in ((0, 1), (0, 2), (1, 2))] for one in flat]
        ceilings |= dict.fromkeys(own, np.max(pairs, axis=1).mean())
    found = shown(LAYER)
    np.testing.assert_allclose(found.details["ceiling"], [[ceilings[i] for i in range(9)]] * IMAGES, atol=1e-12)
    rows = score.score_table(metric, {"map": found}, ["map"], wanted)
    table = score.layer_table(metric, rows).set_index("region")
    raw = found.value.mean(axis=0)
    for region in ("PL", "ML"):
        own = [i for i in range(9) if REGIONS[i] == region]
        assert table.loc[region, "score"] == pytest.approx(np.median(raw[own]))
        assert table.loc[region, "ceiled"] == pytest.approx(np.median([raw[i] / ceilings[i] for i in own]))
        assert table.loc[region, "ceiling"] == pytest.approx(np.median([ceilings[i] for i in own]))
    assert score.Correction().symbol(metric) == "r/c"
    assert score.Correction("(r/c)^2", True).sentence(metric).startswith("score over c, the largest correlation")


def test_parity_is_passed_on_and_what_it_refuses_is_noted() -> None:
    small = LAYER[:, ::2, ::2]  # enlarged, so that the last channel is lost
    changed = small.copy()
    inside = RNG.uniform(small[..., :-1].min(axis=(1, 2, 3)), small[..., :-1].max(axis=(1, 2, 3)), (4, 4, IMAGES))
    changed[..., -1] = inside.transpose(2, 0, 1)
    np.testing.assert_array_equal(shown(small, parity=True).value, shown(changed, parity=True).value)
    assert np.abs(shown(small).value - shown(changed).value).max() > 1e-3
    found = shown(LAYER[:, ::3, ::3, :3], parity=True)
    assert np.isnan(found.value).all()
    assert "enlarges 4 or more channels, got 3; no score" in found.notes[0]


def test_incomplete_and_constant_maps_are_left_out() -> None:
    maps = MAPS.copy()
    maps[1, 2, 3, 4] = np.nan
    maps[..., 1] = 0.1
    maps[2, ..., 0] = 0.1  # of one image: the others are scored
    wanted = bound(maps)
    assert wanted.excluded == {"n1": "constant maps", "n4": "missing values in maps"}
    found = shown(LAYER, wanted=wanted)
    assert list(wanted.neuroids.index) == ["n0", "n2", "n3", "n5", "n6", "n7", "n8"]
    assert np.argwhere(np.isnan(found.value)).tolist() == [[2, 0]]
    # The one neuroid that is left of its array has a score, and no pair for a ceiling.
    assert np.isnan(found.details["ceiling"]).all(axis=0).tolist() == [False] * 5 + [True, False]
    assert bound(maps, ["PL"]).excluded == {}
    with pytest.raises(InputError, match="none of its 9 neuroids can be scored"):
        bound(maps * np.nan)


def test_images_are_held_out_one_by_one_whatever_cv_says() -> None:
    recording = recorded()
    splits = split(recording, CV)
    assert [one.test.tolist() for one in splits] == [[0], [1], [2], [3]]
    assert all(set(one.train) == set(range(IMAGES)) - set(one.test) for one in splits)
    assert sentence(recording, CV) == "4 images, each held out by itself as the metric is defined, whatever cv says"


OTHERS = (
    catalogue.ridge((1.0,), False, "r2", "neuroid", None),
    catalogue.ridgecv(),
    catalogue.linear(),
    catalogue.pls(3),
    catalogue.rsa("correlation", "spearman"),
    catalogue.cka("unbiased"),
    catalogue.procrustes(1.0),
    catalogue.encoding_rsa((1.0,), True, "r2", "all", "correlation", "spearman"),
    catalogue.variance_partition((1.0,), 3, 0, "r2"),
    catalogue.one_to_one(False, True, False, 0),
    catalogue.soft_matching(100, 0),
    catalogue.population_decoding("object", 0),
    catalogue.reverse("ridge", 10, (1.0,), True, 25, None, 0.0, 0, 0),
)


@pytest.mark.parametrize("metric", OTHERS, ids=lambda metric: metric.name)
def test_other_metrics_refuse_maps(metric: Metric) -> None:
    with pytest.raises(InputError, match=f"^metric={metric.name}: recording 'test' holds maps .*metric=spatial_map$"):
        metric.bind(bound())


def test_other_recordings_are_refused() -> None:
    averages = replace(recorded(), maps=None, averages=MAPS.mean(axis=(1, 2)))
    rdms = replace(recorded(), maps=None, rdms={"IT": np.zeros((1, IMAGES, IMAGES))})
    for other in (averages, rdms):
        with pytest.raises(InputError, match=r"^metric=spatial_map: recording 'test' holds no maps .*arcaro2020"):
            catalogue.spatial_map(2, False).bind(target(other, split(recorded(), CV)))


def test_settings_that_the_maps_do_not_allow_are_refused() -> None:
    with pytest.raises(InputError, match="components=193: 3 images of 8 x 8 positions give at most 192"):
        catalogue.spatial_map(193, False).bind(bound())
    with pytest.raises(InputError, match="square grids, and recording 'test' has 8 x 5"):
        catalogue.spatial_map(2, True).bind(bound(MAPS[:, :, :5]))
    with pytest.raises(InputError, match="1 stimulus cannot be held out"):
        bound(MAPS[:1])
    with pytest.raises(InputError, match=r"ceiling.threshold=0.3: recording 'test' holds maps"):
        target(recorded(), split(recorded(), CV), threshold=0.3)
