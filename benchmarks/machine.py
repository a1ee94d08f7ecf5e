"""What a figure was measured on. No name of the machine, no path."""

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import jax

PACKAGES = (
    "jax",
    "jaxlib",
    "numpy",
    "scipy",
    "scikit-learn",
    "himalaya",
    "rsatoolbox",
    "torch",
    "h5py",
    "threadpoolctl",
)


def machine() -> dict[str, object]:
    """Processor, cores this process may use, memory, accelerator (None on a CPU)."""
    on_cpu = jax.default_backend() == "cpu"
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "backend": jax.default_backend(),
        "accelerator": None if on_cpu else jax.devices()[0].device_kind,
        "accelerators": 0 if on_cpu else jax.local_device_count(),
    }


def short_name(machine: dict[str, object]) -> str:
    """For file names: the accelerator, or the processor and its cores."""
    given = machine["accelerator"] or f"{machine['processor']} {machine['cores']} cores"
    return re.sub(r"[^a-z0-9]+", "-", str(given).lower()).strip("-")


def versions() -> dict[str, str]:
    """Of Python, of what is compared, and the revision of this code."""
    found = {"python": platform.python_version(), "corticalign": _revision()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return re.sub(r"\((R|TM)\)|\bCPU\b|\bProcessor\b|@.*", " ", name).strip()


def _revision() -> str:
    """Commit of the working tree, marked where it has changes; the package's version outside a checkout."""
    folder = Path(__file__).parent
    try:
        commit, changes = (
            subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "--short=10", "HEAD"], ["status", "--porcelain", "--", "../engine", "."])
        )
    except (OSError, subprocess.CalledProcessError):
        try:
            return version("corticalign")
        except PackageNotFoundError:
            return "unknown"
    return f"{commit} with changes" if changes else commit
