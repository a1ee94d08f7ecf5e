"""Every test has a cache of its own; real recordings and weights are used where two variables name them."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


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
