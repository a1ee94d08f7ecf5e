import errno
import multiprocessing
import resource
import signal
from pathlib import Path

import numpy as np
import pytest

from engine import store
from engine.errors import InputError
from engine.gram import Summary

SUMMARY = Summary(np.eye(300, dtype=np.float32), np.arange(300.0), np.zeros(300), 2.5, 17)


def test_key_depends_on_content_not_on_order() -> None:
    assert store.key({"a": 1, "b": [1, 2]}) == store.key({"b": [1, 2], "a": 1})
    assert store.key({"a": 1}) != store.key({"a": 2})


def test_a_summary_comes_back_whole(tmp_path: Path) -> None:
    assert store.load_summary(tmp_path, "ab12") is None
    store.save_summary(tmp_path, "ab12", SUMMARY)
    found = store.load_summary(tmp_path, "ab12")
    assert found is not None
    for before, after in zip(SUMMARY, found, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("place", [0.0, 0.3, 0.999], ids=["header", "values", "directory"])
def test_a_damaged_summary_is_noticed_and_removed(tmp_path: Path, place: float) -> None:
    store.save_summary(tmp_path, "ab12", SUMMARY)
    (path,) = tmp_path.rglob("*.npz")
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 255
    path.write_bytes(content)
    assert store.load_summary(tmp_path, "ab12") is None
    assert not path.exists()


def test_a_truncated_summary_is_noticed(tmp_path: Path) -> None:
    store.save_summary(tmp_path, "ab12", SUMMARY)
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:1000])
    assert store.load_summary(tmp_path, "ab12") is None


def _write_more_than_fits(folder: Path) -> None:
    # A file size limit fails a write as a full disk does.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    with pytest.raises(OSError, match="File too large") as caught:
        store.save_summary(folder, "ab12", SUMMARY)
    assert caught.value.errno == errno.EFBIG
    with pytest.raises(InputError, match="disk is full"):
        store.write_folder(folder / "result", lambda temporary: _fill(temporary / "table"))


def _fill(path: Path) -> None:
    path.write_bytes(b"x" * 200_000)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=_write_more_than_fits, args=(tmp_path,))
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "result").exists()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken(temporary: Path) -> None:
        (temporary / "half").write_text("1")
        raise RuntimeError("killed here")

    with pytest.raises(RuntimeError):
        store.write_folder(tmp_path / "result", broken)
    assert list(tmp_path.iterdir()) == []
    store.write_folder(tmp_path / "result", lambda temporary: _fill(temporary / "table"))
    assert (tmp_path / "result" / "table").stat().st_size == 200_000


def test_the_first_of_two_writers_wins(tmp_path: Path) -> None:
    store.write_folder(tmp_path / "result", lambda temporary: _fill(temporary / "first"))
    store.write_folder(tmp_path / "result", lambda temporary: _fill(temporary / "second"))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["first"]


def test_an_output_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write to the output folder .*file"):
        store.check_writable(tmp_path / "file" / "results")
