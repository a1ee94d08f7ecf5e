"""Metrics of single units, bound to a recording and shown a layer in blocks."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge

from engine import score
from engine.errors import InputError
from engine.gram import Summary
from engine.hierarchy import hierarchy_table
from engine.metrics import catalogue
from engine.metrics.metric import Joint, Metric, Reader
from engine.metrics.scores import Scores
from engine.metrics.soft_matching import score_layer as soft_matching
from engine.recording import Recording
from engine.splits import kfold
from engine.target import Target, target

STIMULI, UNITS = 60, 90
SPLITS = kfold(STIMULI, folds=3, seed=0)
RNG = np.random.default_rng(0)
LAYER = RNG.normal(size=(STIMULI, UNITS)).astype(np.float32)
PARTNERS = RNG.permutation(UNITS)[:8]  # the unit that each neuroid is a noisy copy of
RESPONSES = LAYER[:, PARTNERS] + 0.2 * RNG.normal(size=(STIMULI, 8))
REGIONS, SUBJECTS = ["IT", "V4"] * 4, list("xxxxyyyy")
CATEGORY = (LAYER[:, PARTNERS[:3]].sum(axis=1) > 0).astype(str)


def recorded(responses: np.ndarray = RESPONSES, repetitions: int = 1) -> Target:
    table = pd.DataFrame({"region": REGIONS, "subject": SUBJECTS}, index=[f"n{i}" for i in range(8)])
    noise = np.random.default_rng(1).normal(size=(repetitions, *responses.shape))
    names = pd.Index([f"s{i}" for i in range(STIMULI)])
    recording = Recording(
        name="test",
        stimuli=pd.DataFrame({"category": CATEGORY, "one": "same"}, index=names),
        neuroids=table,
        images=None,
        licence="none",
        citation="none",
        averages=responses if repetitions == 1 else None,
        repeats=None if repetitions == 1 else responses + 0.3 * (noise - noise.mean(axis=0)),
    )
    return target(recording, SPLITS)


def shown(metric: Metric, wanted: Target, layer: np.ndarray = LAYER) -> Scores:
    """The metric's scores of a layer of three blocks of units, in no order, each of two padded row blocks."""
    reader = metric.bind(wanted)
    assert isinstance(reader, Reader)
    state = reader.begin((layer.shape[1],))
    padded = np.concatenate([layer, np.full((4, layer.shape[1]), 7, np.float32)])
    for start, stop in ((30, 70), (0, 30), (70, layer.shape[1])):
        rows = [jnp.asarray(part) for part in np.split(padded[:, start:stop], 2)]
        state = reader.read(state, rows, start)
    x = layer.astype(np.float64)
    return reader.score(state, Summary(x @ x.T, x.sum(axis=1), np.zeros(STIMULI), 0.0, layer.shape[1]))


def test_one_to_one_finds_the_partners_in_any_order_of_blocks() -> None:
    found = shown(catalogue.one_to_one(False, True, True, 0), recorded())
    np.testing.assert_array_equal(found.details["unit"], np.tile(PARTNERS, (3, 1)))
    for number, split in enumerate(SPLITS):
        for neuroid, unit in enumerate(PARTNERS):
            r = pearsonr(LAYER[split.test, unit], RESPONSES[split.test, neuroid])[0]
            assert found.value[number, neuroid] == pytest.approx(r, abs=1e-5)
    # All units were drawn, so the best of all that were is the best unit, and the mean over units is one of nothing.
    assert np.abs(found.details["random_unit"]).mean() < 0.1
    np.testing.assert_allclose(found.details["width_matched"], found.value, atol=1e-5)
    assert np.abs(found.details["permuted"]).mean() < 0.3  # 8 x 3 correlations over 20 stimuli of no relation
    for control in ("permuted", "rotated", "component"):
        assert found.details[control].mean() < found.value.mean() - 0.2


def test_too_few_units_for_all_neuroids_are_refused_before_anything_runs() -> None:
    reader = catalogue.one_to_one(False, False, False, 0).bind(recorded())
    assert isinstance(reader, Reader)
    with pytest.raises(InputError, match="5 units for 8 neuroids"):
        reader.begin((5,))


def test_soft_matching_takes_each_population_apart() -> None:
    found = shown(catalogue.soft_matching(1000, 0), recorded())
    for region, subject in (("IT", "x"), ("V4", "x"), ("IT", "y"), ("V4", "y")):
        own = [i for i in range(8) if (REGIONS[i], SUBJECTS[i]) == (region, subject)]
        alone = soft_matching(LAYER, RESPONSES[:, own], SPLITS)
        np.testing.assert_allclose(found.value[:, own], alone.value, atol=1e-12)


def test_decoding_from_copies_works_as_well_as_from_the_neurons() -> None:
    metric = catalogue.population_decoding("category", 0)
    found = shown(metric, recorded(LAYER[:, PARTNERS].astype(np.float64)))
    np.testing.assert_allclose(found.value, found.details["neurons"])
    assert found.value.shape == (3, 4)
    # The same category over all stimuli of the first three partners: a population that holds two of them knows more.
    assert found.value[:, 0].mean() > found.details["chance"][:, 0].mean()
    with pytest.raises(InputError, match=r"1 categories"):
        catalogue.population_decoding("one", 0).bind(recorded())
    with pytest.raises(InputError, match=r"metric.population_decoding.category=NAME, one of category, one"):
        catalogue.population_decoding(None, 0).bind(recorded())
    with pytest.raises(InputError, match="category"):
        catalogue.population_decoding("categories", 0).bind(recorded())


@pytest.mark.parametrize("units", [None, UNITS])
def test_reverse_equals_refitted_regressions(units: int | None) -> None:
    metric = catalogue.reverse("ridge", units, (3.0,), False, 25, None, 0.0, 0, 0)
    found = shown(metric, recorded())
    for place, own in enumerate(([0, 2], [1, 3], [4, 6], [5, 7])):
        for number, split in enumerate(SPLITS):
            fitted = Ridge(3.0).fit(RESPONSES[np.ix_(split.train, own)], LAYER[split.train].astype(np.float64))
            predicted = fitted.predict(RESPONSES[np.ix_(split.test, own)])
            r = [pearsonr(predicted[:, u], LAYER[split.test, u])[0] for u in range(UNITS)]
            assert found.value[number, place] == pytest.approx(np.median(r), abs=1e-5)
            assert found.details["quartile_3"][number, place] == pytest.approx(np.quantile(r, 0.75), abs=1e-5)


def test_reverse_by_pls_and_voxels() -> None:
    # Two components of two neuroids, and both voxels of two, are least squares.
    for metric in (
        catalogue.reverse("pls", UNITS, (1.0,), True, 2, None, 0.0, 0, 0),
        catalogue.reverse("ridge", UNITS, (1.0,), True, 25, 2, 0.0, 0, 0),
    ):
        found = shown(metric, recorded())
        split = SPLITS[1]
        fitted = Ridge(1e-10).fit(RESPONSES[np.ix_(split.train, [0, 2])], LAYER[split.train].astype(np.float64))
        predicted = fitted.predict(RESPONSES[np.ix_(split.test, [0, 2])])
        r = [pearsonr(predicted[:, u], LAYER[split.test, u])[0] for u in range(UNITS)]
        assert found.value[1, 0] == pytest.approx(np.median(r), abs=1e-4)


def test_consistency_needs_repetitions_and_corrects_upwards() -> None:
    metric = catalogue.reverse("ridge", UNITS, (3.0,), False, 25, None, 0.0, 3, 0)
    with pytest.raises(InputError, match="holds averages only"):
        metric.bind(recorded())
    found = shown(metric, recorded(repetitions=4))
    assert (found.details["explained"] >= 0).all()


def test_missing_responses_are_refused_by_name() -> None:
    holes = RESPONSES.copy()
    holes[3, 2] = np.nan
    for metric in (catalogue.soft_matching(10, 0), catalogue.reverse("pls", 5, (1.0,), True, 2, None, 0.0, 0, 0)):
        with pytest.raises(InputError, match=f"metric={metric.name}: test lacks 1 responses, of 1 of 8 neuroids"):
            metric.bind(recorded(holes))
    assert np.isfinite(shown(catalogue.one_to_one(False, True, False, 0), recorded(holes)).value).all()


def test_layers_divide_variance_among_them() -> None:
    metric = catalogue.variance_partition((0.1, 1.0, 10.0), 4, 0, "r2")
    joint = metric.bind(recorded())
    assert isinstance(joint, Joint)

    def summary(x: np.ndarray) -> Summary:
        x = x.astype(np.float64)
        return Summary(x @ x.T, x.sum(axis=1), np.zeros(STIMULI), 0.0, x.shape[1])

    noise = np.random.default_rng(5).normal(size=(STIMULI, 20))
    found = joint.score({"all": summary(LAYER[:, PARTNERS]), "noise": summary(noise)})
    assert set(found) == {"all", "noise"}
    np.testing.assert_allclose(found["all"].details["joint"], found["noise"].details["joint"])
    assert np.median(found["all"].value) > 0.5
    assert abs(np.median(found["noise"].value)) < 0.1
    assert np.isnan(found["all"].selection).all()  # that of the joint model chooses no layer


def test_later_regions_go_with_deeper_layers() -> None:
    metric = catalogue.one_to_one(False, True, False, 0)
    wanted = recorded()
    v4 = [region == "V4" for region in REGIONS]
    early, late = LAYER.copy(), LAYER.copy()
    for layer, own in ((early, ~np.array(v4)), (late, np.array(v4))):
        layer[:, PARTNERS[own]] = RNG.normal(size=(STIMULI, own.sum()))
    scores = {"early": shown(metric, wanted, early), "late": shown(metric, wanted, late)}
    rows = score.score_table(metric, scores, ["early", "late"], wanted)
    found = hierarchy_table(metric, rows, ["early", "late"]).iloc[0]
    assert found["rho"] == pytest.approx(1.0)
    assert found["regions"] == {"IT": 1.0, "V4": 0.0}
    assert hierarchy_table(metric, rows.assign(region="PFC"), ["early", "late"]).empty
