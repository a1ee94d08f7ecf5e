"""How a ceiling enters a score. c is a reliability: r of two hypothetical recordings' averages, such as ``split_half``.

A model that predicts the noise-free responses has r = sqrt(c) with the averages (Spearman, American Journal of
Psychology 1904). So r / sqrt(c) is the model's correlation with the noise-free responses and r² / c its square, the
share of the explainable variance that is explained. (r / c)² is what Brain-Score reported from February 2020 to
December 2025, taking the model to be as noisy as the neuron; it exceeds 1 for a perfect model.
The squares give a score below zero the credit of one above; r|r| / c keeps the sign.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, get_args

import numpy as np

from engine.errors import InputError, unknown

Convention = Literal["r", "r/sqrt(c)", "(r/c)^2", "r^2/c", "r|r|/c"]
CONVENTIONS: tuple[str, ...] = get_args(Convention)


class Corrected(NamedTuple):
    """A corrected score of a whole population, with what it was made of.

    Attributes:
        score: in the convention named.
        error: standard error over splits of the raw score, not rescaled, as Brain-Score reports it.
        raw: median of r over neuroids, mean over splits.
        ceiling: c that was used.
        neuroids: how many have a raw score in every split.
        convention: by which ``score`` was made.
    """

    score: float
    error: float
    raw: float
    ceiling: float
    neuroids: int
    convention: Convention


class Reliable(NamedTuple):
    """Neuroids that reach a threshold.

    Attributes:
        mask: True for those that are kept.
        below: how many are dropped for less.
        undefined: how many are dropped since their reliability is not known.
    """

    mask: np.ndarray
    below: int
    undefined: int


def raw(r: np.ndarray, c: np.ndarray) -> np.ndarray:
    """r, whatever the ceiling."""
    return np.broadcast_to(r, np.broadcast_shapes(np.shape(r), np.shape(c))).astype(np.float64)


def over_root(r: np.ndarray, c: np.ndarray) -> np.ndarray:
    """r / sqrt(c): correlation with the noise-free responses."""
    return np.asarray(r) / np.sqrt(_positive(c))


def over_ceiling_squared(r: np.ndarray, c: np.ndarray) -> np.ndarray:
    """(r / c)²: Brain-Score's explained variance of 2020 to 2025."""
    return np.square(np.asarray(r) / _positive(c))


def squared_over_ceiling(r: np.ndarray, c: np.ndarray) -> np.ndarray:
    """r² / c: share of the explainable variance; Brain-Score's explained variance since January 2026."""
    return np.square(np.asarray(r)) / _positive(c)


def signed_square_over_ceiling(r: np.ndarray, c: np.ndarray) -> np.ndarray:
    """r |r| / c: as r² / c, negative for negative r."""
    return np.asarray(r) * np.abs(r) / _positive(c)


FORMULAS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "r": raw,
    "r/sqrt(c)": over_root,
    "(r/c)^2": over_ceiling_squared,
    "r^2/c": squared_over_ceiling,
    "r|r|/c": signed_square_over_ceiling,
}


def correct(r: np.ndarray, c: np.ndarray, convention: Convention) -> np.ndarray:
    """Corrected scores, element by element: per neuroid where r and c are.

    Args:
        r: Pearson r, any shape.
        c: reliability, of a shape that fits.
        convention: see above.

    Returns:
        NaN where c is NaN, zero or negative (but for ``r``, which ignores it).
    """
    if convention not in FORMULAS:
        raise unknown("ceiling convention", convention, CONVENTIONS)
    return FORMULAS[convention](r, c)


def on_aggregates(r: np.ndarray, c: np.ndarray | float, convention: Convention) -> Corrected:
    """One score of a population: the convention applied to the median r and the median c.

    Brain-Score's way (``explained_variance`` of brainscore-vision: ``r^2/c`` since January 2026): median over neuroids
    in every split, mean over splits, for r and for c alike. Neuroids that are NaN are left out of the medians.

    Args:
        r: splits x neuroids.
        c: a ceiling that is one number already (``internal_consistency(...).value``), neuroids, or splits x neuroids.
        convention: see above.

    Raises:
        InputError: shapes.
    """
    if np.ndim(r) != 2 or np.ndim(c) > 2:
        raise InputError(f"wanted r of splits x neuroids and one ceiling or one for each, got {r.shape}, {np.shape(c)}")
    medians = _medians(r)
    score = float(medians.mean())
    ceiling = float(_medians(np.atleast_2d(c)).mean())
    return Corrected(
        float(correct(np.asarray(score), np.asarray(ceiling), convention)),
        float(medians.std() / np.sqrt(len(medians))),
        score,
        ceiling,
        int(np.isfinite(r).all(axis=0).sum()),
        convention,
    )


def reliable(c: np.ndarray, threshold: float) -> Reliable:
    """The neuroids whose reliability (or other measure of signal) is at least the threshold.

    Choose them on this alone, never on how well a model predicts them.

    Args:
        c: one value per neuroid, NaN where unknown.
        threshold: such as 0.3 for a reliability, 0.15 for an explainable variance.
    """
    known = np.isfinite(c)
    mask = known & (np.where(known, c, -np.inf) >= threshold)
    return Reliable(mask, int((known & ~mask).sum()), int((~known).sum()))


def on_both_sides(r: np.ndarray, of_predictions: np.ndarray, of_responses: np.ndarray) -> np.ndarray:
    """r / sqrt(reliability of the predictions x reliability of the responses), NaN unless both are positive.

    Spearman, American Journal of Psychology 1904.
    """
    return np.asarray(r) / np.sqrt(_positive(of_predictions) * _positive(of_responses))


def _positive(c: np.ndarray) -> np.ndarray:
    c = np.asarray(c, np.float64)
    return np.where(c > 0, c, np.nan)


def _medians(values: np.ndarray) -> np.ndarray:
    """Of each row, over what is finite in it; NaN where nothing is."""
    return np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in values])
