"""Score against another quality of models, such as ImageNet accuracy: does one rise with the other?"""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from engine.errors import InputError
from engine.statistics.bootstrap import draws, interval


class Trend(NamedTuple):
    """Correlations over models with 95 % percentile bootstrap intervals.

    Attributes:
        pearson, pearson_low, pearson_high: linear.
        spearman, spearman_low, spearman_high: of ranks.
        models: how many have both numbers.
    """

    pearson: float
    pearson_low: float
    pearson_high: float
    spearman: float
    spearman_low: float
    spearman_high: float
    models: int


def trend(accuracy: np.ndarray, score: np.ndarray, *, resamples: int = 10_000, seed: int = 0) -> Trend:
    """Equals ``scipy.stats.pearsonr`` and ``spearmanr``; models are resampled with replacement for the intervals.

    Models of one family are not independent, which makes the intervals too narrow; choose one of each where it matters.

    Args:
        accuracy, score: models; a model with NaN in either is left out.
        resamples, seed: of the bootstrap.

    Raises:
        InputError: fewer than three models with both, or all alike in either.
    """
    accuracy, score = complete(accuracy, score, 3)
    counts = draws(len(score), resamples=resamples, seed=seed)
    drawn = np.repeat(np.tile(np.arange(len(score)), resamples), counts.ravel()).reshape(counts.shape)
    x, y = accuracy[drawn], score[drawn]
    low, high = interval(_pearson(x, y))
    rank_low, rank_high = interval(_pearson(rankdata(x, axis=1), rankdata(y, axis=1)))
    return Trend(
        float(_pearson(accuracy[None], score[None])[0]),
        float(low),
        float(high),
        float(_pearson(rankdata(accuracy)[None], rankdata(score)[None])[0]),
        float(rank_low),
        float(rank_high),
        len(score),
    )


def pareto_front(accuracy: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The models that no other surpasses in both: indices by ascending accuracy.

    A model is surpassed by another that is at least as high in both and higher in one; models alike in both stand or
    fall together. Models with NaN in either are never on the front.
    """
    accuracy, score = np.asarray(accuracy, np.float64), np.asarray(score, np.float64)
    usable = np.flatnonzero(np.isfinite(accuracy) & np.isfinite(score))
    front: list[int] = []
    highest, at = -np.inf, np.nan
    for model in usable[np.lexsort((-score[usable], -accuracy[usable]))]:
        if score[model] > highest or (score[model] == highest and accuracy[model] == at):
            front.append(int(model))
            highest, at = score[model], accuracy[model]
    return np.array(front[::-1], dtype=int)


def complete(accuracy: np.ndarray, score: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """The models that have both numbers, in float64; InputError where they are fewer than ``least`` or all alike."""
    accuracy, score = np.asarray(accuracy, np.float64), np.asarray(score, np.float64)
    if accuracy.ndim != 1 or accuracy.shape != score.shape:
        raise InputError(f"wanted an accuracy and a score per model, got shapes {accuracy.shape} and {score.shape}")
    both = np.isfinite(accuracy) & np.isfinite(score)
    accuracy, score = accuracy[both], score[both]
    if len(score) < least or np.ptp(accuracy) == 0 or np.ptp(score) == 0:
        raise InputError(
            f"{len(score)} of {len(both)} models have both numbers, with {len(np.unique(accuracy))} different "
            f"accuracies and {len(np.unique(score))} different scores; wanted {least} or more models, not all alike"
        )
    return accuracy, score


def _pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """R of each row; NaN where either is constant, as in a resample of one model only."""
    flat = (np.ptp(x, axis=1) == 0) | (np.ptp(y, axis=1) == 0)
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    spread = np.where(flat, 1.0, (x * x).sum(axis=1) * (y * y).sum(axis=1))
    return np.where(flat, np.nan, (x * y).sum(axis=1) / np.sqrt(spread))
