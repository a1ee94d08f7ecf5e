"""Metrics bound to a recording: regions and subjects apart, RDMs alone, ceilings of populations."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata, spearmanr
from sklearn.cross_decomposition import PLSRegression

from engine import score
from engine.errors import InputError
from engine.gram import Summary
from engine.metrics import catalogue
from engine.metrics.metric import Metric
from engine.metrics.rdm import noise_covariance
from engine.recording import Recording
from engine.splits import kfold
from engine.target import Target, target

STIMULI = 40
SPLITS = kfold(STIMULI, folds=4, seed=0)
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(STIMULI, 70))
RESPONSES = FEATURES @ RNG.normal(size=(70, 12)) + 4 * RNG.normal(size=(STIMULI, 12))
REGIONS, SUBJECTS = list("ABABBABAABAB"), list("xxxxxxyyyyyy")


def summary(x: np.ndarray) -> Summary:
    return Summary(x @ x.T, x.sum(axis=1), np.zeros(len(x)), 0.0, x.shape[1])


def recorded(**form: object) -> Recording:
    table = pd.DataFrame({"region": REGIONS, "subject": SUBJECTS}, index=[f"n{i}" for i in range(12)])
    return Recording(
        name="test",
        stimuli=pd.DataFrame(index=pd.Index([f"s{i}" for i in range(STIMULI)])),
        neuroids=table if "averages" in form else table[:0],
        images=None,
        licence="none",
        citation="none",
        **form,  # type: ignore[arg-type]  # settings by name
    )


@pytest.fixture
def wanted() -> Target:
    return target(recorded(averages=RESPONSES), SPLITS)


def rdm(x: np.ndarray) -> np.ndarray:
    return squareform(pdist(x, "correlation"))


def test_pls_fits_each_region_apart(wanted: Target) -> None:
    found = catalogue.pls(2).bind(wanted)(summary(FEATURES))
    for region in "AB":
        own = [i for i in range(12) if REGIONS[i] == region]
        for number, split in enumerate(SPLITS):
            reference = PLSRegression(2, scale=False).fit(FEATURES[split.train], RESPONSES[np.ix_(split.train, own)])
            predicted = reference.predict(FEATURES[split.test])
            for place, neuroid in enumerate(own):
                r = np.corrcoef(predicted[:, place], RESPONSES[split.test, neuroid])[0, 1]
                assert abs(found.value[number, neuroid] - r) < 1e-6


def test_populations_are_regions_of_subjects(wanted: Target) -> None:
    metric = catalogue.rsa("correlation", "spearman")
    found = metric.bind(wanted)(summary(FEATURES))
    names = [(each.region, each.subject) for each in wanted.populations]
    assert names == [("A", "x"), ("B", "x"), ("B", "y"), ("A", "y")]
    above = np.triu_indices(STIMULI, 1)
    layer = rdm(FEATURES)[above]
    for place, (region, subject) in enumerate(names):
        own = [i for i in range(12) if (REGIONS[i], SUBJECTS[i]) == (region, subject)]
        rho = spearmanr(layer, rdm(RESPONSES[:, own])[above]).statistic
        np.testing.assert_allclose(found.details["whole"][:, place], rho, atol=1e-12)
    # The table's score is the mean over the two subjects.
    rows = score.score_table(metric, {"layer": found}, ["layer"], wanted)
    table = score.layer_table(metric, rows).set_index("region")
    assert table.loc["A", "score"] == pytest.approx(found.details["whole"][0, [0, 3]].mean())
    assert table.loc["A", "targets"] == 2


def test_recordings_of_dissimilarities_work_with_rsa_and_refuse_the_rest() -> None:
    people = np.stack([rdm(RESPONSES[:, own]) for own in ([0, 1, 2], [2, 3, 4], [5, 6, 7])])
    only = target(recorded(rdms={"A": people, "B": people[:1]}), SPLITS)
    found = catalogue.rsa("correlation", "spearman").bind(only)(summary(FEATURES))
    assert found.value.shape == (4, 4)
    above = np.triu_indices(STIMULI, 1)
    ranks = np.stack([rankdata(one[above]) for one in people])  # pooled as ranks, as rsatoolbox does for Spearman
    upper = np.mean([spearmanr(ranks.mean(axis=0), one).statistic for one in ranks])
    lower = np.mean([spearmanr(np.delete(ranks, i, 0).mean(axis=0), ranks[i]).statistic for i in range(3)])
    np.testing.assert_allclose(found.details["lower_ceiling"][:, :3], lower, atol=1e-12)
    np.testing.assert_allclose(found.details["ceiling"][:, :3], upper, atol=1e-12)
    assert np.isnan(found.details["ceiling"][:, 3]).all()  # one subject has no ceiling
    grid = catalogue.ridge((1.0,), False, "r2", "neuroid", None)
    others = (
        catalogue.one_to_one(False, True, False, 0),
        catalogue.soft_matching(100, 0),
        catalogue.population_decoding("object", 0),
        catalogue.reverse("ridge", 10, (1.0,), True, 25, None, 0.0, 0, 0),
        catalogue.procrustes(1.0),
        catalogue.encoding_rsa((1.0,), True, "r2", "all", "correlation", "spearman"),
        catalogue.variance_partition((1.0,), 3, 0, "r2"),
    )
    named = (grid, catalogue.ridgecv(), catalogue.linear(), catalogue.pls(3), catalogue.cka("unbiased"), *others)
    for metric in named:
        with pytest.raises(InputError, match=f"metric={metric.name}: recording 'test' holds dissimilarity"):
            metric.bind(only)


@pytest.mark.parametrize("metric", [catalogue.linear(), catalogue.ridgecv(), catalogue.cka("biased")])
def test_a_copy_of_the_layer_is_the_best_layer(metric: Metric, wanted: Target) -> None:
    layers = {"noise": RNG.normal(size=(STIMULI, 70)), "same": RESPONSES}
    measure = metric.bind(wanted)
    rows = score.score_table(metric, {name: measure(summary(x)) for name, x in layers.items()}, list(layers), wanted)
    best = score.best_layers(metric, rows)
    assert list(best["region"]) == ["A", "B"]
    assert set(best["layer"]) == {"same"}


def test_noise_of_repetitions_enters_the_populations_rdm() -> None:
    repeats = RESPONSES + RNG.normal(size=(5, *RESPONSES.shape)) * RNG.uniform(0.5, 3, 12)
    table = pd.DataFrame({"region": REGIONS, "subject": SUBJECTS}, index=[f"n{i}" for i in range(12)])
    names = pd.DataFrame(index=pd.Index([f"s{i}" for i in range(STIMULI)]))
    recording = Recording("test", names, table, None, "none", "none", repeats=repeats)
    wanted = target(recording, SPLITS)
    own = np.flatnonzero([pair == ("A", "x") for pair in zip(REGIONS, SUBJECTS, strict=True)])
    above = np.triu_indices(STIMULI, 1)
    layer = squareform(pdist(FEATURES, "sqeuclidean"))[above]
    covariance = noise_covariance(repeats[:, :, own], "shrinkage_diag")
    inverse = np.linalg.inv(covariance)
    # The mean over pairs of different repetitions of products of their whitened differences, written out.
    crossed = np.zeros((STIMULI, STIMULI))
    for one in range(5):
        for other in range(5):
            if one != other:
                first = repeats[one][:, None, own] - repeats[one][None, :, own]
                second = repeats[other][:, None, own] - repeats[other][None, :, own]
                crossed += np.einsum("ija,ab,ijb->ij", first, inverse, second) / 20
    mean = repeats.mean(axis=0)[:, own]
    mahalanobis = squareform(pdist(mean, "mahalanobis", VI=inverse)) ** 2
    for kind, rdm_by_hand in (("crossnobis", crossed), ("mahalanobis", mahalanobis)):
        metric = catalogue.rsa("squared_euclidean", "spearman", kind)  # type: ignore[arg-type]  # one of the names
        found = metric.bind(wanted)(summary(FEATURES))
        rho = spearmanr(layer, rdm_by_hand[above]).statistic
        np.testing.assert_allclose(found.details["whole"][:, 0], rho, atol=1e-12)
    averages = target(recorded(averages=RESPONSES), SPLITS)
    with pytest.raises(InputError, match="holds no single repetitions"):
        catalogue.rsa("squared_euclidean", "spearman", "crossnobis").bind(averages)
