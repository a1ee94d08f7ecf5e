"""How much memory there is and how much this process has taken: of the machine, of its container, of its devices."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
UNLIMITED = 2**60  # bytes; what version 1 of control groups states where there is no limit is larger

DEVICES: list[Any] = []
"""Accelerators this process works on, once it does; for whoever reports and must not be the first to touch them."""


class OnDevices(NamedTuple):
    """Bytes on the accelerators of this process: of the fullest one.

    Attributes:
        used: now.
        peak: the most so far.
        limit: that may be used; 0 where unknown.
    """

    used: int
    peak: int
    limit: int


def free(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Bytes that this process may still take without another losing its own; None where nobody says.

    The least of what the kernel calls available (file caches count as free, and so does swap) and what is left of the
    limit of each control group that the process is in, as containers and SLURM set them. A limit on address space
    (``ulimit -v``) is not looked at: most of what a process maps it never uses.
    """
    found = [limit - used for limit, used in _limits(proc, cgroups)]
    with suppress(OSError, ValueError):  # Linux only
        lines = dict(line.split(":", 1) for line in (proc / "meminfo").read_text().splitlines())
        found.append(sum(int(lines[name].split()[0]) * 1024 for name in ("MemAvailable", "SwapFree") if name in lines))
    if not found:
        with suppress(OSError, ValueError, AttributeError):  # macOS says only what is built in
            found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return max(0, min(found)) if found else None


def _limits(proc: Path, cgroups: Path) -> Iterator[tuple[int, int]]:
    """(limit, in use) of each control group with a limit. What the files of a group hold in cache counts as free."""
    try:
        lines = [line.split(":", 2) for line in (proc / "self" / "cgroup").read_text().splitlines()]
    except OSError:
        return
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if "memory" in controllers.split(","):
            root, names = cgroups / "memory", ("limit_in_bytes", "usage_in_bytes", "total_inactive_file")
        elif not controllers:
            root, names = cgroups, ("max", "current", "inactive_file")
        else:
            continue
        # Every group above limits as well. A container may see its own group as the root, whatever its path.
        below = Path(path.lstrip("/"))
        for each in dict.fromkeys([root / below, *(root / parent for parent in below.parents), root]):
            with suppress(OSError, ValueError, KeyError):  # a group without a limit, or out of the container's sight
                limit = int((each / f"memory.{names[0]}").read_text())  # ValueError: "max", no limit
                if limit < UNLIMITED:
                    stat = dict(line.split() for line in (each / "memory.stat").read_text().splitlines())
                    yield limit, int((each / f"memory.{names[1]}").read_text()) - int(stat[names[2]])


def peak(proc: Path = PROC) -> int:
    """The most bytes of main memory that this process has held, since ``forget_peak`` where the system can forget."""
    try:
        fields = dict(line.split(":", 1) for line in (proc / "self" / "status").read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def forget_peak(proc: Path = PROC) -> None:
    """Lets ``peak`` begin again, for the next job of a process. Linux only."""
    with suppress(OSError):  # then the peak is that of all jobs
        (proc / "self" / "clear_refs").write_text("5")


def on_devices() -> OnDevices | None:
    """Of :data:`DEVICES`; None where there are none or they do not say."""
    stats = [found for device in DEVICES if (found := device.memory_stats())]
    if not stats:
        return None
    fullest = max(stats, key=lambda each: each.get("bytes_in_use", 0))
    used = int(fullest.get("bytes_in_use", 0))
    return OnDevices(used, int(fullest.get("peak_bytes_in_use", used)), int(fullest.get("bytes_limit", 0)))


def words(number: float) -> str:
    """Such as ``1.9 GB``."""
    return f"{number / 1e9:.2g} GB" if number < 99.5e9 else f"{number / 1e9:.0f} GB"
