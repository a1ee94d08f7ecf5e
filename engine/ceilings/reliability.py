"""Which reliability a job takes for its neuroids, and what it is called in every output."""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from engine.ceilings.known import known
from engine.ceilings.noise import noise_ceiling_percent, noise_ceiling_snr
from engine.ceilings.split_half import CONVENTION, internal_consistency, split_half

Estimator = Literal["split_half", "internal_consistency", "noise_ceiling"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)


def reliability(
    estimator: Estimator, responses: np.ndarray, repeats: np.ndarray | None, truth: np.ndarray | None
) -> tuple[np.ndarray, str]:
    """Reliability c of every neuroid's averages, NaN where it cannot be known, and what it is in words.

    Args:
        estimator: ``split_half`` (100 random halvings), ``internal_consistency`` (Brain-Score's 10) or
            ``noise_ceiling`` (signal variance over that of the averages, by the variance within stimuli).
        responses: stimuli x neuroids, the averages.
        repeats: repetitions x stimuli x neuroids, or None where they were not published.
        truth: noise-free responses of a simulation, which make estimates needless.
    """
    if truth is not None:
        return known(truth, responses), "known: squared r with the noise-free responses"
    unknown_to_all = np.full(responses.shape[1], np.nan)
    if repeats is None or len(repeats) < 2:
        return unknown_to_all, "no repeats: no ceiling"
    if not any((np.isfinite(repeats[:, :, i]).sum(axis=0) > 1).any() for i in range(repeats.shape[2])):
        return unknown_to_all, "no neuroid has two responses to the same stimulus: no ceiling"
    return _ESTIMATES[estimator](repeats)


def _split_half(repeats: np.ndarray) -> tuple[np.ndarray, str]:
    return split_half(repeats), CONVENTION


def _internal_consistency(repeats: np.ndarray) -> tuple[np.ndarray, str]:
    found = internal_consistency(repeats).neuroids
    kept = np.isfinite(found)
    mean = np.where(kept, found, 0).sum(axis=0) / np.maximum(kept.sum(axis=0), 1)
    sentence = "internal consistency as Brain-Score's: 10 halvings, Spearman-Brown corrected, mean over them"
    return np.where(kept.any(axis=0), mean, np.nan), sentence


def _noise_ceiling(repeats: np.ndarray) -> tuple[np.ndarray, str]:
    share = noise_ceiling_percent(noise_ceiling_snr(repeats), np.isfinite(repeats).sum(axis=0)) / 100
    return share, "noise ceiling: signal variance over variance of the averages, from the variance within stimuli"


_ESTIMATES: dict[str, Callable[[np.ndarray], tuple[np.ndarray, str]]] = {
    "split_half": _split_half,
    "internal_consistency": _internal_consistency,
    "noise_ceiling": _noise_ceiling,
}
