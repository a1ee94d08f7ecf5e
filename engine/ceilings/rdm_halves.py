"""How well a population's dissimilarities repeat, from halves of its repetitions: the ceiling of one subject's RDM.

With several subjects see ``rdms``. The repetitions are halved at random, the RDM of each half's averages is made as
that of all of them, the two are compared, and the similarity s is extrapolated to all repetitions by Spearman and
Brown, 2 s / (1 + s). That is exact for a correlation of numbers whose noise variance falls as 1 / repetitions.
Dissimilarities are squares of differences, and the part of their noise that is squared itself falls faster, so that the
result is too low where noise is large: in simulations of 40 stimuli x 30 neuroids and 4 repetitions .60 in place of .64
and .19 in place of .24.
"""

from typing import NamedTuple

import numpy as np

from engine.ceilings.correlation import spearman_brown
from engine.ceilings.halves import check_repeats, random_halves
from engine.errors import InputError
from engine.metrics.rdm import Distance, check_responses, response_rdm
from engine.metrics.rdm_comparison import Comparison, compare


class RdmReliability(NamedTuple):
    """Of the RDM of the averages over all repetitions.

    Attributes:
        value: mean over halvings of the extrapolated similarity; a perfect model is expected to reach its root.
        spread: standard deviation over halvings (ddof 0).
        halvings: similarity of the two halves, not extrapolated.
    """

    value: float
    spread: float
    halvings: np.ndarray


def rdm_split_half(
    repeats: np.ndarray, distance: Distance, comparison: Comparison, *, halvings: int = 100, seed: int = 0
) -> RdmReliability:
    """Split-half reliability of one population's RDM.

    Cost: two RDMs of n stimuli for each halving, 4 n² neuroids flops. Memory: one half's averages and two RDMs.

    Args:
        repeats: repetitions x stimuli x neuroids, none missing.
        distance: by which the population's RDM is made.
        comparison: by which models are compared with it.
        halvings: random halvings; of an uneven number of repetitions one is left out in each.
        seed: of the halvings.

    Raises:
        InputError: fewer than two repetitions, missing responses, a half with stimuli that have no dissimilarity.
    """
    check_repeats(repeats, "reliability of an RDM")
    given = check_responses(repeats, ("repeats", "stimuli", "neuroids"))
    found = []
    for one, other in zip(*random_halves(len(given), halvings, seed, leave_one_out=True), strict=True):
        pair = [response_rdm(np.tensordot(half / half.sum(), given, axes=1), distance)[None] for half in (one, other)]
        undefined = max(int(np.isnan(rdm[0]).all(axis=1).sum()) for rdm in pair)
        if undefined:
            raise InputError(
                f"reliability of an RDM: {undefined} of {given.shape[1]} stimuli have no {distance} distance in a half "
                "of the repetitions, all neuroids respond alike; leave them out, or use distance=euclidean"
            )
        found.append(compare(pair[0], pair[1], comparison)[0, 0])
    similar = np.array(found)
    whole = spearman_brown(similar)
    return RdmReliability(float(whole.mean()), float(whole.std()), similar)
