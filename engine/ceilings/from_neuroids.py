"""Noise-corrected predictivity from neuroids, which are noisy themselves: to other animals' neuroids, or to units.

For each split of the stimuli and each random halving of the repetitions, over the test stimuli,

    r(M(X), Y) / sqrt(SB[r(M1(X1), M2(X2))] SB[r(Y1, Y2)]),    SB(r) = 2 r / (1 + r),

X, X1 and X2 the predicting neuroids' averages over all repetitions and over halves. Units of a model do not vary: then
Y1 = Y2 = Y, the last factor is 1, and SB[r(M1(X1), M2(X2))] is the consistency of predictions by which reverse
predictivity is corrected. Nayebi et al., PLoS Computational Biology 2023 (``get_linregress_consistency`` of
brainmodel_utils, from neurons to neurons); Muzellec & Kar, Nature Machine Intelligence 2026 (to units).

Every half has a kernel of its own, so that H halvings take 2 H inverses of n x n (1.6 n³ flops each, and ``maps``), and
4 H |test| |train| flops per split and target. Targets go in blocks of at most 64 MiB.
"""

from collections.abc import Sequence

import numpy as np

from engine.ceilings.corrected import on_both_sides
from engine.ceilings.correlation import pearson, spearman_brown
from engine.ceilings.halves import MEMORY, check_repeats, random_halves
from engine.ceilings.maps import prediction_matrices
from engine.ceilings.moments import divided
from engine.ceilings.predictivity import NoiseCorrected, means
from engine.errors import InputError
from engine.solvers.folds import Split, check_splits


def noise_corrected_from_neuroids(
    sources: np.ndarray,
    targets: np.ndarray,
    splits: Sequence[Split],
    penalty: float,
    *,
    halvings: int = 10,
    seed: int = 0,
) -> NoiseCorrected:
    """Noise-corrected predictivity from neuroids to neuroids or units, by ridge at one penalty.

    Equals fitting scikit-learn's ``Ridge(penalty)`` to the averages and to every half. ``predictions`` of the result is
    the consistency of predictions, 1 for noise-free predictors. Recordings with the same number of repetitions are
    halved alike, so that noise which both share stays within a half.

    Args:
        sources: repetitions x stimuli x neuroids that predict, NaN where missing; halvings in which some stimulus has
            no response of some neuroid in one of the halves are skipped.
        targets: repetitions x stimuli x neuroids, none missing; or stimuli x units, without noise.
        splits: over the stimuli; inner folds are not used.
        penalty: in units of the sources' Gram matrix, as scikit-learn's alpha.
        halvings: random halvings of the repetitions.
        seed: of the halvings.

    Returns:
        splits x targets.

    Raises:
        InputError: fewer than two repetitions, missing values, every halving skipped.
    """
    purpose = "noise-corrected predictivity from neuroids"
    check_repeats(sources, purpose)
    stimuli = sources.shape[1]
    if targets.ndim == 3:
        check_repeats(targets, purpose)
    if targets.ndim not in (2, 3) or targets.shape[-2] != stimuli:
        raise InputError(f"{purpose}: wanted targets of {stimuli} stimuli x units, got shape {targets.shape}")
    if not penalty > 0:
        raise InputError(f"{purpose}: wanted a positive penalty, got {penalty}")
    averages = means(sources)
    if np.isnan(averages).any():
        raise InputError(
            f"{purpose}: {int(np.isnan(averages).any(axis=0).sum())} of {averages.shape[1]} predicting neuroids have "
            "no response to some stimulus; keep the neuroids, or the stimuli, with all responses"
        )
    checked = check_splits(splits, stimuli)
    raw = _correlations(targets, checked, [(averages, None)] * 2, penalty)[0]
    totals, counts = np.zeros((2, 3, *raw.shape))
    source_halves = random_halves(len(sources), halvings, seed, leave_one_out=False)
    target_halves = source_halves
    if targets.ndim == 3:
        target_halves = random_halves(len(targets), halvings, seed, leave_one_out=False)
    for one, other, own_one, own_other in zip(*source_halves, *target_halves, strict=True):
        halves = means(sources[one > 0]), means(sources[other > 0])
        if not all(np.isfinite(half).all() for half in halves):
            continue
        found = _correlations(targets, checked, list(zip(halves, (own_one, own_other), strict=True)), penalty)
        of_predictions, of_responses = spearman_brown(found[1]), spearman_brown(found[2])
        values = np.stack([on_both_sides(raw, of_predictions, of_responses), of_predictions, of_responses])
        counts += np.isfinite(values)
        totals += np.where(np.isfinite(values), values, 0.0)
    if not counts.any():
        raise InputError(
            f"{purpose}: in each of {halvings} halvings some stimulus has no response in one of the halves, or nothing "
            "is predicted; keep the neuroids or stimuli with more repetitions"
        )
    corrected, of_predictions, of_responses = divided(totals, counts)
    return NoiseCorrected(corrected, raw, of_predictions, of_responses, counts[0])


def _correlations(
    targets: np.ndarray,
    splits: Sequence[Split],
    sides: Sequence[tuple[np.ndarray, np.ndarray | None]],
    penalty: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """splits x targets: r of the first side's predictions and responses, of both predictions, of both responses.

    Args:
        targets: as given to ``noise_corrected_from_neuroids``.
        splits: checked.
        sides: predictors (stimuli x neuroids), and which of the targets' repetitions are averaged (None for all).
        penalty: of all maps.
    """
    matrices = []
    for predictors, _ in sides:
        shifted = predictors - predictors.mean(axis=0)
        matrices.append(list(prediction_matrices(shifted @ shifted.T, splits, penalty)))
    found = np.empty((3, len(splits), targets.shape[-1]))
    width = max(1, MEMORY // (8 * targets.size // targets.shape[-1]))
    for start in range(0, targets.shape[-1], width):
        where = slice(start, start + width)
        part = np.asarray(targets[..., where], np.float64)
        if not np.isfinite(part).all():
            raise InputError("targets hold values that are missing or not finite; leave those neuroids or units out")
        averages = [
            np.ascontiguousarray((part if part.ndim == 2 else part[slice(None) if own is None else own > 0].mean(0)).T)
            for _, own in sides
        ]
        for number, split in enumerate(splits):
            (one, tested), (other, other_tested) = (
                (average[:, split.train] @ matrix[number].T, average[:, split.test])
                for average, matrix in zip(averages, matrices, strict=True)
            )
            pairs = (one, tested), (one, other), (tested, other_tested)
            found[:, number, where] = [pearson(a, b) for a, b in pairs]
    return found[0], found[1], found[2]
