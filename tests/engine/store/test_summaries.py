import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from engine import store
from engine.errors import InputError
from engine.gram import Summary
from engine.store import summaries
from tests.engine.store.damage import damaged

SUMMARY = Summary(np.eye(300, dtype=np.float32), np.arange(300.0), np.zeros(300), 2.5, 17)
SMALL = Summary(np.eye(3, dtype=np.float32), np.arange(3.0), np.zeros(3), 2.5, 17)


def test_a_summary_comes_back_whole(tmp_path: Path) -> None:
    assert store.load_summary(tmp_path, "ab12") is None
    store.save_summary(tmp_path, "ab12", SUMMARY)
    found = store.load_summary(tmp_path, "ab12")
    assert found is not None
    for before, after in zip(SUMMARY, found, strict=True):
        np.testing.assert_array_equal(before, after)


def test_any_damaged_byte_that_matters_is_noticed_reported_and_removed(tmp_path: Path) -> None:
    store.save_summary(tmp_path, "ab12", SMALL)
    (path,) = tmp_path.rglob("*.npz")
    noticed = tried = 0
    for _ in damaged(path, every=3):
        tried += 1
        said: list[str] = []
        found = store.load_summary(tmp_path, "ab12", said.append)
        if found is None:
            noticed += 1
            assert len(said) == 1
            assert "ab12" in said[0]
            assert "computed again" in said[0]
            assert not path.exists()
        else:  # dates and versions in the zip's headers, which nothing depends on
            assert said == []
            for before, after in zip(SMALL, found, strict=True):
                np.testing.assert_array_equal(before, after)
    assert noticed > tried / 2


def test_truncated_and_exchanged_entries_are_noticed(tmp_path: Path) -> None:
    store.save_summary(tmp_path, "ab12", SUMMARY)
    (path,) = tmp_path.rglob("*.npz")
    shutil.copy(path, path.with_name("ab34.npz"))
    said: list[str] = []
    assert store.load_summary(tmp_path, "ab34", said.append) is None
    assert "another key" in said[0]
    path.write_bytes(path.read_bytes()[:1000])
    assert store.load_summary(tmp_path, "ab12", said.append) is None
    assert len(said) == 2


def test_what_was_used_longest_ago_is_evicted_first(tmp_path: Path) -> None:
    names = [f"{number:02d}aa" for number in range(5)]
    for age, name in enumerate(names):
        store.save_summary(tmp_path, name, SMALL)
        path = next(tmp_path.rglob(f"{name}.npz"))
        os.utime(path, (1_000_000 + age,) * 2)
    assert [entry.name for entry in summaries.entries(tmp_path)] == names
    assert store.load_summary(tmp_path, names[0]) is not None  # used: now the youngest
    size = summaries.entries(tmp_path)[0].size
    removed = store.evict(tmp_path, 2.5 * size)
    assert [entry.name for entry in removed] == names[1:4]
    assert [entry.name for entry in summaries.entries(tmp_path)] == [names[4], names[0]]
    assert store.evict(tmp_path, 2 * size) == []


def test_eviction_leaves_everything_but_summaries(tmp_path: Path) -> None:
    store.save_summary(tmp_path, "ab12", SMALL)
    others = [tmp_path / "downloads" / "file", tmp_path / "results" / "rows" / "ab.parquet"]
    for path in others:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"kept")
    assert len(store.evict(tmp_path, 0)) == 1
    assert all(path.exists() for path in others)


def test_verify_names_and_removes_the_damaged_and_marks_none_as_used(tmp_path: Path) -> None:
    for name in ("ab12", "cd34"):
        store.save_summary(tmp_path, name, SMALL)
    damaged = next(tmp_path.rglob("cd34.npz"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    before = {entry.name: entry.used for entry in summaries.entries(tmp_path)}
    found = {entry.name: wrong for entry, wrong in summaries.verify(tmp_path)}
    assert found["ab12"] is None
    assert "damaged" in str(found["cd34"])
    assert [(entry.name, entry.used) for entry in summaries.entries(tmp_path)] == [("ab12", before["ab12"])]


@pytest.mark.parametrize("given", ["many", "-1", "nan"])
def test_a_limit_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(summaries.LIMIT, given)
    with pytest.raises(InputError, match=f"{summaries.LIMIT}={given}"):
        summaries.size_limit()
    monkeypatch.setenv(summaries.LIMIT, "2.5")
    assert summaries.size_limit() == 2.5e9
