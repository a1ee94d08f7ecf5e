"""Reverse mapping from each unit's own voxels: those that correlate most with it on the training stimuli.

The protocol of generic object decoding (Horikawa & Kamitani, Nature Communications 2017) with least squares or ridge in
place of its sparse regression: voxels and unit are z-scored by mean and standard deviation (ddof 1) of the training
stimuli, the ``top`` voxels by absolute training correlation are kept for each unit, the unit is predicted for every
test presentation, predictions are averaged over the presentations of a stimulus, and these averages are correlated with
the unit over the test stimuli.

Every unit has a system of its own, read out of one voxels x voxels correlation matrix. Cost per unit, k voxels of v
kept, n training stimuli: 2 n v + 2/3 k³ flops. Memory beside the block: v² and ``HELD`` bytes of systems.
"""

import numpy as np

from engine.ceilings import masked_pearson
from engine.errors import InputError
from engine.metrics.reverse_units import check_units, dead_units
from engine.metrics.scores import Scores

HELD = 2**28  # bytes of systems solved together


def top_voxels_block(
    train_responses: np.ndarray,
    train_units: np.ndarray,
    presentations: np.ndarray,
    shown: np.ndarray,
    test_units: np.ndarray,
    *,
    top: int = 500,
    penalty: float = 0.0,
) -> Scores:
    """Scores of one block of units; all arithmetic in float64.

    Args:
        train_responses: training stimuli x voxels, none missing.
        train_units: training stimuli x units.
        presentations: test presentations x voxels, repetitions not averaged.
        shown: row of ``test_units`` that each presentation showed.
        test_units: test stimuli x units.
        top: voxels kept for each unit (500; 1000 for the large regions); all, where there are fewer.
        penalty: a of |y - X b|² + a |b|² over z-scored values; 0 is least squares, which needs fewer voxels than
            training stimuli less one.

    Returns:
        Scores, 1 x units: Pearson r over the test stimuli, NaN where a unit is constant over the training or the test
        stimuli. No ``selection``. Units constant over the training stimuli and constant voxels, which are never
        chosen, are counted in the notes.

    Raises:
        InputError: shapes, values or settings that cannot be used.
    """
    train_units = check_units(train_units, len(train_responses))
    predictions = top_voxels_predictions(train_responses, train_units, presentations, top=top, penalty=penalty)
    averages, rows = average_presentations(predictions, shown)
    test_units = check_units(test_units, len(test_units))
    if rows[0] < 0 or rows[-1] >= len(test_units) or test_units.shape[1] != predictions.shape[1]:
        raise InputError(
            f"test units are {test_units.shape[0]} stimuli x {test_units.shape[1]} units; presentations show stimuli "
            f"{rows[0]} to {rows[-1]}, and {predictions.shape[1]} units were trained"
        )
    measured = test_units[rows].astype(np.float64)
    measured = np.where(np.ptp(measured, axis=0) == 0, np.nan, measured)
    averages = np.where(np.ptp(train_units, axis=0) == 0, np.nan, averages)
    both = np.isfinite(measured) & np.isfinite(averages)
    value = masked_pearson(averages, both, measured, both)[None]
    notes = dead_units(train_units)
    constant = int((np.ptp(train_responses, axis=0) == 0).sum())
    if constant:
        notes += (f"{constant} of {train_responses.shape[1]} voxels are constant and were never chosen",)
    return Scores(value, np.full_like(value, np.nan), {}, notes)


def top_voxels_predictions(
    train_responses: np.ndarray,
    train_units: np.ndarray,
    presentations: np.ndarray,
    *,
    top: int = 500,
    penalty: float = 0.0,
) -> np.ndarray:
    """Predicted units for every presentation, presentations x units, in the units' own scale; as above."""
    train, test = np.asarray(train_responses, np.float64), np.asarray(presentations, np.float64)
    if train.ndim != 2 or test.ndim != 2 or train.shape[1] != test.shape[1] or not test.size:
        raise InputError(
            f"wanted stimuli x voxels to train and presentations x voxels to test, got {train.shape} and {test.shape}"
        )
    for name, values in (("training", train), ("test", test)):
        if not np.isfinite(values).all():
            raise InputError(f"{name} responses of some voxels are missing; choose voxels with all responses")
    constant = np.ptp(train, axis=0) == 0
    train, test = train[:, ~constant], test[:, ~constant]
    n, voxels = train.shape
    kept = min(top, voxels)
    if kept < 1 or penalty < 0 or (penalty == 0 and kept > n - 2):
        raise InputError(
            f"top={top} of {voxels} voxels that vary, penalty={penalty}, {n} training stimuli: least squares needs "
            f"1 to {n - 2} voxels; lower top, or give a positive penalty"
        )
    means, scales = train.mean(axis=0), train.std(axis=0, ddof=1)
    train, test = (train - means) / scales, (test - means) / scales
    correlations = train.T @ train / (n - 1)
    units = train_units.astype(np.float64)
    level, spread = units.mean(axis=0), units.std(axis=0, ddof=1)
    units = (units - level) / np.where(np.ptp(units, axis=0) == 0, 1, spread)
    along = (train.T @ units / (n - 1)).T
    chosen = np.argpartition(-np.abs(along), kept - 1, axis=1)[:, :kept]
    predictions = np.empty((len(test), units.shape[1]))
    together = max(1, HELD // (8 * kept * kept))
    ridge = penalty / (n - 1) * np.eye(kept)
    for start in range(0, units.shape[1], together):
        own = chosen[start : start + together]
        systems = correlations[own[:, :, None], own[:, None, :]] + ridge
        right = np.take_along_axis(along[start : start + together], own, axis=1)
        weights = np.zeros((len(own), voxels))
        np.put_along_axis(weights, own, np.linalg.solve(systems, right[:, :, None])[:, :, 0], axis=1)
        predictions[:, start : start + together] = test @ weights.T
    return predictions * spread + level


def average_presentations(predictions: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of the predictions over the presentations of each stimulus, and which stimuli these are.

    Args:
        predictions: presentations x units.
        shown: number of the stimulus of each presentation.

    Returns:
        stimuli x units, and the stimuli's numbers, ascending.
    """
    shown = np.asarray(shown)
    if shown.shape != (len(predictions),) or not np.issubdtype(shown.dtype, np.integer):
        raise InputError(f"wanted the number of the stimulus of each of {len(predictions)} presentations")
    stimuli, place, counts = np.unique(shown, return_inverse=True, return_counts=True)
    means = np.zeros((len(stimuli), predictions.shape[1]))
    np.add.at(means, place, predictions)
    return means / counts[:, None], stimuli
