"""Correlations of predicted and measured responses with the test stimuli resampled.

Stimuli are drawn with replacement, all neuroids and splits alike; predictions stay those of the fits that were made, so
the spread is that of scoring on other test stimuli, not of fitting on other training stimuli. With the counts c of one
resample over the test stimuli of a split, and columns x and y centred on all of them, the Pearson correlation is

    n = c . 1,   r = (n c.xy - c.x c.y) / sqrt((n c.x² - (c.x)²) (n c.y² - (c.y)²))

in which every dot product is a row of one matrix product, counts x [1, x, y, x², y², xy]: 12 R n t flops in float64 for
R resamples, n test stimuli and t neuroids; 10,000 resamples of 3200 stimuli x 256 neuroids: 98 Gflop.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from engine.errors import InputError

RESAMPLES, NEUROIDS = 1024, 512  # in one product: 25 MiB of results
FLAT = 1e-12  # of the second moment: a smaller variance is rounding of a column that is constant in the resample


def correlations(
    counts: np.ndarray, predictions: Sequence[np.ndarray], measured: np.ndarray, tests: Sequence[np.ndarray]
) -> np.ndarray:
    """Every neuroid's Pearson r in every resample of the stimuli, averaged over splits: resamples x neuroids.

    Equals, for each resample, the mean over splits of ``scipy.stats.pearsonr`` on the test stimuli of the split, each
    repeated as often as it was drawn. Splits whose test stimuli a resample leaves constant (or undrawn) are left out
    of its mean; NaN where there is no other.

    Args:
        counts: resamples x stimuli, from ``bootstrap.draws``.
        predictions: of each split, test stimuli x neuroids, as ``nested_ridge(predictions=True)`` returns them.
        measured: stimuli x neuroids, NaN where missing.
        tests: of each split, the stimuli its predictions are of, in their order. For a single set that is all
            stimuli: ``[predicted]`` and ``[numpy.arange(len(measured))]``.

    Raises:
        InputError: shapes that do not fit.
    """
    stimuli, neuroids = measured.shape
    shapes = [np.shape(predicted) for predicted in predictions]
    if shapes != [(len(test), neuroids) for test in tests] or counts.shape[1] != stimuli:
        raise InputError(
            f"predictions of shapes {shapes} and counts of shape {counts.shape} do not fit test parts of "
            f"{[len(test) for test in tests]} stimuli and {stimuli} x {neuroids} measured responses"
        )
    found = np.empty((len(counts), neuroids))
    with jax.enable_x64(True):
        for first in range(0, neuroids, NEUROIDS):
            part = slice(first, first + NEUROIDS)
            pairs = [
                (test, jnp.asarray(_moments(np.asarray(predicted[:, part]), measured[test, part])))
                for predicted, test in zip(predictions, tests, strict=True)
            ]
            for start in range(0, len(counts), RESAMPLES):
                rows = slice(start, start + RESAMPLES)
                r = [_correlation(jnp.asarray(counts[rows, test]), moments) for test, moments in pairs]
                found[rows, part] = _mean(jnp.stack(r))
    return found


def _moments(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """[1, x, y, x², y², xy] of each neuroid, 6 x stimuli x neuroids; 0 where either is missing."""
    present = np.isfinite(predicted) & np.isfinite(measured)
    moments = np.empty((6, *present.shape))
    moments[0] = present
    for place, given in ((1, predicted), (2, measured)):
        values = np.where(present, given, 0.0).astype(np.float64)
        mean = values.sum(axis=0) / np.maximum(present.sum(axis=0), 1)
        moments[place] = np.where(present, values - mean, 0.0)
    moments[3:5] = moments[1:3] ** 2
    moments[5] = moments[1] * moments[2]
    return moments


@jax.jit
def _correlation(counts: jax.Array, moments: jax.Array) -> jax.Array:
    kinds, stimuli, neuroids = moments.shape
    flat = jnp.moveaxis(moments, 0, 1).reshape(stimuli, kinds * neuroids)
    sums = jnp.matmul(counts.astype(moments.dtype), flat, precision="highest").reshape(-1, kinds, neuroids)
    n, x, y, xx, yy, xy = jnp.moveaxis(sums, 1, 0)
    spread_x, spread_y = n * xx - x * x, n * yy - y * y
    defined = (spread_x > FLAT * n * xx) & (spread_y > FLAT * n * yy)
    return jnp.where(defined, (n * xy - x * y) / jnp.sqrt(jnp.where(defined, spread_x * spread_y, 1.0)), jnp.nan)


@jax.jit
def _mean(r: jax.Array) -> jax.Array:
    return jnp.nanmean(r, axis=0)
