"""Real files, where a mirror folder is named."""

import functools
import os
from pathlib import Path

import pytest

from engine.fetch import Fetch, fetch


@pytest.fixture
def real(tmp_path: Path) -> Fetch:
    """Fetches from the mirror; the test is skipped where none is named."""
    mirror = os.environ.get("CORTICALIGN_MIRROR")
    if not mirror:
        pytest.skip("needs the real recordings: CORTICALIGN_MIRROR is not set")
    return functools.partial(fetch, cache=tmp_path, mirror=Path(mirror))
