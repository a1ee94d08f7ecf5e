"""How much memory there is and was: against the kernel's own files, laid out by hand and real."""

import sys
from pathlib import Path

import numpy as np
import pytest

from engine.memory import room

GB = 10**9
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def machine(folder: Path, available: int, groups: str) -> tuple[Path, Path]:
    """A /proc and a place of control groups."""
    proc, cgroups = folder / "proc", folder / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {available // 1024} kB\nSwapFree: 0 kB\n")
    (proc / "self" / "cgroup").write_text(groups)
    return proc, cgroups


def group(folder: Path, limit: str, used: int, cached: int, names: tuple[str, str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"memory.{names[0]}").write_text(f"{limit}\n")
    (folder / f"memory.{names[1]}").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cached}\n")


def test_the_least_of_machine_and_every_group_counts_and_caches_are_free(tmp_path: Path) -> None:
    proc, cgroups = machine(tmp_path, 64 * 1024**3, "0::/system/job\n")
    assert room.free(proc, cgroups) == 64 * 1024**3
    names = ("max", "current", "inactive_file")
    group(cgroups / "system" / "job", "max", 3 * GB, 0, names)
    assert room.free(proc, cgroups) == 64 * 1024**3
    group(cgroups / "system", str(8 * GB), 3 * GB, 1 * GB, names)  # 8 - (3 - 1)
    assert room.free(proc, cgroups) == 6 * GB
    group(cgroups, str(4 * GB), 5 * GB, 0, names)  # a container that sees its own group as the root, and is over it
    assert room.free(proc, cgroups) == 0


def test_groups_of_version_1(tmp_path: Path) -> None:
    proc, cgroups = machine(tmp_path, 64 * 1024**3, "5:cpu,memory:/job\n4:cpuset:/other\n")
    names = ("limit_in_bytes", "usage_in_bytes", "total_inactive_file")
    group(cgroups / "memory", "9223372036854771712", 0, 0, names)  # none
    group(cgroups / "memory" / "job", str(2 * GB), GB, 0, names)
    assert room.free(proc, cgroups) == GB


def test_where_nobody_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sysconf")
    assert room.free(tmp_path, tmp_path) is None


@linux
def test_the_peak_is_of_what_was_held_and_can_be_forgotten() -> None:
    held = room.peak()
    array = np.ones(50_000_000)
    grown = room.peak()
    assert grown >= held
    assert grown >= array.nbytes
    del array
    room.forget_peak()
    assert room.peak() <= grown - 300_000_000


def test_in_words() -> None:
    assert [room.words(number) for number in (1.94e9, 2.4e7, 123e9)] == ["1.9 GB", "0.024 GB", "123 GB"]
