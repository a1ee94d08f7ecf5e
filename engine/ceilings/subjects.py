"""How well other subjects predict a subject's responses."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from engine.ceilings.correlation import masked_pearson
from engine.errors import InputError
from engine.solvers.folds import Split
from engine.solvers.ridge import nested_ridge_features
from engine.solvers.scoring import Selection

NEUROIDS_AT_ONCE = 256


class SubjectBounds(NamedTuple):
    """Pearson r over stimuli, subjects x neuroids each.

    Attributes:
        lower: with the mean of the other subjects.
        upper: with the mean of all subjects, this one included; what no model of them all can pass.
    """

    lower: np.ndarray
    upper: np.ndarray


def inter_subject(responses: np.ndarray) -> SubjectBounds:
    """Each subject's responses against the mean of the other subjects and of all, neuroid by neuroid.

    Leave-one-out inter-subject correlation (Nastase et al., Social Cognitive and Affective Neuroscience 2019); the two
    means are the bounds of Nili et al., PLoS Computational Biology 2014, for responses. With few subjects the upper
    bound is far too high (each is half of a mean of two) and the lower one too low.

    Args:
        responses: subjects x stimuli x neuroids, aligned: neuroid i is the same place in every subject. In comparable
            units, z-scored where gains differ. NaN where missing; means are over the subjects that have a response.

    Returns:
        NaN where a neuroid has fewer than three responses in common with the mean, or is constant.

    Raises:
        InputError: fewer than two subjects.
    """
    if responses.ndim != 3 or len(responses) < 2:
        raise InputError(
            f"inter-subject consistency: wanted two or more subjects x stimuli x neuroids, got shape {responses.shape}"
        )
    lower, upper = np.empty((2, len(responses), responses.shape[2]))
    for start in range(0, responses.shape[2], NEUROIDS_AT_ONCE):
        where = slice(start, start + NEUROIDS_AT_ONCE)
        part = np.asarray(responses[:, :, where], np.float64)
        present = np.isfinite(part)
        filled = np.where(present, part, 0.0)
        total, count = filled.sum(axis=0), present.sum(axis=0)
        for subject, (own, there) in enumerate(zip(filled, present, strict=True)):
            others = count - there
            lower[subject, where] = masked_pearson(own, there, (total - own) / np.maximum(others, 1), others > 0)
            upper[subject, where] = masked_pearson(own, there, total / np.maximum(count, 1), count > 0)
    return SubjectBounds(lower, upper)


def inter_animal(
    responses: Mapping[str, np.ndarray],
    splits: Sequence[Split],
    penalties: Sequence[float] | np.ndarray,
    *,
    selection: Selection = "r2",
) -> dict[str, np.ndarray]:
    """How well the neuroids of all other subjects, pooled, predict each subject's: the ceiling of mapping by ridge.

    Nested cross-validated ridge (``engine.solvers.ridge.nested_ridge_features``), as from a layer; equals refitting
    scikit-learn's ``Ridge`` for every split, inner fold and penalty. Nayebi et al., PLoS Computational Biology 2023,
    compare animals by maps. Nothing is corrected for noise: for that see ``engine.ceilings.from_neuroids``.

    Args:
        responses: subject -> stimuli x neuroids, averages; none missing in the subjects that predict others, which all
            do. The stimuli are the same for all; the neuroids need not correspond.
        splits: over the stimuli, with inner folds.
        penalties: in units of the mean diagonal of the pooled neuroids' centred Gram matrix.
        selection: of the penalty, per neuroid.

    Returns:
        Subject -> splits x neuroids, Pearson r on the test stimuli.

    Raises:
        InputError: fewer than two subjects, missing responses, different stimuli.
    """
    if len(responses) < 2:
        raise InputError(f"inter-animal consistency: needs two or more subjects, got {len(responses)}")
    sizes = {name: len(own) for name, own in responses.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"inter-animal consistency: subjects have different numbers of stimuli: {sizes}")
    for name, own in responses.items():
        missing = int((~np.isfinite(own)).sum())
        if missing:
            raise InputError(
                f"inter-animal consistency: subject '{name}' lacks {missing} of {own.size} responses; keep the "
                "neuroids, or the stimuli, with all responses"
            )
    found = {}
    with jax.enable_x64(True):
        for name, own in responses.items():
            others = [np.asarray(other, np.float64) for key, other in responses.items() if key != name]
            pooled = np.concatenate(others, axis=1)
            pooled -= pooled.mean(axis=0)
            grid = np.asarray(penalties, np.float64) * (np.square(pooled).sum() / len(pooled))
            found[name] = nested_ridge_features(
                pooled, np.asarray(own, np.float64), splits, grid, selection=selection
            ).pearson
    return found
