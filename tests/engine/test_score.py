import numpy as np
import pandas as pd
import pytest

from engine import datasets, score
from engine.datasets import sim
from engine.errors import InputError
from engine.gram import Summary
from engine.metrics import catalogue
from engine.metrics.ridge import Ridge, score_layer
from engine.recording import Recording
from engine.splits import kfold
from engine.target import target

RELATIVE = Ridge(tuple(10.0**k for k in range(-6, 4)), relative=True, select="r2", choose="neuroid")
RIDGE = catalogue.ridge(*RELATIVE)
OPTIONS = {"stimuli": 300, "neurons": 12}


def summary(features: np.ndarray) -> Summary:
    # Features of a region differ in scale by orders of magnitude; a layer's units do not.
    z = (features - features.mean(axis=0)) / features.std(axis=0)
    return Summary(z @ z.T, z.sum(axis=1), np.zeros(len(z)), 0.0, z.shape[1])


def recording(responses: np.ndarray, region: str = "V4") -> Recording:
    n, t = responses.shape
    return Recording(
        name="test",
        stimuli=pd.DataFrame(index=pd.Index([f"s{i}" for i in range(n)])),
        neuroids=pd.DataFrame({"region": region, "subject": "a"}, index=[f"n{i}" for i in range(t)]),
        images=None,
        averages=responses,
        licence="none",
        citation="none",
    )


@pytest.fixture(scope="module")
def simulated() -> tuple[Recording, dict[str, np.ndarray]]:
    def never(file: object) -> None:
        raise AssertionError("sim needs no files")

    return datasets.load("sim", OPTIONS, never)[0], sim.generating_features(OPTIONS)  # type: ignore[arg-type]  # no Fetch: it must not be called


def test_generating_features_reach_the_known_ceiling(simulated: tuple[Recording, dict[str, np.ndarray]]) -> None:
    recorded, features = simulated
    wanted = target(recorded, kfold(300, folds=5, seed=0))
    for region, x in features.items():
        mine = (wanted.neuroids["region"] == region).to_numpy()
        layer = score_layer(summary(x), wanted.responses, ["all"] * len(mine), wanted.splits, RELATIVE)
        r = layer.value.mean(axis=0)[mine]
        ceiling = np.sqrt(wanted.neuroids["ceiling"].to_numpy()[mine])
        # Fitting some tens of weights to 240 noisy responses costs a few hundredths.
        assert np.median(r / ceiling) > 0.95, region
        assert (r < ceiling + 0.05).all(), region


def test_shuffled_responses_score_zero(simulated: tuple[Recording, dict[str, np.ndarray]]) -> None:
    recorded, features = simulated
    wanted = target(recorded, kfold(300, folds=5, seed=0))
    shuffled = wanted.responses[np.random.default_rng(0).permutation(300)]
    for x in features.values():
        layer = score_layer(summary(x), shuffled, ["all"] * shuffled.shape[1], wanted.splits, RELATIVE)
        # One r over 60 stimuli has standard error 1 / sqrt(60); the median over 36 neuroids and 5 folds, which share
        # one shuffling, has less than that.
        assert abs(np.nanmedian(layer.value)) < 1 / np.sqrt(60)


def test_neuroids_that_cannot_be_scored_are_reported_and_left_out() -> None:
    y = np.random.default_rng(0).normal(size=(30, 4))
    y[:, 1] = np.nan
    y[:, 2] = 5.0
    wanted = target(recording(y), kfold(30, folds=3, seed=0))
    assert wanted.excluded == {"n1": "no responses (all NaN)", "n2": "constant response"}
    assert list(wanted.neuroids.index) == ["n0", "n3"]
    np.testing.assert_array_equal(wanted.responses, y[:, [0, 3]])
    with pytest.raises(InputError, match="none of its 1 neuroids"):
        target(recording(y[:, 1:2]), kfold(30, folds=3, seed=0))


def test_unknown_region_names_the_known() -> None:
    with pytest.raises(InputError, match="unknown region of test 'V5'; did you mean V4"):
        target(recording(np.eye(30)), kfold(30, folds=3, seed=0), ["V5"])


def table(r: dict[str, list[float]], inner: dict[str, list[float]]) -> pd.DataFrame:
    """One neuroid, three splits: layer -> values."""
    return pd.DataFrame(
        [
            {
                "recording": "a",
                "region": "V4",
                "neuroid": "n",
                "layer": layer,
                "depth": depth,
                "split": split,
                "score": r[layer][split],
                "selection": inner[layer][split],
                "ceiling": 0.81,
            }
            for depth, layer in enumerate(r)
            for split in range(3)
        ]
    )


def test_best_layer_is_chosen_by_inner_scores_and_reports_its_test_scores() -> None:
    r = {"early": [0.1, 0.2, 0.3], "late": [0.9, 0.8, 0.7]}
    best = score.best_layers(RIDGE, table(r, {"early": [0.5, 0.5, 0.1], "late": [0.1, 0.1, 0.5]})).iloc[0]
    assert best["layer"] == "early"
    assert best["chosen"] == {"early": 2, "late": 1}
    assert best["score"] == pytest.approx((0.1 + 0.2 + 0.7) / 3)


def test_layer_table_by_hand() -> None:
    rows = pd.concat(
        [
            table({"only": [value] * 3}, {"only": [0.0] * 3}).assign(neuroid=f"n{value}", ceiling=ceiling)
            for value, ceiling in ((0.2, 0.5), (0.5, 0.81), (-0.4, 0.64), (0.6, np.nan))
        ]
    )
    row = score.layer_table(RIDGE, rows).iloc[0]
    assert row["score"] == pytest.approx((0.2 + 0.5) / 2)  # median of -.4 .2 .5 .6
    assert row["ceiling"] == pytest.approx(0.8)  # median of the roots of .5 .64 .81
    assert row["ceiled"] == pytest.approx(0.2**2 / 0.5)  # median of .08, .25/.81, -.16/.64
    assert (row["targets"], row["targets_with_ceiling"]) == (4, 3)
