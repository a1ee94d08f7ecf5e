"""How large blocks may be. One number for the process: a job that ran out of memory is tried once more with less.

Blocks change memory and speed. Scores stay what they were, but for the order of sums on accelerators.
"""

import contextlib
from collections.abc import Iterator

_DIVISOR = [1]


@contextlib.contextmanager
def smaller(divisor: int) -> Iterator[None]:
    """Inside, bounds on blocks are so many times smaller, in every thread."""
    before = _DIVISOR[0]
    _DIVISOR[0] = before * divisor
    try:
        yield
    finally:
        _DIVISOR[0] = before


def limited(most: int) -> int:
    """The bound that holds now for what is usually bounded by ``most``."""
    return max(1, most // _DIVISOR[0])
