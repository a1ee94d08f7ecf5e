"""Ridge at a fixed penalty as a matrix from train responses to predicted test responses, for many targets.

With G the centred inverse of ``engine.solvers.inverse`` over all stimuli, T the train part and H all others, the
predictions of H are -(G_HH)^-1 G_HT Y_T, intercept included. One G serves all splits: 1.6 n³ flops for it, then
|H|³ / 3 + 2 |H|² |T| for each split.
"""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from engine.errors import InputError
from engine.solvers.folds import Split, design
from engine.solvers.inverse import centred_inverse
from engine.solvers.routes import deflated
from engine.solvers.threads import one_for_lapack


def prediction_matrices(kernel: np.ndarray, splits: Sequence[Split], penalty: float) -> Iterator[np.ndarray]:
    """For each split, test stimuli x train stimuli: times the train responses it gives the predicted test responses.

    Equals ``sklearn.linear_model.Ridge(penalty)`` with intercept, fitted on the train part. Each row adds up to 1.

    Args:
        kernel: stimuli x stimuli, X X', centred or not; worked on in float64.
        splits: as ``engine.solvers.folds.check_splits`` returns them.
        penalty: positive.

    Raises:
        InputError: the penalty is below what float64 resolves of this kernel.
    """
    with jax.enable_x64(True), one_for_lapack():
        centred = deflated(jnp.asarray(kernel, jnp.float64))[0]
        inverse = np.asarray(centred_inverse(centred, jnp.float64(penalty)))
    for split in splits:
        held, tests, train, _ = design(split, len(kernel))
        try:
            factor = scipy.linalg.cho_factor(inverse[np.ix_(held, held)], lower=True)
        except (np.linalg.LinAlgError, ValueError):  # not positive definite, or NaN
            raise InputError(
                f"ridge at penalty {penalty:.3g} broke down: it is below what float64 resolves of this kernel; raise it"
            ) from None
        yield -scipy.linalg.cho_solve(factor, inverse[np.ix_(held, train)])[tests]
