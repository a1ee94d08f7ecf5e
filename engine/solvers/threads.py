"""LAPACK's threads, which must not stand in the way of XLA's."""

from contextlib import AbstractContextManager

import scipy.linalg  # noqa: F401  loads the library whose threads are limited, which JAX would load at its first call
from threadpoolctl import threadpool_limits


def one_for_lapack() -> AbstractContextManager[object]:
    """Keeps LAPACK to one thread.

    XLA calls it between its own threads; with threads of its own the two sets wait for each other, which on a busy
    machine costs up to fifty times the work itself.
    """
    return threadpool_limits(1, user_api="blas")
