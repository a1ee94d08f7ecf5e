import errno
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from engine import store
from engine.errors import InputError
from engine.gram import Summary
from engine.store import atomic

SUMMARY = Summary(np.eye(300, dtype=np.float32), np.arange(300.0), np.zeros(300), 2.5, 17)
CONTENT = bytes(range(256)) * 2000


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


def test_the_first_of_two_writers_of_a_folder_wins(tmp_path: Path) -> None:
    store.write_folder(tmp_path / "result", lambda temporary: _fill(temporary / "first"))
    store.write_folder(tmp_path / "result", lambda temporary: _fill(temporary / "second"))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["first"]


def test_an_output_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write to the output folder .*file"):
        store.check_writable(tmp_path / "file" / "results")


def _write_often(path: Path) -> None:
    for _ in range(15):
        store.write_file(path, lambda file: file.write(CONTENT))


def test_readers_see_whole_files_while_several_write_the_same_name(tmp_path: Path) -> None:
    path = tmp_path / "new" / "entry"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_often, args=(path,)) for _ in range(3)]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            assert path.read_bytes() == CONTENT
            reads += 1
    assert reads
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert list(path.parent.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def noted(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def noting(*given: object) -> object:
            calls.append("folder" if name == "sync" and os.path.isdir(f"/proc/self/fd/{given[0]}") else name)
            return call(*given)

        return noting

    monkeypatch.setattr(os, "fsync", noted("sync", os.fsync))
    monkeypatch.setattr(os, "replace", noted("rename", os.replace))
    store.write_file(tmp_path / "entry", lambda file: file.write(CONTENT))
    assert calls == ["sync", "rename", "folder"]


def test_files_are_as_readable_as_the_user_wants(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        store.write_file(tmp_path / "entry", lambda file: file.write(CONTENT))
        store.write_folder(tmp_path / "folder", lambda temporary: _fill(temporary / "table"))
    finally:
        os.umask(before)
    assert (tmp_path / "entry").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_a_rename_that_nfs_did_but_denies_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.replace

    def retransmitted(source: Path, target: Path) -> None:
        real(source, target)
        real(source, target)  # the second request finds no source

    monkeypatch.setattr(os, "replace", retransmitted)
    store.write_file(tmp_path / "entry", lambda file: file.write(CONTENT))
    assert (tmp_path / "entry").read_bytes() == CONTENT


def test_only_old_temporary_files_are_abandoned(tmp_path: Path) -> None:
    old, young = tmp_path / f".a{atomic.PART}", tmp_path / f".b{atomic.PART}"
    for path in (old, young):
        path.write_bytes(b"")
    os.utime(old, (time.time() - 2 * atomic.ABANDONED,) * 2)
    assert list(atomic.abandoned(tmp_path)) == [old]


def _half_written(folder: Path) -> None:
    def half(temporary: Path) -> None:
        (temporary / "table").write_bytes(CONTENT)
        os.kill(os.getpid(), signal.SIGKILL)

    store.write_folder(folder / "result", half)


def test_what_a_killed_writer_leaves_is_removed_and_a_living_ones_and_another_machines_is_not(tmp_path: Path) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=_half_written, args=(tmp_path,))
    worker.start()
    worker.join()
    (left,) = tmp_path.iterdir()
    assert (left / "table").read_bytes() == CONTENT
    elsewhere = left.with_name(left.name.replace(atomic._machine(), "0" * 8))
    elsewhere.write_bytes(b"")
    seen: list[list[Path]] = []

    def write(file: BinaryIO) -> None:
        file.write(CONTENT)
        atomic.tidy(tmp_path)
        seen.append(sorted(tmp_path.iterdir()))

    store.write_file(tmp_path / "entry", write)
    assert not left.exists()
    assert elsewhere in seen[0]
    assert len(seen[0]) == 2  # that one and what is being written
    assert (tmp_path / "entry").read_bytes() == CONTENT


def test_only_the_folders_asked_for_are_tidied(tmp_path: Path) -> None:
    below = tmp_path / "below" / f".a{atomic.PART}"
    below.parent.mkdir()
    below.write_bytes(b"")
    os.utime(below, (time.time() - 2 * atomic.ABANDONED,) * 2)
    atomic.tidy(tmp_path, "")
    assert below.exists()
    atomic.tidy(tmp_path)
    assert not below.exists()


def test_which_processes_run() -> None:
    assert atomic.runs(os.getpid())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    process = ended.pid
    deadline = time.monotonic() + 60
    while atomic.runs(process) and time.monotonic() < deadline:  # not waited for: it stays as a zombie
        time.sleep(0.01)
    assert not atomic.runs(process)
    ended.wait()
    assert not atomic.runs(process)
