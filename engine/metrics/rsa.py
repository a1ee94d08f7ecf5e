"""Representational similarity analysis: do a layer and a population find the same stimuli alike?

Kriegeskorte, Mur & Bandettini, Frontiers in Systems Neuroscience 2008. The layer's RDM over all its units is compared
with a population's; nothing is fitted. With ``correlation`` and ``spearman`` that is Brain-Score's ``rdm``; the mean
over 10 ``StratifiedShuffleSplit`` s with test_size .9 and seed 1 is its ``rdm_cv``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.errors import InputError
from engine.gram import Summary
from engine.metrics.rdm import Distance, layer_rdm
from engine.metrics.rdm_comparison import Comparison, compare
from engine.metrics.scores import Scores
from engine.solvers.folds import Split, check_splits

VERSION = "2"  # of the numbers below; part of every result's key


class Rsa(NamedTuple):
    """Settings that change the numbers.

    Attributes:
        distance: of the layer's responses to two stimuli; the population's RDM has its own.
        comparison: of the two RDMs.
    """

    distance: Distance = "correlation"
    comparison: Comparison = "spearman"


def score_layer(summary: Summary, rdms: np.ndarray, splits: Sequence[Split] | None, settings: Rsa) -> Scores:
    """Similarity of a layer's RDM and those of one population, on the test stimuli of every split.

    Args:
        summary: of the layer, over n stimuli.
        rdms: subjects x n x n, each subject's or one of averaged responses; every entry off the diagonal present.
        splits: over the stimuli; ``validation`` is not used, since nothing is fitted. None compares over all stimuli
            as one split.

    Returns:
        ``value``: splits x subjects, over the pairs of test stimuli; ``selection`` the same over the pairs of train
        stimuli, NaN where there is no split. A value is NaN where the layer's RDM is not defined for one of the
        stimuli, which a note says, or where all its dissimilarities are equal.

    Raises:
        InputError: the RDMs are no RDMs over the layer's stimuli, or a split has fewer than 3 stimuli on one side.
    """
    given = _checked(rdms, len(summary.gram))
    layer = layer_rdm(summary, settings.distance)
    undefined = np.isnan(layer).sum(axis=1) == len(layer)
    notes: tuple[str, ...] = ()
    if undefined.any():
        notes = (
            f"{int(undefined.sum())} of {undefined.size} stimuli leave the layer without a {settings.distance} "
            "distance (all units alike): values over any of them are missing",
        )
    if splits is None:
        value = _similarity(layer, given, np.arange(len(layer)), settings.comparison)[None]
        return Scores(value, np.full_like(value, np.nan), {}, notes)
    parts = check_splits(splits, len(layer))
    for number, part in enumerate(parts, start=1):
        if min(len(part.train), len(part.test)) < 3:
            raise InputError(
                f"fold {number} of {len(parts)} has {len(part.train)} train and {len(part.test)} test stimuli; RDMs "
                "are compared over at least 3: use fewer folds, or no splits"
            )
    value = np.stack([_similarity(layer, given, part.test, settings.comparison) for part in parts])
    selection = np.stack([_similarity(layer, given, part.train, settings.comparison) for part in parts])
    return Scores(value, selection, {}, notes)


def compare_layer(summary: Summary, rdms: np.ndarray, settings: Rsa) -> np.ndarray:
    """Similarity of a layer's RDM and each of a population's (subjects x n x n) over all stimuli: (subjects,).

    Equals Brain-Score's ``rdm`` with the default settings. Arguments and errors as of ``score_layer``.
    """
    return score_layer(summary, rdms, None, settings).value[0]


def _checked(rdms: np.ndarray, stimuli: int) -> np.ndarray:
    given = np.asarray(rdms)
    if given.ndim != 3 or given.shape[1:] != (stimuli, stimuli) or not len(given):
        raise InputError(
            f"the population's RDMs have shape {given.shape}; wanted subjects x {stimuli} x {stimuli}, over the "
            f"stimuli of the layer"
        )
    return given


def _similarity(layer: np.ndarray, rdms: np.ndarray, stimuli: np.ndarray, comparison: Comparison) -> np.ndarray:
    chosen = np.ix_(stimuli, stimuli)
    part = layer[chosen]
    if np.isnan(part).any():
        return np.full(len(rdms), np.nan)
    return compare(part[None], rdms[:, stimuli[:, None], stimuli], comparison)[0]
