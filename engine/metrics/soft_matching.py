"""Soft matching: units and neuroids are paired by optimal transport, so that neither may be used more than its share.

With r the correlations of units and neuroids over the training stimuli, the plan T (units x neuroids, not negative,
rows adding up to 1 / units, columns to 1 / neuroids) is the one of least cost, the sum of T (1 - r): the soft matching
distance in its correlation form (Khosla and Williams, Soft Matching Distance, UniReps 2024). As many units as neuroids
make it a permutation, the one-to-one mapping without reuse. The neuroids are predicted on test stimuli from the
standardised units x as the sum of T r x over the units: each neuroid by those that were transported to it, in
proportion to how well they follow it.

The plan is exact, by the network simplex of POT (Flamary et al., JMLR 2021): milliseconds for 1000 units and 40
neuroids. Very wide layers are represented by a random sample of their units, with a seed; the distance then is that
of the sample.
"""

from collections.abc import Sequence

import numpy as np

from engine.errors import InputError
from engine.metrics.one_to_one_controls import sample_units, unit_length
from engine.metrics.scores import Scores
from engine.solvers.folds import Split, check_splits

VERSION = "1"  # of the numbers below; part of every result's key
TURNS = 10_000_000  # of the simplex; some thousands are taken


def wanted_units(units: int, neuroids: int, *, most: int = 1000, seed: int = 0) -> np.ndarray:
    """Numbers of the units that represent a layer: all where they are few, otherwise a random sample, sorted.

    At least as many as there are neuroids. Collect them from the blocks of the layer with ``one_to_one.take_units``.
    """
    if units <= max(most, neuroids):
        return np.arange(units)
    return sample_units(units, max(most, neuroids), seed=seed)


def transport(cost: np.ndarray) -> np.ndarray:
    """The plan of least cost between uniform weights: rows x columns, adding up to 1. ``ot.emd([], [], cost)``."""
    import ot  # seconds, since it looks for every array library there is

    plan, log = ot.emd([], [], np.ascontiguousarray(cost, np.float64), numItermax=TURNS, log=True)
    if log["warning"]:
        raise RuntimeError(
            f"the transport of {cost.shape[0]} units to {cost.shape[1]} neuroids was not solved: {log['warning']}"
        )
    return np.asarray(plan)


def score_layer(sample: np.ndarray, responses: np.ndarray, splits: Sequence[Split]) -> Scores:
    """Soft matching of a layer (or a sample of its units) with a population.

    Args:
        sample: stimuli x units.
        responses: stimuli x neuroids, none missing.

    Returns:
        Scores of splits x neuroids. ``value`` is r of predicted and measured responses to the test stimuli, NaN for a
        constant neuroid. ``selection`` is the mean of the same over the inner folds, with plans fitted on the rest of
        the training stimuli, or NaN without inner folds. Details: ``transported_r``, the test correlations averaged
        under the plan, whose mean over neuroids is the soft matching correlation of the population on held-out
        stimuli, and ``transported_train_r``, the same in training: one minus its mean is the soft matching distance.
        Units that are constant in training take no part.

    Raises:
        InputError: missing responses, neuroids constant in training, a layer none of whose units varies.
    """
    missing = ~np.isfinite(responses)
    if missing.any():
        raise InputError(
            f"soft matching needs every response: {missing.sum()} are missing, of {missing.any(axis=0).sum()} of "
            f"{responses.shape[1]} neuroids; choose neuroids (or stimuli) that have all"
        )
    checked = check_splits(splits, len(responses))
    fits: dict[bytes, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = {}

    def fitted(train: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        # Inner folds of k-fold cross-validation share their training sets in pairs.
        if train.tobytes() not in fits:
            fits[train.tobytes()] = _fit(sample, responses, train)
        return fits[train.tobytes()]

    values, selections, moved, moved_in_training = [], [], [], []
    for split in checked:
        plan, r, mean, scale = fitted(split.train)
        values.append(_pearson(_predicted(sample[split.test], plan * r, mean, scale), responses[split.test]))
        shares = plan * responses.shape[1]
        moved.append((shares * np.nan_to_num(_all_pearson(sample[split.test], responses[split.test]))).sum(axis=0))
        moved_in_training.append((shares * r).sum(axis=0))
        inner = []
        for part in split.validation or ():
            plan, r, mean, scale = fitted(np.setdiff1d(split.train, part))
            inner.append(np.nan_to_num(_pearson(_predicted(sample[part], plan * r, mean, scale), responses[part])))
        selections.append(np.mean(inner, axis=0) if inner else np.full(responses.shape[1], np.nan))
    details = {"transported_r": np.stack(moved), "transported_train_r": np.stack(moved_in_training)}
    return Scores(np.stack(values), np.stack(selections), details)


def _fit(
    sample: np.ndarray, responses: np.ndarray, train: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Plan and correlations (units x neuroids), means and standard deviations of the units."""
    x = sample[train].astype(np.float64)
    r = _all_pearson(sample[train], responses[train])
    varies = ~np.isnan(r).all(axis=1)
    silent = np.isnan(r[varies]).any(axis=0)
    if not varies.any() or silent.any():
        what = f"{silent.sum()} of {len(silent)} neuroids are" if varies.any() else "all units of the layer are"
        raise InputError(
            f"{what} constant over the {len(train)} training stimuli, and soft matching needs that they vary"
        )
    plan = np.zeros(r.shape)
    plan[varies] = transport(1 - r[varies])
    return plan, np.nan_to_num(r), x.mean(axis=0), np.where(varies, x.std(axis=0), 1)


def _predicted(x: np.ndarray, weights: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return ((x - mean) / scale) @ weights * weights.shape[1]


def _all_pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return unit_length(x).T @ unit_length(y)


def _pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (unit_length(a) * unit_length(b)).sum(axis=0)
