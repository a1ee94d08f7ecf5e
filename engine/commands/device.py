"""How JAX is set up for a command, and what it runs on."""

import os
import platform
from pathlib import Path

import jax
import jaxlib

from engine.fetch import default_cache


def keep_compiled_programs() -> None:
    """Compiled programs are kept between runs, for each version of JAX and kind of machine apart.

    They are code: the folder is the user's own (mode 700) and nobody else's is read.
    """
    folder = default_cache() / "compiled" / f"jax-{jax.__version__}-{platform.machine()}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return  # only slower
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def describe() -> dict[str, object]:
    """Device, cores and versions, for the summary of a run."""
    device = jax.devices()[0]
    return {
        "device": f"{device.platform}: {device.device_kind}",
        "devices": jax.device_count(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
