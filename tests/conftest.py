"""Every test has a cache of its own; real recordings and weights are used where two variables name them.

In most folders of small networks the greater part of the time is compiling, which without optimisation costs half.
There, programs are compiled so (:data:`QUICK`), also in processes that a test starts; what is compared in them is told
apart by far more than rounding, or comes twice from the same program. Solvers, metrics, statistics and whatever else
gives the published numbers are tested as they are compiled for a user.
"""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
QUICK = ("engine/commands", "engine/cotrain", "engine/harmonize", "engine/pretrain", "engine/training", "models")
EXCEPT = ("models/test_photographs.py",)  # hundreds of photographs: there running takes the time
UNOPTIMISED = "jax_disable_most_optimizations"


@pytest.fixture(autouse=True, scope="module")
def compiled(request: pytest.FixtureRequest) -> Iterator[None]:
    """Programs of a file are compiled quickly or well, and forgotten after it: kept, they fill the memory."""
    path = request.path.relative_to(ROOT).as_posix()
    quick = path.startswith(tuple(f"{folder}/" for folder in QUICK)) and path not in EXCEPT
    if quick:
        import jax

        os.environ[UNOPTIMISED.upper()] = "1"
        jax.config.update(UNOPTIMISED, True)
    yield
    if "jax" in sys.modules:
        import jax

        jax.clear_caches()
        if quick:
            del os.environ[UNOPTIMISED.upper()]
            jax.config.update(UNOPTIMISED, False)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Hydra sets up the log of the process for --info, on a stream that is closed when the test is over."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in root.handlers[:]:
        if type(handler) is logging.StreamHandler:  # pytest's own are kinds of it
            root.removeHandler(handler)


def _folder(variable: str) -> Path:
    named = os.environ.get(variable)
    if not named or not Path(named).is_dir():
        pytest.skip(f"{variable} names no folder")  # the data are not redistributed with the project
    return Path(named)


@pytest.fixture
def mirror() -> Path:
    """Folder of downloads, laid out <host>/<path>."""
    return _folder("CORTICALIGN_MIRROR")


@pytest.fixture
def shared() -> Path:
    """Folder with ``images``, ``oracles`` and ``weights``."""
    return _folder("CORTICALIGN_SHARED")
