"""How much of a neuroid's variance is signal, from the responses to the same stimulus, and how much is explained.

With k responses to a stimulus, ``noise`` below is their sample variance averaged over stimuli with k > 1, ``total`` the
sample variance of all responses. Responses missing in part are left out; a neuroid without two responses to any
stimulus is NaN, and so is a constant one.
"""

from typing import NamedTuple

import numpy as np

from engine.ceilings.halves import MEMORY, check_repeats
from engine.ceilings.moments import divided, moments
from engine.errors import InputError


class Power(NamedTuple):
    """Variance over stimuli of the signal and of the noise in one response, per neuroid, in squared units."""

    signal: np.ndarray
    noise: np.ndarray


def noise_ceiling_snr(repeats: np.ndarray) -> np.ndarray:
    """Standard deviation of the signal over that of the noise in one response: sqrt(max(0, total - noise) / noise).

    Allen et al., Nature Neuroscience 2022 (Natural Scenes Dataset). Equals its ``ncsnr`` of responses that were
    z-scored (sample standard deviation) first, where total is 1; it z-scores within sessions, which is left to the
    caller. Infinite where responses to a stimulus never differ.

    Args:
        repeats: repetitions x stimuli x neuroids, NaN where missing.

    Raises:
        InputError: nothing is repeated.
    """
    ratio = np.full(repeats.shape[-1], np.nan)
    for where, own in moments(repeats, "noise-ceiling SNR"):
        total, noise = own.total, own.noise
        known = np.isfinite(noise) & (total > 0)
        ratio[where] = np.where(known, np.where(noise > 0, divided(total - noise, noise), np.inf), np.nan)
    return np.sqrt(np.maximum(ratio, 0))


def noise_ceiling_percent(snr: np.ndarray, presentations: np.ndarray | int) -> np.ndarray:
    """Percent of the variance of averages over presentations that a perfect model explains.

    100 snr² / (snr² + mean over stimuli of 1 / k). Allen et al., Nature Neuroscience 2022; with uneven k as in the
    data manual of the Natural Scenes Dataset. A hundredth of it is a reliability of the averages.

    Args:
        snr: per neuroid, from ``noise_ceiling_snr``.
        presentations: k, in the averages: one number, stimuli, or stimuli x neuroids; stimuli without any are ignored.
    """
    k = np.asarray(presentations, np.float64)
    if not k.size or (k < 0).any() or not np.isfinite(k).all() or not (k > 0).any():
        raise InputError("noise ceiling: wanted how many presentations were averaged, 1 or more, got none")
    averaged = k > 0
    share = np.where(averaged, 1 / np.where(averaged, k, 1), 0.0)
    if k.ndim:
        share = divided(share.sum(axis=0), averaged.sum(axis=0))
    with np.errstate(divide="ignore"):
        return 100 / (1 + share / np.square(snr))  # so that an infinite ratio gives 100


def signal_power(repeats: np.ndarray) -> Power:
    """Signal power: the covariance of two repetitions over stimuli, averaged over all pairs of repetitions.

    (var(sum over repetitions) - sum of each one's variance) / (R (R - 1)), with sample variances over stimuli; noise
    power is the mean variance of a repetition less that. Sahani & Linden, NIPS 2002; Schoppe et al., Frontiers in
    Computational Neuroscience 2016. Unbiased, so it can be negative. NaN for neuroids with a missing response.

    Args:
        repeats: repetitions x stimuli x neuroids.

    Raises:
        InputError: fewer than two repetitions or stimuli; every neuroid has missing responses.
    """
    check_repeats(repeats, "signal power")
    count, stimuli, neuroids = repeats.shape
    signal, noise = np.empty((2, neuroids))
    width = max(1, MEMORY // (8 * count * stimuli))
    if stimuli < 2:
        raise InputError("signal power: needs two or more stimuli, got 1")
    for start in range(0, neuroids, width):
        where = slice(start, start + width)
        part = np.asarray(repeats[:, :, where], np.float64)
        part = np.where(np.isfinite(part), part, np.nan)
        each = part.var(axis=1, ddof=1).sum(axis=0)
        signal[where] = (part.sum(axis=0).var(axis=0, ddof=1) - each) / (count * (count - 1))
        noise[where] = each / count - signal[where]
    if np.isnan(signal).all():
        raise InputError(
            "signal power: every neuroid lacks some response, and the formula needs the same number of repetitions of "
            "every stimulus; leave out incomplete repetitions or stimuli, or use the explainable variance instead"
        )
    return Power(signal, noise)


def explainable_variance(repeats: np.ndarray) -> np.ndarray:
    """Share of the variance of single responses that depends on the stimulus: (total - noise) / total, "FEV".

    Cadena et al., PLoS Computational Biology 2019. Equals ``fev(..., return_exp_var=True)`` of neuralpredictors 0.3.0;
    sensorium keeps neurons from 0.15 on (Willeke et al., arXiv 2206.08666).

    Args:
        repeats: repetitions x stimuli x neuroids, NaN where missing.

    Raises:
        InputError: nothing is repeated.
    """
    share = np.full(repeats.shape[-1], np.nan)
    for where, own in moments(repeats, "explainable variance"):
        share[where] = divided(own.total - own.noise, own.total)
    return share


def explained(repeats: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Share of the explainable variance that predictions explain: 1 - (mse - noise) / (total - noise), "FEVE".

    mse is the mean squared distance of single responses from their prediction. Cadena et al., PLoS Computational
    Biology 2019. Equals ``fev`` of neuralpredictors 0.3.0. NaN where total - noise is not positive; unreliable neuroids
    give values far from [0, 1], so keep those whose ``explainable_variance`` reaches a threshold.

    Args:
        repeats: repetitions x stimuli x neuroids, NaN where missing.
        predictions: stimuli x neuroids, of held-out stimuli and in the responses' units; NaN makes the neuroid NaN.

    Raises:
        InputError: nothing is repeated; shapes do not fit.
    """
    if predictions.shape != repeats.shape[1:]:
        raise InputError(f"wanted predictions of {repeats.shape[1:]} stimuli x neuroids, got {predictions.shape}")
    share = np.full(repeats.shape[-1], np.nan)
    for where, own in moments(repeats, "explained variance"):
        apart = (own.presentations * (own.mean - predictions[:, where]) ** 2).sum(axis=0)
        mse = divided(apart + own.scatter.sum(axis=0), own.presentations.sum(axis=0))
        share[where] = 1 - divided(mse - own.noise, own.total - own.noise)
    return share
