"""A process that runs a job with plenty of memory, then under limits: started by ``test_shortage.py``.

The limit is one of data (RLIMIT_DATA), which the kernel enforces: an allocation beyond it fails, as on a full machine.
"""

import contextlib
import io
import json
import os
import resource
import sys
from pathlib import Path

import jax
import jax.numpy as jnp

from engine.commands import score, settings
from engine.errors import InputError
from engine.memory import shortage

WIDTH, LAYERS, STIMULI = 200_000, 6, 100  # each layer 80 MB


def wide(images: jax.Array) -> dict[str, jax.Array]:
    """Layers of as many units as wanted."""
    pixels = images.reshape(len(images), -1)
    tiled = jnp.tile(pixels, (1, -(-WIDTH // pixels.shape[1])))[:, :WIDTH]
    return {f"layer{number}": tiled**number for number in range(1, LAYERS + 1)}


def _held() -> int:
    shortage.let_go(programs=False)
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmData"].split()[0]) * 1024


def _run(name: str, room: int | None) -> dict[str, str]:
    """What a job says and what it fails with, with so many bytes more than are held."""
    os.environ["XDG_CACHE_HOME"] = str(Path(name, "cache").absolute())
    if room is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (_held() + room, resource.RLIM_INFINITY))
    said, error = io.StringIO(), ""
    words = [
        "model.entry=tests.engine.memory.limited:wide",
        "model.size=8",
        "dataset=sim",
        f"dataset.stimuli={STIMULI}",
        "dataset.neurons=2",
        "metric=cka",
        f"output={name}",
        "quiet=true",
    ]
    try:
        with contextlib.redirect_stderr(said):
            score.job(settings.composed(settings.overrides(words)))
    except InputError as caught:
        error = str(caught)
    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return {"said": said.getvalue(), "error": error}


if __name__ == "__main__":
    found = {"plenty": _run("plenty", None), "some": _run("some", 300_000_000), "none": _run("none", 40_000_000)}
    json.dump(found, sys.stdout)
