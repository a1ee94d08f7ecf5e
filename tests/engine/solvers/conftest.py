from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    """The references are exact in float64, and so is what is compared with them."""
    with jax.enable_x64(True):
        yield
