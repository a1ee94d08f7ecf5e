"""Uncertainty of a score over stimuli and subjects (or neuroids) at once.

A bootstrap that resamples both factors together counts the noise of single measurements three times: once with each
factor and once by itself. Its variance is far too large, and that over one factor alone is too small for conclusions
about other stimuli and other subjects. Schütt et al. ("Statistical inference on representational geometries", eLife
2023) combine the three. With the variances V_s of resampled stimuli, V_m of resampled subjects and V_sm of both,

    V = n_m / (n_m - 1) V_m + n_s / (n_s - 1) V_s - n_s n_m / ((n_s - 1) (n_m - 1)) (V_sm - V_s - V_m)

kept between the larger of the two corrected single ones and V_sm. The interval is that of the t distribution with
min(n_s, n_m) - 1 degrees of freedom.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import t as students

from engine.errors import InputError
from engine.statistics.bootstrap import Centre, centres


class Dual(NamedTuple):
    """Models side by side, in their order.

    Attributes:
        estimate: models, the centre over subjects in the full data.
        variance: models, of the estimate over other stimuli and subjects.
        low, high: models, 95 % interval.
        difference_variance: models x models, of the difference of two models on the same resamples.
        p: models x models, two-sided t test of that difference; 1 on the diagonal.
        of_stimuli, of_subjects, of_both: models, the plain bootstrap variances behind ``variance``.
    """

    estimate: np.ndarray
    variance: np.ndarray
    low: np.ndarray
    high: np.ndarray
    difference_variance: np.ndarray
    p: np.ndarray
    of_stimuli: np.ndarray
    of_subjects: np.ndarray
    of_both: np.ndarray


def dual_bootstrap(
    scores: np.ndarray, resampled: np.ndarray, subjects: np.ndarray, *, stimuli: int, centre: Centre = "mean"
) -> Dual:
    """Combines the bootstraps over stimuli, over subjects and over both.

    Equals ``rsatoolbox.inference.eval_dual_bootstrap`` (its ``model_var``, ``diff_var``, ``get_ci(0.95)`` and t tests)
    on the same resamples, with the mean over subjects. The correction is derived for a mean; for the median over
    neuroids it is an approximation.

    Args:
        scores: subjects x models, on the full data.
        resampled: resamples x subjects x models, each subject's score with the stimuli resampled, from
            ``rdm_similarities`` or, with neuroids for subjects, ``correlations``. Resamples with a NaN are left out.
        subjects: resamples x subjects, counts from ``draws``; the same number of resamples.
        stimuli: how many were resampled.
        centre: over subjects.

    Raises:
        InputError: shapes that do not fit, or fewer than two resamples, subjects or stimuli.
    """
    resamples, members, models = np.shape(resampled)
    if scores.shape != (members, models) or subjects.shape != (resamples, members):
        raise InputError(
            f"scores of shape {scores.shape} and counts of shape {subjects.shape} do not fit resampled scores of shape "
            f"{resampled.shape}, resamples x subjects x models"
        )
    valid = np.isfinite(resampled).all(axis=(1, 2))
    if min(valid.sum(), members, stimuli) < 2 or not np.isfinite(scores).all():
        raise InputError(
            f"wanted 2 or more subjects, stimuli and resamples without NaN, got {members}, {stimuli} and "
            f"{valid.sum()}; {np.isnan(scores).sum()} scores of the full data are NaN"
        )
    resampled, subjects = resampled[valid], subjects[valid]
    three = np.stack(
        [
            _both(resampled, subjects, centre),
            centres(subjects, scores, centre),
            _middle(resampled.swapaxes(0, 1), centre),
        ]
    )
    differences = three[:, :, :, None] - three[:, :, None, :]
    plain = three.var(axis=1, ddof=1)
    variance = corrected_variance(*plain, stimuli=stimuli, subjects=members)
    between = corrected_variance(*differences.var(axis=1, ddof=1), stimuli=stimuli, subjects=members)
    estimate = _middle(scores, centre)
    freedom = min(stimuli, members) - 1
    reach = students.ppf(0.975, freedom) * np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(estimate[:, None] - estimate[None]) / np.sqrt(between)
    p = np.where(np.isnan(t), 1.0, 2 * students.sf(t, freedom))
    return Dual(estimate, variance, estimate - reach, estimate + reach, between, p, plain[2], plain[1], plain[0])


def corrected_variance(
    both: np.ndarray, of_subjects: np.ndarray, of_stimuli: np.ndarray, *, stimuli: int, subjects: int
) -> np.ndarray:
    """V of the module's docstring, from the variances of the three bootstraps."""
    s, m = stimuli / (stimuli - 1), subjects / (subjects - 1)
    variance = m * of_subjects + s * of_stimuli - s * m * (both - of_subjects - of_stimuli)
    return np.minimum(np.maximum(variance, np.maximum(m * of_subjects, s * of_stimuli)), both)


def _middle(values: np.ndarray, centre: Centre) -> np.ndarray:
    """Over subjects, the first axis."""
    return values.mean(axis=0) if centre == "mean" else np.median(values, axis=0)


def _both(resampled: np.ndarray, subjects: np.ndarray, centre: Centre) -> np.ndarray:
    """The centre over the resampled subjects of each one's score on the resampled stimuli, resamples x models."""
    if centre == "mean":
        return np.einsum("rs,rsm->rm", subjects.astype(np.float64), resampled) / subjects.sum(axis=1)[:, None]
    drawn = (np.median(np.repeat(one, count, axis=0), axis=0) for one, count in zip(resampled, subjects, strict=True))
    return np.stack(list(drawn))
