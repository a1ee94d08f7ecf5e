"""Paired differences against NumPy and SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test

from engine.cotrain.gain import against, gains

COUNT = 9


def rows(scores: np.ndarray, trained: bool) -> pd.DataFrame:
    names = [f"n{number}" for number in range(len(scores))]
    return pd.DataFrame(
        {"recording": "r", "neuroid": names, "region": "V4", "trained": trained, "layer": "a", "score": scores}
    )


def test_means_intervals_and_p() -> None:
    rng = np.random.default_rng(1)
    before = rng.normal(size=COUNT)
    after = before + rng.normal(0.3, 0.4, size=COUNT)
    # Rows in another order, and one neuroid without a score after training.
    shuffled = rows(np.append(after, np.nan), False).sample(frac=1, random_state=0)
    (row,) = gains(rows(np.append(before, 0.5), False), shuffled)
    drawn = np.random.default_rng(0).integers(0, COUNT, (10_000, COUNT))
    for name, values in (("before", before), ("after", after), ("difference", after - before)):
        low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
        wanted = {"value": values.mean(), "low": low, "high": high}
        assert row[name] == pytest.approx(wanted, abs=1e-12)
    test = permutation_test((after - before,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert row["p"] == pytest.approx(test.pvalue, abs=1e-12)
    assert row["count"] == COUNT


def test_new_neuroids_come_first_and_one_has_no_interval() -> None:
    before = pd.concat([rows(np.array([0.1, 0.2]), True), rows(np.array([0.3]), False)])
    after = before.assign(score=before["score"] + 0.25)
    new, trained = gains(before, after)
    assert (new["neuroids"], trained["neuroids"]) == ("new neuroids", "trained neuroids")
    assert new["difference"] == {"value": pytest.approx(0.25), "low": None, "high": None}
    assert new["p"] is None
    assert trained["difference"] == pytest.approx({"value": 0.25, "low": 0.25, "high": 0.25})


def test_against_a_control() -> None:
    (row,) = against(rows(np.array([0.1, 0.2]), False), rows(np.array([0.2, 0.5]), False))
    assert row["control"]["value"] == pytest.approx(0.15)
    assert row["recorded"]["value"] == pytest.approx(0.35)
    assert row["difference"]["value"] == pytest.approx(0.2)
