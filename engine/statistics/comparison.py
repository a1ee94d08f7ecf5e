"""Models against each other, paired by neuroid and fold.

With one number per neuroid and model, the mean difference of two models is the difference of two columns: resampled
means are counts x scores, means under flipped signs are signs x scores, and those of all pairs follow by subtraction.
Cost for R resamples of n neuroids and M models: 4 R n M flops, R M^2 / 2 comparisons and as many numbers sorted in part
for the percentiles. Memory: 16 R M bytes, one model's R x M differences, and 8 R n bytes of signs.

An interval or p value over neuroids is about other neuroids of the same subjects. For conclusions about other subjects,
average over each subject's neuroids first and give subjects for neuroids.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.stats import wilcoxon

from engine.errors import InputError
from engine.statistics.bootstrap import centres, draws, interval

ROUNDING = 1e-9  # of the largest score: mean differences closer than this are ties


class Comparison(NamedTuple):
    """Each model (row) less each other (column), models x models.

    Attributes:
        difference: mean over neuroids of the mean difference over folds.
        low, high: 95 % percentile bootstrap interval over neuroids.
        p: two-sided sign-flip permutation test of that mean; 1 on the diagonal.
        q: ``p`` of all pairs corrected by ``benjamini_hochberg``; 1 on the diagonal.
        wilcoxon: p of the two-sided Wilcoxon signed-rank test, as a check that does not rest on the mean.
        neuroids: how many have a score in every model.
    """

    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    q: np.ndarray
    wilcoxon: np.ndarray
    neuroids: int


def compare_models(scores: np.ndarray, *, resamples: int = 10_000, seed: int = 0) -> Comparison:
    """Every pair of models at once.

    The test flips the sign of a neuroid's difference, all its folds together, since its folds share training data. With
    2^neuroids patterns of signs or fewer than ``resamples`` all are counted and p is exact, equal to
    ``scipy.stats.permutation_test(permutation_type="samples")``; otherwise p is (1 + #) / (1 + resamples). ``wilcoxon``
    equals ``scipy.stats.wilcoxon`` of the differences.

    Args:
        scores: models x neuroids, or models x neuroids x folds. A fold in which any model has NaN is left out for
            that neuroid in all models, as is a neuroid without a fold left.
        resamples: of the bootstrap and of the signs.
        seed: of both.

    Raises:
        InputError: fewer than two models, or two neuroids with a score in all of them.
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim not in (2, 3) or len(scores) < 2:
        raise InputError(
            f"wanted scores of 2 or more models x neuroids (x folds), got an array of shape {scores.shape}"
        )
    folds = scores if scores.ndim == 3 else scores[:, :, None]
    present = np.isfinite(folds).all(axis=0)
    kept = present.any(axis=1)
    if kept.sum() < 2:
        raise InputError(f"{kept.sum()} of {len(kept)} neuroids have a score in all models; wanted 2 or more")
    table = np.where(present, folds, 0.0).sum(axis=2)[:, kept].T / present[kept].sum(axis=1)[:, None]
    neuroids, models = table.shape
    difference = table.mean(axis=0)[:, None] - table.mean(axis=0)[None]
    resampled = centres(draws(neuroids, resamples=resamples, seed=seed), table, "mean")
    signs, exact = _signs(neuroids, resamples, seed)
    flipped = signs @ table / neuroids
    low, high, p = np.zeros((models, models)), np.zeros((models, models)), np.ones((models, models))
    tie = ROUNDING * np.abs(table).max()
    for model in range(models - 1):
        others = slice(model + 1, models)
        low[model, others], high[model, others] = interval(resampled[:, [model]] - resampled[:, others])
        null = np.abs(flipped[:, [model]] - flipped[:, others])
        reached = (null >= np.abs(difference[model, others]) - tie).sum(axis=0)
        p[model, others] = reached / len(signs) if exact else (1 + reached) / (1 + len(signs))
        low[others, model], high[others, model] = -high[model, others], -low[model, others]
        p[others, model] = p[model, others]
    return Comparison(difference, low, high, p, _corrected_pairs(p), _wilcoxon(table), int(kept.sum()))


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Adjusted p values: calling all below a level keeps the expected share of false ones at it.

    Benjamini and Hochberg, J. R. Stat. Soc. B 1995, for tests that are independent or positively dependent. Equals
    ``scipy.stats.false_discovery_control``. Any shape; NaN stays NaN and does not count as a test.
    """
    flat = np.asarray(p, np.float64).ravel()
    found = np.full(flat.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(flat))
    order = tested[np.argsort(flat[tested])[::-1]]
    ranks = np.arange(len(order), 0, -1)
    found[order] = np.minimum(1.0, np.minimum.accumulate(flat[order] * len(order) / ranks))
    return found.reshape(np.shape(p))


def _signs(neuroids: int, resamples: int, seed: int) -> tuple[np.ndarray, bool]:
    """Patterns of +1 and -1, patterns x neuroids, and whether they are all there are."""
    if neuroids < 63 and 2**neuroids <= resamples:
        return np.array(list(product((1.0, -1.0), repeat=neuroids))), True
    return 1.0 - 2.0 * np.random.default_rng(seed).integers(0, 2, (resamples, neuroids)), False


def _corrected_pairs(p: np.ndarray) -> np.ndarray:
    above = np.triu_indices(len(p), 1)
    q = np.ones_like(p)
    q[above] = benjamini_hochberg(p[above])
    q.T[above] = q[above]
    return q


def _wilcoxon(table: np.ndarray) -> np.ndarray:
    """Neuroids x models -> models x models; 1 where two models never differ."""
    models = table.shape[1]
    p = np.ones((models, models))
    for first in range(models):
        for second in range(first + 1, models):
            difference = table[:, first] - table[:, second]
            if difference.any():
                p[first, second] = p[second, first] = wilcoxon(difference).pvalue
    return p
