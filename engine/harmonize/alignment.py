"""How much a model looks where people look: correlation and overlap of its saliency with human maps.

Fel et al. (Harmonizing the object recognition strategies of deep neural networks with humans, NeurIPS 2022): the
Spearman correlation of saliency and human map over all pixels of an image; the score is the mean over images divided
by that of people with people, 0.65753. Beside it Dice and intersection over union of the top tenth of both.

The saliency is ``engine.harmonize.saliency.saliency_maps`` (not blurred), the human map
``engine.harmonize.human_maps.evaluation_maps``. Cost per image of n pixels: two sorts, n log n.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from engine.errors import InputError
from engine.statistics.bootstrap import centres, draws, interval

HUMAN_CEILING = 0.65753  # Spearman correlation of people with people on ClickMe, as published
PERCENTILE = 90
EPSILON = 1e-9  # beside the size of the union, as published


class Alignment(NamedTuple):
    """Image by image, float64. NaN, all three, where either map is constant.

    Attributes:
        spearman: correlation over pixels.
        dice: 2 |A n B| / (|A| + |B|) of the pixels above the 90th percentile.
        iou: |A n B| / |A u B| of the same.
    """

    spearman: np.ndarray
    dice: np.ndarray
    iou: np.ndarray


class Estimate(NamedTuple):
    """Attributes:
    value: mean over images.
    low, high: 95 % percentile bootstrap interval over images.
    images: how many it is a mean of.
    """

    value: float
    low: float
    high: float
    images: int


def alignment(saliency: np.ndarray, human: np.ndarray) -> Alignment:
    """Of each image; equals ``scipy.stats.spearmanr`` of the two maps, flattened, as float32.

    Args:
        saliency: images x height x width, of a model.
        human: same shape, prepared.

    Raises:
        InputError: shapes that do not fit, or values that are not finite.
    """
    saliency, human = np.asarray(saliency, np.float32), np.asarray(human, np.float32)
    if saliency.ndim != 3 or saliency.shape != human.shape or 0 in saliency.shape[1:]:
        raise InputError(
            f"saliency of shape {saliency.shape} and human maps of shape {human.shape}: wanted both "
            "images x height x width, the same"
        )
    for name, maps in (("saliency", saliency), ("human map", human)):
        broken = ~np.isfinite(maps).all((1, 2))
        if broken.any():
            raise InputError(f"the {name} of image {broken.argmax()} (and {broken.sum() - 1} more) is not finite")
    rows = [_of_image(one.ravel(), other.ravel()) for one, other in zip(saliency, human, strict=True)]
    return Alignment(*np.array(rows, np.float64).reshape(-1, 3).T)


def summarise(found: Alignment, *, resamples: int = 2000, seed: int = 0) -> dict[str, Estimate]:
    """Means over images with intervals: ``alignment`` (Spearman / 0.65753), ``spearman``, ``dice`` and ``iou``.

    Images with NaN are left out. ``alignment`` is the published score. All come from the same resamples.

    Raises:
        InputError: fewer than two images without NaN.
    """
    return _estimates(_table(found), resamples, seed)


def alignment_difference(
    before: Alignment, after: Alignment, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Estimate]:
    """after - before on the same images, paired: means with intervals, named as in ``summarise``.

    An image with NaN in either is left out.

    Raises:
        InputError: different numbers of images, or fewer than two without NaN in either.
    """
    if len(before.spearman) != len(after.spearman):
        raise InputError(
            f"before has {len(before.spearman)} images and after {len(after.spearman)}: wanted the same images"
        )
    return _estimates(_table(after) - _table(before), resamples, seed)


def _of_image(saliency: np.ndarray, human: np.ndarray) -> tuple[float, float, float]:
    if np.ptp(saliency) == 0 or np.ptp(human) == 0:
        return np.nan, np.nan, np.nan
    a, b = (rank - rank.mean() for rank in (rankdata(saliency), rankdata(human)))
    top_a, top_b = (values > np.percentile(values, PERCENTILE) for values in (saliency, human))
    both, either = (top_a & top_b).sum(), (top_a | top_b).sum()
    spearman = a @ b / np.sqrt((a @ a) * (b @ b))
    return spearman, 2 * both / (both + either + EPSILON), both / (either + EPSILON)


def _table(found: Alignment) -> np.ndarray:
    """Images x (alignment, spearman, dice, iou)."""
    return np.stack([found.spearman / HUMAN_CEILING, *found], axis=1)


def _estimates(table: np.ndarray, resamples: int, seed: int) -> dict[str, Estimate]:
    kept = table[np.isfinite(table).all(axis=1)]
    if len(kept) < 2:
        raise InputError(
            f"{len(kept)} of {len(table)} images have a saliency and a human map that are not constant: wanted 2 or "
            "more for an interval"
        )
    low, high = interval(centres(draws(len(kept), resamples=resamples, seed=seed), kept, "mean"))
    names = ("alignment", "spearman", "dice", "iou")
    columns = zip(names, kept.mean(axis=0), low, high, strict=True)
    return {name: Estimate(float(mean), float(lo), float(hi), len(kept)) for name, mean, lo, hi in columns}
