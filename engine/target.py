"""What is to be predicted or compared: the usable part of a recording, its splits and its ceilings."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from engine.ceilings.corrected import reliable
from engine.ceilings.reliability import Estimator, reliability
from engine.errors import InputError, unknown
from engine.recording import Recording
from engine.solvers.folds import Split, check_splits

RDM_CEILING = (
    "similarity of subjects with the pooled RDM of their region, mean over them (Nili et al. 2014; upper: of all, "
    "lower: of the others)"
)

MAP_CEILING = (
    "largest correlation between the maps of two neuroids of a region of one subject, mean over images (Linsley et al. "
    "2023); no repetitions, so not what a perfect model would reach"
)


class Population(NamedTuple):
    """One region of one subject: stimuli x neuroids, or where only they were published, dissimilarities.

    Of a recording of maps neither: the target holds those.
    """

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
        stimuli: table of the recording.
        stratum: its column of classes, where the data set names one.
        rdms: region -> subjects x stimuli x stimuli, where only RDMs are known.
        repeats: repetitions x stimuli x kept neuroids, where single presentations are known.
        maps: stimuli x x x y x kept neuroids, none missing, where the recording is of maps.
    """

    recording: str
    responses: np.ndarray | None
    neuroids: pd.DataFrame
    excluded: Mapping[str, str]
    splits: Sequence[Split]
    ceiling: str
    stimuli: pd.DataFrame
    stratum: str | None = None
    rdms: Mapping[str, np.ndarray] | None = None
    repeats: np.ndarray | None = None
    maps: np.ndarray | None = None

    @cached_property
    def populations(self) -> list[Population]:
        """Every region of every subject, in order of first appearance."""
        if self.rdms is not None:
            return [
                Population(region, f"subject {number}", None, rdm)
                for region, rdms in self.rdms.items()
                for number, rdm in enumerate(rdms, start=1)
            ]
        responses = self.responses
        names = self.neuroids[["region", "subject"]].astype(str)
        first = [names.iloc[own[0]] for own in self.columns]
        return [
            Population(name["region"], name["subject"], None if responses is None else responses[:, own], None)
            for name, own in zip(first, self.columns, strict=True)
        ]

    @cached_property
    def columns(self) -> list[np.ndarray]:
        """Of each population of single neuroids, where they stand among the responses."""
        pairs = list(zip(self.neuroids["region"].astype(str), self.neuroids["subject"].astype(str), strict=True))
        return [np.flatnonzero([own == pair for own in pairs]) for pair in dict.fromkeys(pairs)]

    def of_neuroids(self, metric: str) -> np.ndarray:
        """The responses, for a metric that needs them. InputError where only RDMs or maps are known."""
        self.refuse_maps(metric)
        if self.responses is None:
            raise InputError(
                f"metric={metric}: recording '{self.recording}' holds dissimilarity matrices only, no responses of "
                "single neuroids; compare representations instead with metric=rsa"
            )
        return self.responses

    def refuse_maps(self, metric: str) -> None:
        """InputError where the recording is of maps, for a metric that is not of them."""
        if self.maps is not None:
            raise InputError(
                f"metric={metric}: recording '{self.recording}' holds maps over positions of the images, not one "
                "response to each; use metric=spatial_map"
            )


def target(
    recording: Recording,
    splits: Sequence[Split],
    regions: Sequence[str] | None = None,
    *,
    estimator: Estimator = "split_half",
    threshold: float | None = None,
) -> Target:
    """Checks the responses, leaves out neuroids that cannot be scored (saying which), and finds the ceiling.

    Args:
        recording: of responses, RDMs or maps.
        splits: over its stimuli.
        regions: score these only; None for all.
        estimator: of reliability.
        threshold: leave out neuroids whose reliability is below it or unknown; None keeps all.

    Raises:
        InputError: the recording lacks a region, or no neuroid can be scored; a threshold on what is not known.
    """
    for region in regions or ():
        if region not in recording.regions:
            raise unknown(f"region of {recording.name}", region, recording.regions)
    if recording.rdms is not None:
        rdms = {region: rdm for region, rdm in recording.rdms.items() if regions is None or region in regions}
        if threshold is not None:
            raise InputError(
                f"ceiling.threshold={threshold:g}: recording '{recording.name}' holds dissimilarity matrices only, so "
                "no neuroid's reliability is known; leave it null"
            )
        return Target(recording.name, None, recording.neuroids, {}, splits, RDM_CEILING, recording.stimuli, rdms=rdms)
    if recording.maps is not None:
        return _of_maps(recording, recording.maps, splits, regions, threshold)
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
    repeats = None if recording.repeats is None else recording.repeats[:, :, kept]
    truth = None if recording.truth is None else recording.truth[:, kept]
    reliabilities, sentence = reliability(estimator, responses[:, kept], repeats, truth)
    neuroids = recording.neuroids[kept].assign(ceiling=reliabilities)
    with suppress(InputError):  # here once for all layers; each metric refuses in its own words what it cannot use
        splits = check_splits(splits, len(responses))
    if threshold is not None:
        enough = _reliable(recording.name, neuroids, threshold, excluded)
        neuroids, kept = neuroids[enough], np.flatnonzero(kept)[enough]
        repeats = None if repeats is None else repeats[:, :, enough]
        sentence += f"; neuroids below {threshold:g} left out"
    return Target(
        recording.name,
        responses[:, kept],
        neuroids,
        excluded,
        splits,
        sentence,
        recording.stimuli,
        recording.stratum,
        repeats=repeats,
    )


def _of_maps(
    recording: Recording,
    maps: np.ndarray,
    splits: Sequence[Split],
    regions: Sequence[str] | None,
    threshold: float | None,
) -> Target:
    """The whole maps that vary, of the regions asked for."""
    if threshold is not None:
        raise InputError(
            f"ceiling.threshold={threshold:g}: recording '{recording.name}' holds maps without repetitions, so no "
            "neuroid's reliability is known; leave it null"
        )
    places = maps.reshape(-1, maps.shape[-1])
    whole = np.isfinite(places).all(axis=0)
    varied = places.max(axis=0) > places.min(axis=0)  # False where values are missing
    wanted = np.ones(len(whole), bool)
    if regions is not None:
        wanted = recording.neuroids["region"].isin(list(regions)).to_numpy()
    excluded = {
        str(name): "constant maps" if there else "missing values in maps"
        for name, asked, there, usable in zip(recording.neuroids.index, wanted, whole, varied, strict=True)
        if asked and not (there and usable)
    }
    kept = wanted & whole & varied
    if not kept.any():
        raise InputError(
            f"recording '{recording.name}': none of its {wanted.sum()} neuroids can be scored "
            f"(all have constant maps or missing values)"
        )
    return Target(
        recording.name,
        None,
        recording.neuroids[kept].assign(ceiling=np.nan),
        excluded,
        splits,
        MAP_CEILING,
        recording.stimuli,
        maps=np.asarray(maps[..., kept], np.float64),
    )


def _reliable(recording: str, neuroids: pd.DataFrame, threshold: float, excluded: dict[str, str]) -> np.ndarray:
    """Which neuroids reach the threshold; the others are added to ``excluded``."""
    values = neuroids["ceiling"].to_numpy(float)
    if not np.isfinite(values).any():
        raise InputError(
            f"ceiling.threshold={threshold:g}: no reliability is known in recording '{recording}', which holds fewer "
            "than two repetitions; leave it null"
        )
    mask = reliable(values, threshold).mask
    if not mask.any():
        raise InputError(
            f"ceiling.threshold={threshold:g}: none of the {len(mask)} neuroids of recording '{recording}' reaches it; "
            f"the most reliable has {np.nanmax(values):.3g}"
        )
    for name, value in zip(neuroids.index[~mask], values[~mask], strict=True):
        excluded[str(name)] = f"reliability below {threshold:g}" if np.isfinite(value) else "unknown reliability"
    return mask
