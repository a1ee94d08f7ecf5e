"""The main job: one model against one recording, every layer, every neuroid.

Arrays and tables in, tables out; files, printing and settings are in engine.commands.score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine import ceilings
from engine.errors import InputError, unknown
from engine.metrics.ridge import LayerScores, check
from engine.recording import Recording
from engine.solvers.folds import Split
from engine.statistics import bootstrap_median

CEILED = "r|r|/c: squared correlation over reliability, per neuroid, keeping the sign; median over neuroids"


@dataclass(frozen=True)
class Target:
    """The responses of one recording that can be scored, and how.

    Attributes:
        recording: name.
        responses: stimuli x kept neuroids, averages over repetitions.
        neuroids: table of the kept neuroids, with a column ``ceiling`` (reliability c, NaN where unknown).
        excluded: neuroid id -> why it was left out.
        splits: over all stimuli.
        ceiling: the formula behind the column, or why there is none.
    """

    recording: str
    responses: np.ndarray
    neuroids: pd.DataFrame
    excluded: Mapping[str, str]
    splits: Sequence[Split]
    ceiling: str


def target(recording: Recording, splits: Sequence[Split], regions: Sequence[str] | None = None) -> Target:
    """Checks the responses, leaves out neuroids that cannot be scored (saying which), and finds the ceiling.

    Args:
        recording: with responses of neuroids.
        splits: over its stimuli.
        regions: score these only; None for all.

    Raises:
        InputError: the recording has RDMs only, lacks a region, or no neuroid can be scored.
    """
    responses = recording.responses
    for region in regions or ():
        if region not in recording.regions:
            raise unknown(f"region of {recording.name}", region, recording.regions)
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
    check(responses, splits)
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


def neuroid_table(scores: Mapping[str, LayerScores], layers: Sequence[str], wanted: Target) -> pd.DataFrame:
    """Every neuroid x layer x split: r, chosen penalty, inner score, ceiling. One row each."""
    frames = []
    for depth, layer in enumerate(layers):
        splits, count = scores[layer].pearson.shape
        rows = np.tile(np.arange(count), splits)
        frame = wanted.neuroids.reset_index(names="neuroid").iloc[rows].reset_index(drop=True)
        frame.insert(0, "recording", wanted.recording)
        frame.insert(1, "layer", layer)
        frame.insert(2, "depth", depth)
        frame.insert(3, "split", np.repeat(np.arange(splits), count))
        frame["r"] = scores[layer].pearson.ravel()
        frame["penalty"] = scores[layer].penalty.ravel()
        frame["inner_score"] = scores[layer].selection.ravel()
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def layer_table(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per layer x region: median raw score with interval, ceiling and ceiled score.

    A neuroid's score is its mean r over splits; a region's is the median over neuroids, with a 95 % bootstrap
    interval over neuroids. ``ceiling`` is the median over neuroids of sqrt(c), the r of a perfect model.
    """
    per_neuroid = (
        rows.groupby(["region", "depth", "layer", "recording", "neuroid"], sort=False)
        .agg(r=("r", "mean"), ceiling=("ceiling", "first"))
        .reset_index()
    )
    return pd.DataFrame(
        [
            {"region": region, "layer": layer, "depth": depth} | _aggregate(part)
            for (region, depth, layer), part in per_neuroid.groupby(["region", "depth", "layer"], sort=False)
        ]
    )


def best_layers(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per region: the score of the layer chosen, in each split, without looking at its test stimuli.

    In each split the layer with the highest median inner score (over neuroids) is taken and its test score kept;
    ``layer`` is the one chosen most often and ``chosen`` counts all of them.
    """
    found = []
    for region, part in rows.groupby("region", sort=False):
        inner = part.groupby(["split", "depth", "layer"], sort=True)["inner_score"].median().reset_index()
        best = inner.loc[inner.groupby("split")["inner_score"].idxmax()]
        test = part.merge(best[["split", "layer"]], on=["split", "layer"])
        per_neuroid = test.groupby(["recording", "neuroid"], sort=False).agg(
            r=("r", "mean"), ceiling=("ceiling", "first")
        )
        counts = best["layer"].value_counts()
        found.append({"region": region, "layer": counts.index[0], "chosen": counts.to_dict()} | _aggregate(per_neuroid))
    return pd.DataFrame(found)


def _aggregate(per_neuroid: pd.DataFrame) -> dict[str, float]:
    r = per_neuroid["r"].to_numpy()
    reliability = per_neuroid["ceiling"].to_numpy()
    low, high = bootstrap_median(r)
    usable = np.isfinite(r) & (reliability > 0)
    ceiled = r[usable] * np.abs(r[usable]) / reliability[usable]
    nothing = float("nan")
    return {
        "r": float(np.nanmedian(r)) if np.isfinite(r).any() else nothing,
        "r_low": low,
        "r_high": high,
        "ceiling": float(np.median(np.sqrt(reliability[usable]))) if usable.any() else nothing,
        "ceiled": float(np.median(ceiled)) if usable.any() else nothing,
        "neuroids": int(np.isfinite(r).sum()),
        "neuroids_with_ceiling": int(usable.sum()),
    }
