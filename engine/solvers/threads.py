"""LAPACK's threads, which must not stand in the way of XLA's."""

from contextlib import AbstractContextManager
from functools import cache

import scipy.linalg  # noqa: F401  loads the library whose threads are limited, which JAX would load at its first call
from threadpoolctl import ThreadpoolController


def one_for_lapack() -> AbstractContextManager[object]:
    """Keeps LAPACK to one thread.

    XLA calls it between its own threads; with threads of its own the two sets wait for each other, which on a busy
    machine costs up to fifty times the work itself.
    """
    return _libraries().limit(limits=1, user_api="blas")


@cache  # milliseconds, for every layer: it looks through all files that the process has mapped
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()
