"""The other direction: how well neuroids or voxels predict the units of a layer."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import numpy as np

from engine.ceilings.halves import random_halves
from engine.ceilings.predictivity import means
from engine.errors import InputError
from engine.gram import Summary
from engine.metrics import reverse as _ridge
from engine.metrics import reverse_consistency as _consistency
from engine.metrics import reverse_pls as _pls
from engine.metrics import reverse_voxels as _voxels
from engine.metrics import unit_blocks
from engine.metrics.catalogue.units import complete_columns
from engine.metrics.metric import Metric, Reader
from engine.metrics.reverse_units import dead_units, unit_sample
from engine.metrics.scores import Scores, beside_each_other
from engine.solvers.folds import Split
from engine.solvers.ridge import penalty_scale
from engine.target import Target

VERSION = "1"  # of the numbers below; part of every result's key
Units = Callable[[np.ndarray], Scores]  # stimuli x units -> scores, splits x units


def reverse(
    method: Literal["ridge", "pls"],
    units: int | None,
    penalties: tuple[float, ...],
    relative: bool,
    components: int,
    voxels: int | None,
    voxel_penalty: float,
    halvings: int,
    seed: int,
) -> Metric:
    """Every unit (or a random sample of each layer's) predicted from a region of one subject.

    Args:
        method: nested ridge, each unit with a penalty of its own; or partial least squares, all sampled units together.
        units: drawn from each layer; None for all, streamed (ridge only).
        penalties, relative: the ridge's grid, in units of the mean diagonal of the responses' Gram matrix or as it is.
        components: of partial least squares.
        voxels: predict every unit from so many only, those that follow it best on training stimuli; None for all.
        voxel_penalty: of that fit, over z-scored values; 0 is least squares.
        halvings: random halvings of the repetitions, by which explained variance is corrected for the consistency of
            the predictions; 0 for none.
        seed: of units and halvings.
    """
    own: dict[str, object] = {"method": method, "units": units, "seed": seed, "voxels": voxels}
    own |= {"components": components} if method == "pls" else {}
    own |= {"voxel_penalty": voxel_penalty} if voxels is not None else {}
    if method == "ridge" and voxels is None:
        own |= {"penalties": penalties, "relative": relative, "halvings": halvings}

    def bind(target: Target) -> Reader:
        responses = target.of_neuroids("reverse")
        fits: list[Callable[[np.ndarray], Scores]] = []
        for columns in complete_columns(target, "reverse"):
            y = responses[:, columns]
            if voxels is not None:
                fits.append(_voxels_fit(y, target.splits, voxels, voxel_penalty))
            elif method == "pls":
                fits.append(partial(_pls_fit, y, target.splits, components))
            else:
                grid = np.asarray(penalties) * (penalty_scale(y @ y.T) if relative else 1.0)
                fits.append(_ridge_fit(target, columns, y, grid, halvings, seed))
            fits[-1](np.arange(len(y), dtype=np.float32)[:, None])  # refuses responses and settings that do not fit

        def begin(shape: tuple[int, ...]) -> Any:
            if units is None:
                return [[] for _ in fits]
            return unit_blocks.empty(unit_sample(int(np.prod(shape)), units, seed), len(responses))

        def read(state: Any, blocks: Sequence[jax.Array], first: int) -> Any:
            if units is not None:
                unit_blocks.collect(state, blocks, first)
                return state
            for _, piece in unit_blocks.pieces(blocks, len(responses)):
                for kept, fit in zip(state, fits, strict=True):
                    kept.append(fit(piece))
            return state

        def score(state: Any, summary: Summary) -> Scores:
            found = [beside_each_other(kept) for kept in state] if units is None else [f(state.activity) for f in fits]
            return beside_each_other([_population(each) for each in found])

        return Reader(begin, read, score)

    beside = {"quartile_1": "lower quartile over units", "quartile_3": "upper quartile over units"}
    if halvings:
        beside |= {"explained": "explained variance, corrected for consistency, median over units"}
    return Metric(
        "reverse",
        VERSION,
        own,
        "population",
        "r",
        "Pearson r of units and their prediction from the population, held-out stimuli, median over units",
        bind,
        beside=beside,
    )


def _voxels_fit(responses: np.ndarray, splits: Sequence[Split], top: int, penalty: float) -> Units:
    def fit(units: np.ndarray) -> Scores:
        found = [
            _voxels.top_voxels_block(
                responses[split.train],
                units[split.train],
                responses[split.test],
                np.arange(len(split.test)),
                units[split.test],
                top=top,
                penalty=penalty,
            )
            for split in splits
        ]
        value = np.concatenate([each.value for each in found])
        notes = tuple(dict.fromkeys(note for each in found for note in each.notes))
        return Scores(value, np.full_like(value, np.nan), {}, notes)

    return fit


def _pls_fit(responses: np.ndarray, splits: Sequence[Split], components: int, units: np.ndarray) -> Scores:
    if (units.max(axis=0) == units.min(axis=0)).all():  # a dead layer
        nothing = np.full((len(splits), units.shape[1]), np.nan)
        return Scores(nothing, nothing, {}, dead_units(units))
    return _pls.reverse_pls(responses, units, splits, components)


def _ridge_fit(
    target: Target, columns: np.ndarray, responses: np.ndarray, penalties: np.ndarray, halvings: int, seed: int
) -> Units:
    whole = _ridge.prepare(responses, target.splits, penalties)
    if not halvings:
        return lambda units: _ridge.score_block(whole, units)._replace(details={})
    halves = []
    for one, other in _halves(target, columns, halvings, seed):
        halves.append(tuple(_ridge.prepare(half, target.splits, penalties) for half in (one, other)))

    def fit(units: np.ndarray) -> Scores:
        found = _ridge.score_block(whole, units)
        corrected = _consistency.corrected_block(whole, [(a, b) for a, b in halves], units)
        explained = np.broadcast_to(corrected.value, found.value.shape)
        return Scores(found.value, found.selection, {"explained": explained}, found.notes)

    return fit


def _halves(target: Target, columns: np.ndarray, halvings: int, seed: int) -> Sequence[tuple[np.ndarray, np.ndarray]]:
    """Averages over both halves of the repetitions, for each halving in which every stimulus has a response in both."""
    if target.repeats is None:
        raise InputError(
            f"metric.reverse.halvings={halvings}: {target.recording} holds averages only, so the consistency of "
            "predictions cannot be known; set it to 0"
        )
    repeats = target.repeats[:, :, columns]
    halves = random_halves(len(repeats), halvings, seed, leave_one_out=False)
    pairs = [(means(repeats[one > 0]), means(repeats[other > 0])) for one, other in zip(*halves, strict=True)]
    complete = [pair for pair in pairs if all(np.isfinite(half).all() for half in pair)]
    if not complete:
        raise InputError(
            f"metric.reverse.halvings={halvings}: in each halving some stimulus of {target.recording} has no response "
            "in one of the halves; set it to 0"
        )
    return complete


def _population(found: Scores) -> Scores:
    """From every unit to the population that predicted them."""
    quartiles = [_quantile(found.value, share) for share in (0.25, 0.5, 0.75)]
    details = {"quartile_1": quartiles[0], "quartile_3": quartiles[2]}
    details |= {name: _quantile(values, 0.5) for name, values in found.details.items()}
    return Scores(quartiles[1], _quantile(found.selection, 0.5), details, found.notes)


def _quantile(values: np.ndarray, share: float) -> np.ndarray:
    """Of each split over its units that have a score: splits x 1."""
    finite = [row[np.isfinite(row)] for row in values]
    return np.array([[np.quantile(row, share) if len(row) else np.nan] for row in finite])
