import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from engine.commands.results import chosen
from engine.store import index, packing, results
from engine.store.results import Result
from tests.engine.store.damage import damaged

RESULT = Result({"a": 1}, "model", "recording", "ridge")


def table(seed: int = 0, **more: object) -> pd.DataFrame:
    """Rows as a job makes them: two layers x two neuroids, with columns of a recording and of a metric."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "recording": "recording",
            "metric": "ridge",
            "layer": ["a", "a", "b", "b"],
            "depth": [0, 0, 1, 1],
            "split": 0,
            "neuroid": ["n1", "n2"] * 2,
            "region": ["V4", "IT"] * 2,
            "subject": "s",
            "ceiling": [0.5, np.nan] * 2,
            "score": rng.normal(size=4),
            "selection": [0.1, 0.2, np.nan, 0.3],
        }
    )
    return frame.assign(**more)


@pytest.mark.parametrize(
    "rows",
    [
        table(),
        table(penalty=[1e-3, 1.0, 1e7, np.nan], unit=np.array([3, 2**40, 0, -1])),
        table(session=[190925, 3, 4, 5], good=[True, False, True, True], area=["p", None, "q", "ä"]),
        table().drop(columns="neuroid"),
    ],
    ids=["plain", "details", "labels", "populations"],
)
def test_rows_come_back_with_their_columns_and_types(tmp_path: Path, rows: pd.DataFrame) -> None:
    assert results.load_rows(tmp_path, RESULT) is None
    results.save_rows(tmp_path, RESULT, rows)
    found = results.load_rows(tmp_path, RESULT)
    assert found is not None
    pd.testing.assert_frame_equal(found, rows)


def test_equal_results_are_equal_bytes(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        results.save_rows(tmp_path / name, RESULT, table(penalty=1.0))
        (path,) = (tmp_path / name / "rows").iterdir()
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_all_files_have_one_schema_and_are_one_table(tmp_path: Path) -> None:
    for number, more in enumerate([{}, {"penalty": 1.0}, {"area": "p"}]):
        results.save_rows(tmp_path, Result({"a": number}, "model", "recording", "ridge"), table(number, **more))
    (tmp_path / "rows" / ".killed.part").write_bytes(b"half")
    whole = ds.dataset(tmp_path / "rows", format="parquet")
    assert whole.schema.equals(packing.ROWS)
    read = pd.read_parquet(tmp_path / "rows")
    assert len(read) == 12
    expected = pd.concat([table(number)["score"] for number in range(3)])
    assert sorted(read["score"]) == sorted(expected)
    for path in (tmp_path / "rows").glob("*.parquet"):
        assert pq.read_schema(path).remove_metadata().equals(packing.ROWS)


def test_any_damaged_byte_that_matters_is_noticed_reported_and_removed(tmp_path: Path) -> None:
    rows = table(penalty=1.0, area="p")
    results.save_rows(tmp_path, RESULT, rows)
    (path,) = (tmp_path / "rows").iterdir()
    noticed = tried = 0
    for _ in damaged(path, every=29):
        tried += 1
        said: list[str] = []
        found = results.load_rows(tmp_path, RESULT, said.append)
        if found is None:
            noticed += 1
            assert "computed again" in said[0]
            assert not path.exists()
        else:
            pd.testing.assert_frame_equal(found, rows)
    assert noticed > tried / 2


def test_a_small_table_is_whole_or_left_out(tmp_path: Path) -> None:
    layers = small(0, np.random.default_rng(0))
    for convention in ("r", "r|r|/c"):
        results.save_layers(tmp_path, RESULT, layers, layers[:0], measure="r", convention=convention)
    whole = index.read_layers(tmp_path)
    path = min((tmp_path / "layers").iterdir())
    noticed = tried = 0
    for _ in damaged(path, every=29):
        tried += 1
        said: list[str] = []
        found = index.read_layers(tmp_path, said.append)
        if said:
            noticed += 1
            assert path.name in said[0]
            assert len(found) == len(whole) / 2
            ((file, told),) = [each for each in results.verify(tmp_path) if each[1]]
            assert file == path
            assert "damaged, removed" in str(told)
            assert not path.exists()
        else:
            pd.testing.assert_frame_equal(found.to_pandas(), whole.to_pandas())
    assert noticed > tried / 2


def small(number: int, rng: np.random.Generator) -> pd.DataFrame:
    """What the small tables of many results say, layer by layer."""
    rows = [
        {"region": region, "layer": layer, "depth": depth, "score": float(rng.normal())}
        for depth, layer in enumerate(("first", "second", "third"))
        for region in ("V1", "IT")
    ]
    numbers = {"low": 0.0, "high": 1.0, "ceiling": np.nan, "ceiled": np.nan, "targets": 7, "targets_with_ceiling": 0}
    return pd.DataFrame(rows).assign(metric=("ridge", "rsa")[number % 2], **numbers)


def result(number: int) -> Result:
    model, recording = f"model-{number % 50:02d}", f"set-{number // 50 % 20}/session-{number // 1000}"
    return Result({"number": number}, model, recording, ("ridge", "rsa")[number % 2])


def test_ten_thousand_results_are_queried_as_pandas_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    first = small(0, rng)
    best = first[first["depth"] == 1].drop(columns="depth").assign(chosen=[{"second": 4, "first": 1}] * 2)
    template = results.layers_table(result(0), first, best, measure="r", convention="r|r|/c").to_pandas()
    everything = pd.concat([template] * 10_000, ignore_index=True)
    each = np.repeat(np.arange(10_000), len(template))
    for name in ("key", "model", "recording", "metric"):
        values = np.array([getattr(result(number), name) for number in range(10_000)], object)
        everything[name] = values[each]
    everything["score"] = rng.normal(size=len(everything))
    monkeypatch.setattr(index, "_STALE", 10)
    # 12 as files of their own; the others as the index holds them after earlier questions.
    for number in range(12):
        rows = everything[each == number]
        names = {"n": "targets", "n_ceiling": "targets_with_ceiling"}
        plain = rows.drop(columns=["beside", "convention", "measure", "key", "model", "recording"]).rename(
            columns=names
        )
        votes = plain[plain["best"]].assign(chosen=[{"second": 4, "first": 1}] * 2)
        table = plain[~plain["best"]].drop(columns="chosen")
        results.save_layers(
            tmp_path,
            result(number),
            table.drop(columns="best"),
            votes.drop(columns="best"),
            measure="r",
            convention="c",
        )
    files = [f"{result(number).key}-x.parquet" for number in range(12, 10_000)]
    for name in files:
        (tmp_path / "layers" / name).touch()
    arrow = pa.Table.from_pandas(everything[each >= 12], results.LAYERS, preserve_index=False)
    index.write_index(
        tmp_path,
        index.index_of([("one", arrow)]).set_column(
            len(results.LAYERS), "file", pa.array(np.repeat(np.array(files, object), len(template))).dictionary_encode()
        ),
    )
    rows = index.read_layers(tmp_path)
    assert len(rows) == 80_000
    assert index.read_index(tmp_path).num_rows == 80_000  # brought up to date
    assert index.read_layers(tmp_path).num_rows == 80_000

    found = chosen(rows, {}, best=False, convention=None).to_pandas()
    expected = everything[~everything["best"]]
    by = ["model", "metric", "region"]
    ours = found.groupby(by, observed=True)["score"].agg(["mean", "max", "size"])
    theirs = expected.groupby(by)["score"].agg(["mean", "max", "size"])
    np.testing.assert_allclose(ours.to_numpy(), theirs.loc[ours.index].to_numpy(), rtol=1e-9)

    wanted = {"model": ["model-0*"], "dataset": ["set-3"], "region": ["IT"], "layer": ["first", "third"]}
    found = chosen(rows, wanted, best=False, convention=None).to_pandas()
    mask = (
        expected["model"].str.startswith("model-0")
        & expected["recording"].str.startswith("set-3/")
        & (expected["region"] == "IT")
        & expected["layer"].isin(["first", "third"])
    )
    assert mask.any()
    assert sorted(found["score"]) == sorted(expected[mask]["score"])
    assert len(chosen(rows, {}, best=True, convention=None)) == 20_000
    # A result that was removed by hand is gone, though the index knows it.
    (tmp_path / "layers" / files[0]).unlink()
    assert len(index.read_layers(tmp_path)) == 80_000 - len(template)
