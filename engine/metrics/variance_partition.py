"""How the variance that several layers or models explain together divides among them, for every neuroid.

Each space (a layer, or a whole model) gets its own penalty by banded ridge (Nunez-Elizalde, Huth & Gallant, NeuroImage
2019; Dupré la Tour et al., NeuroImage 2022), all hyper-parameters chosen on inner folds. Held-out R2 then divides by

    unique part of A       R2(all) - R2(all without A)
    product measure        2 (y - m) p_A - p p_A over the variance: what A's part p_A adds to the joint prediction p
    part shared by S       sum over subsets T of S of (-1)^(|T| + 1) R2(T and all spaces outside S),  R2(none) = 0

The last is commonality analysis (Mood 1971; de Heer et al., Journal of Neuroscience 2017 for three spaces): for two
spaces the shared part is R2(A) + R2(B) - R2(A, B). Over all S, single spaces included, the parts add up to R2(all).
Shared and unique parts can be negative: by chance, as every R2 is estimated on held-out stimuli, or by suppression.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import jax
import numpy as np

from engine.errors import InputError
from engine.gram import Summary
from engine.solvers.banded import simplex_weightings
from engine.solvers.folds import Split
from engine.solvers.ridge import nested_ridge, penalty_scale
from engine.solvers.scoring import Selection
from engine.solvers.variance_partition import unique_variance

VERSION = "1"  # of the numbers below; part of every result's key

COMMONALITY = 3  # spaces up to which shared parts are computed: they need a fit of each of 2^spaces - 1 subsets

Subset = tuple[int, ...]  # positions of spaces, ascending


class VariancePartition(NamedTuple):
    """Settings that change the numbers.

    Attributes:
        penalties: ascending grid, in units of the mean diagonal of each space's centred Gram matrix.
        weightings: how the spaces are weighted is searched among this many random weightings.
        seed: of their draw.
        select: inner score by which weighting and penalty are chosen, for each neuroid.
    """

    penalties: tuple[float, ...]
    weightings: int = 20
    seed: int = 0
    select: Selection = "r2"


class Partition(NamedTuple):
    """R2 on held-out stimuli, splits x neuroids; NaN where a neuroid is constant over them.

    Attributes:
        joint: of all spaces together.
        pearson: r of the joint prediction.
        unique: splits x spaces x neuroids, what is lost without the space.
        product: splits x spaces x neuroids, product measure; with ``mean`` it adds up to ``joint``.
        mean: of predicting the mean response to the training stimuli, about -1 / test stimuli.
        selection: inner score of the joint model; no test stimulus has a share in it.
        subsets: R2 of every subset of spaces that was fitted: all, all but one, and with two or three spaces each.
        parts: with two or three spaces what exactly these spaces share: subset -> splits x neuroids. Of a single space
            that is its unique part; together they add up to ``joint``. Empty with more spaces.
    """

    joint: np.ndarray
    pearson: np.ndarray
    unique: np.ndarray
    product: np.ndarray
    mean: np.ndarray
    selection: np.ndarray
    subsets: Mapping[Subset, np.ndarray]
    parts: Mapping[Subset, np.ndarray]


def partition(
    spaces: Sequence[Summary], responses: np.ndarray, splits: Sequence[Split], settings: VariancePartition
) -> Partition:
    """Joint, unique, product-measure and shared R2 of several spaces, for every neuroid and split.

    The joint model equals himalaya's ``MultipleKernelRidgeCV`` over the same weightings and penalties, the product
    measure its ``r2_score_split``. Kernels are scaled to a mean diagonal of 1 once centred, so that a weighting means
    the same for a layer of 1000 units and one of 100,000. The models of fewer spaces are searched over the same
    weightings without the others.

    Cost: one banded search for all spaces and one for all but each, plus nested ridge for each of three; see
    ``engine.solvers.banded``. Memory: twice the kernels in float64.

    Args:
        spaces: two or more, over the same n stimuli.
        responses: stimuli x neuroids, none missing.
        splits: over the stimuli, with inner folds.
        settings: as above.

    Raises:
        InputError: fewer than two spaces, other stimuli, a constant space; missing responses; splits or values that
            cannot be used.
    """
    y = _checked(spaces, responses)
    count = len(spaces)
    weightings = simplex_weightings(count, settings.weightings, settings.seed)
    everything = tuple(range(count))
    with jax.enable_x64(True):
        kernels = np.stack([_scaled(space.gram, number) for number, space in enumerate(spaces, start=1)])
        found = unique_variance(kernels, y, splits, weightings, settings.penalties, selection=settings.select)
        r2: dict[Subset, np.ndarray] = {everything: found.joint.r2}
        for left_out, other in enumerate(found.without):
            r2[tuple(space for space in everything if space != left_out)] = other.r2
        if count <= COMMONALITY:
            for space in everything:
                if (space,) not in r2:
                    alone = nested_ridge(kernels[space], y, splits, settings.penalties, selection=settings.select)
                    r2[(space,)] = alone.r2
    return Partition(
        found.joint.r2,
        found.joint.pearson,
        found.unique,
        found.joint.product,
        found.joint.mean_r2,
        found.joint.selection,
        r2,
        commonality(r2, count) if count <= COMMONALITY else {},
    )


def commonality(r2: Mapping[Subset, np.ndarray], spaces: int) -> dict[Subset, np.ndarray]:
    """What exactly the spaces of each subset share, from the R2 of the models of every subset.

    For A and B of two it is R2(A) + R2(B) - R2(A, B), for A alone R2(A, B) - R2(B). The parts add up to R2(all).

    Args:
        r2: positions of spaces, ascending -> R2 of their model, of any shape; all subsets but the empty one.
        spaces: their number.
    """
    subsets = [own for size in range(1, spaces + 1) for own in combinations(range(spaces), size)]
    missing = [own for own in subsets if own not in r2]
    if missing:
        raise InputError(f"commonality of {spaces} spaces needs the R2 of every subset; {missing} are missing")
    nothing = np.zeros_like(r2[subsets[0]])
    parts = {}
    for own in subsets:
        outside = set(range(spaces)) - set(own)
        part = nothing
        for size in range(len(own) + 1):
            for chosen in combinations(own, size):
                together = tuple(sorted(outside | set(chosen)))
                part = part + (-1) ** (size + 1) * (r2[together] if together else nothing)
        parts[own] = part
    return parts


def _scaled(gram: np.ndarray, number: int) -> np.ndarray:
    kernel = np.asarray(gram, np.float64)
    scale = penalty_scale(kernel)
    if not scale > 0:
        raise InputError(f"feature space {number} is constant over the stimuli (or NaN) and explains nothing; drop it")
    return kernel / scale


def _checked(spaces: Sequence[Summary], responses: np.ndarray) -> np.ndarray:
    if len(spaces) < 2:
        raise InputError(f"variance is divided among two or more feature spaces; {len(spaces)} was given")
    sizes = {len(space.gram) for space in spaces}
    y = np.asarray(responses, np.float64)
    if len(sizes) > 1 or y.ndim != 2 or len(y) not in sizes:
        raise InputError(
            f"wanted feature spaces and responses over the same stimuli, got spaces over {sorted(sizes)} and responses "
            f"of shape {y.shape}"
        )
    check(y)
    return y


def check(responses: np.ndarray) -> None:
    """Raises InputError where responses are missing."""
    incomplete = int((~np.isfinite(responses)).any(axis=0).sum())
    if incomplete:
        raise InputError(
            f"{incomplete} of {responses.shape[1]} neuroids lack responses to some stimuli; variance is divided for "
            "complete responses only: choose neuroids that have all responses, or fewer stimuli"
        )
