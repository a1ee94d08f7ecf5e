"""What is to be predicted or compared: the usable part of a recording, its splits and its ceilings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from engine import ceilings
from engine.errors import InputError, unknown
from engine.recording import Recording
from engine.solvers.folds import Split

RDM_CEILING = "mean over a region's subjects of the score that their mean RDM has with each (Nili et al. 2014, upper)"


class Population(NamedTuple):
    """One region of one subject: stimuli x neuroids, or where only they were published, dissimilarities."""

    region: str
    subject: str
    responses: np.ndarray | None
    rdm: np.ndarray | None


@dataclass(frozen=True)
class Target:
    """The responses of one recording that can be scored, and how.

    Attributes:
        recording: name.
        responses: stimuli x kept neuroids, averages over repetitions; None where only RDMs are known.
        neuroids: table of the kept neuroids, with a column ``ceiling`` (reliability c, NaN where unknown).
        excluded: neuroid id -> why it was left out.
        splits: over all stimuli.
        ceiling: the formula behind the column, or why there is none.
        rdms: region -> subjects x stimuli x stimuli, where only RDMs are known.
    """

    recording: str
    responses: np.ndarray | None
    neuroids: pd.DataFrame
    excluded: Mapping[str, str]
    splits: Sequence[Split]
    ceiling: str
    rdms: Mapping[str, np.ndarray] | None = None

    @cached_property
    def populations(self) -> list[Population]:
        """Every region of every subject, in order of first appearance."""
        if self.rdms is not None:
            return [
                Population(region, f"subject {number}", None, rdm)
                for region, rdms in self.rdms.items()
                for number, rdm in enumerate(rdms, start=1)
            ]
        assert self.responses is not None
        pairs = list(zip(self.neuroids["region"].astype(str), self.neuroids["subject"].astype(str), strict=True))
        return [
            Population(*pair, self.responses[:, [own == pair for own in pairs]], None) for pair in dict.fromkeys(pairs)
        ]

    def of_neuroids(self, metric: str) -> np.ndarray:
        """The responses, for a metric that needs them. InputError where only RDMs are known."""
        if self.responses is None:
            raise InputError(
                f"metric={metric}: recording '{self.recording}' holds dissimilarity matrices only, no responses of "
                "single neuroids; compare representations instead with metric=rsa"
            )
        return self.responses


def target(recording: Recording, splits: Sequence[Split], regions: Sequence[str] | None = None) -> Target:
    """Checks the responses, leaves out neuroids that cannot be scored (saying which), and finds the ceiling.

    Args:
        recording: of responses or RDMs.
        splits: over its stimuli.
        regions: score these only; None for all.

    Raises:
        InputError: the recording lacks a region, or no neuroid can be scored.
    """
    for region in regions or ():
        if region not in recording.regions:
            raise unknown(f"region of {recording.name}", region, recording.regions)
    if recording.rdms is not None:
        rdms = {region: rdm for region, rdm in recording.rdms.items() if regions is None or region in regions}
        return Target(recording.name, None, recording.neuroids, {}, splits, RDM_CEILING, rdms)
    responses = recording.responses
    wanted = np.ones(len(recording.neuroids), bool)
    if regions is not None:
        wanted = recording.neuroids["region"].isin(list(regions)).to_numpy()
    excluded: dict[str, str] = {}
    with np.errstate(invalid="ignore"):
        finite = np.isfinite(responses)
        low = np.where(finite, responses, np.inf).min(axis=0)
        high = np.where(finite, responses, -np.inf).max(axis=0)
    columns = zip(recording.neuroids.index, wanted, finite.any(axis=0), low == high, strict=True)
    for name, asked, there, constant in columns:
        if not asked:
            continue
        if not there:
            excluded[str(name)] = "no responses (all NaN)"
        elif constant:
            excluded[str(name)] = "constant response"
    kept = wanted & ~recording.neuroids.index.isin(list(excluded))
    if not kept.any():
        raise InputError(
            f"recording '{recording.name}': none of its {wanted.sum()} neuroids can be scored "
            f"({len(excluded)} are all-NaN or constant)"
        )
    responses = responses[:, kept]
    reliability, convention = _ceiling(recording, responses, kept)
    return Target(
        recording.name,
        responses,
        recording.neuroids[kept].assign(ceiling=reliability),
        excluded,
        splits,
        convention,
    )


def _ceiling(recording: Recording, responses: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, str]:
    if recording.truth is not None:
        return ceilings.known(recording.truth[:, kept], responses), "known: squared r with the noise-free responses"
    if recording.repeats is None or len(recording.repeats) < 2:
        return np.full(responses.shape[1], np.nan), "no repeats: no ceiling"
    return ceilings.split_half(recording.repeats[:, :, kept]), ceilings.CONVENTION
