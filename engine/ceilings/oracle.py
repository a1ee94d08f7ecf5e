"""Oracles: a response predicted by the other responses to the same stimulus.

Both need only the number k, mean m and scatter S of each stimulus' responses (``moments``). Leaving a response x out,
the mean of the others is m - (x - m) / (k - 1), so that with M the mean of all responses the sums over responses of

    (x - M)(oracle - M) = k (m - M)² - S / (k - 1),    (oracle - M)² = k (m - M)² + S / (k - 1)²

give the correlation of responses and oracles without one oracle being formed.
"""

import numpy as np

from engine.ceilings.moments import divided, moments, over_stimuli, weighted_mean


def oracle_jackknife(repeats: np.ndarray) -> np.ndarray:
    """Pearson r of single responses and the mean of the others to the same stimulus, per neuroid.

    Below the r of a perfect model with single responses, since the others' mean is noisy. Walker et al., Nature
    Neuroscience 2019; equals ``oracle_corr_jackknife`` of neuralpredictors 0.3.0 up to the 1e-8 that it adds to
    standard deviations. Stimuli with one response are left out. Stimuli with more responses weigh more.

    Args:
        repeats: repetitions x stimuli x neuroids, NaN where missing.

    Returns:
        NaN for constant neuroids, or where nothing is repeated.

    Raises:
        InputError: nothing is repeated.
    """
    r = np.full(repeats.shape[-1], np.nan)
    for where, own in moments(repeats, "oracle correlation"):
        k = np.where(own.repeated, own.presentations, 0)
        others = np.maximum(k - 1, 1)
        level = weighted_mean(own.mean, k)
        between = (k * (own.mean - level) ** 2).sum(axis=0)
        scatter = np.where(own.repeated, own.scatter, 0.0)
        crossed = between - (scatter / others).sum(axis=0)
        squares = (between + scatter.sum(axis=0)) * (between + (scatter / others**2).sum(axis=0))
        r[where] = divided(crossed, np.sqrt(squares))
    return r


def oracle_conservative(repeats: np.ndarray) -> np.ndarray:
    """sqrt(V / (V + noise)), V the variance of the stimuli's means: an upper estimate of a perfect model's r.

    It is too high since V contains the noise left in the means; both are population variances. Equals
    ``oracle_corr_conservative`` of neuralpredictors 0.3.0. Stimuli with one response are left out.

    Args:
        repeats: repetitions x stimuli x neuroids, NaN where missing.

    Returns:
        NaN for constant neuroids, or where nothing is repeated.

    Raises:
        InputError: nothing is repeated.
    """
    r = np.full(repeats.shape[-1], np.nan)
    for where, own in moments(repeats, "oracle correlation"):
        noise = over_stimuli(own.scatter / np.maximum(own.presentations, 1), own.repeated)
        spread = over_stimuli((own.mean - over_stimuli(own.mean, own.repeated)) ** 2, own.repeated)
        r[where] = np.sqrt(divided(spread, spread + noise))
    return r
