"""Metrics of single units: which unit follows which neuroid, and what neuroids say of units."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from engine.errors import InputError, unknown
from engine.gram import Summary
from engine.metrics import one_to_one as _one_to_one
from engine.metrics import one_to_one_controls as _controls
from engine.metrics import population_decoding as _decoding
from engine.metrics import soft_matching as _soft_matching
from engine.metrics import unit_blocks
from engine.metrics.metric import Metric, Reader
from engine.metrics.scores import Scores, beside_each_other
from engine.target import Target

SAMPLE = 1000  # units that the controls draw from a layer
WIDTH = 100  # units that compete in the width-matched controls, the same for every layer
CONTROLS = {
    "permuted": "the unit chosen by permuted responses",
    "random_unit": "any unit",
    "width_matched": f"the best of {WIDTH} random units",
    "rotated": f"the best of {WIDTH} units of a random rotation of the layer",
    "component": "the best principal component",
}


class _Matched(NamedTuple):
    """What is known of a layer so far: its best units, those for permuted responses, and a sample."""

    true: _one_to_one.Matching | None
    permuted: _one_to_one.Matching | None
    sample: unit_blocks.Sample | None


def one_to_one(absolute: bool, reuse: bool, controls: bool, seed: int) -> Metric:
    """Each neuroid's best single unit, chosen on training stimuli among all units of the layer."""

    def bind(target: Target) -> Reader:
        responses = target.of_neuroids("one_to_one")
        prepared = _one_to_one.prepare(responses, target.splits, absolute=absolute, reuse=reuse)
        mixed = None
        if controls:
            fitted = _controls.permuted(responses, target.splits, seed=seed)
            mixed = _one_to_one.prepare(responses, target.splits, absolute=absolute, fitted=fitted)

        def begin(shape: tuple[int, ...]) -> _Matched:
            units = int(np.prod(shape))
            if not reuse and units < responses.shape[1]:
                raise InputError(
                    f"it has {units} units for {responses.shape[1]} neuroids of {target.recording}, which is too few "
                    "for metric.one_to_one.reuse=false; leave it out with layers=[...]"
                )
            if not controls:
                return _Matched(None, None, None)
            numbers = _controls.sample_units(units, SAMPLE, seed=seed)
            return _Matched(None, None, unit_blocks.empty(numbers, len(responses)))

        def read(state: _Matched, blocks: Sequence[jax.Array], first: int) -> _Matched:
            if state.sample is not None:
                unit_blocks.collect(state.sample, blocks, first)
            return _Matched(
                _matched(state.true, blocks, first, prepared),
                None if mixed is None else _matched(state.permuted, blocks, first, mixed),
                state.sample,
            )

        def score(state: _Matched, summary: Summary) -> Scores:
            assert state.true is not None
            best = state.true if reuse else _one_to_one.assign(state.true, prepared)
            found = _one_to_one.scores(best, prepared)
            if state.sample is None or state.permuted is None or mixed is None:
                return found
            by_chance = _one_to_one.scores(state.permuted, mixed).value
            return found._replace(details={**found.details, "permuted": by_chance, **beside(state.sample, summary)})

        def beside(sample: unit_blocks.Sample, summary: Summary) -> dict[str, np.ndarray]:
            count = min(WIDTH, len(sample.numbers))
            drawn = _controls.correlations(sample.activity, responses, target.splits)
            turned = _controls.rotated_units(summary.gram, summary.units, len(sample.numbers), seed=seed)
            rotated = _controls.correlations(turned, responses, target.splits)
            return {
                "random_unit": _controls.best_of(drawn, 1, absolute=absolute),
                "width_matched": _controls.best_of(drawn, count, absolute=absolute),
                "rotated": _controls.best_of(rotated, count, absolute=absolute),
                "component": _controls.best_component(summary.gram, responses, target.splits).value,
            }

        return Reader(begin, read, score)

    return Metric(
        "one_to_one",
        _one_to_one.VERSION,
        {"absolute": absolute, "reuse": reuse, "controls": controls, "seed": seed if controls else None},
        "neuroid",
        "r",
        "Pearson r of the neuroid and its best unit, held-out stimuli",
        bind,
        beside=CONTROLS if controls else None,
    )


def soft_matching(units: int, seed: int) -> Metric:
    """Optimal transport between the units of a layer (a random sample where they are many) and a population."""

    def bind(target: Target) -> Reader:
        responses = target.of_neuroids("soft_matching")
        columns = complete_columns(target, "soft_matching")
        order = np.argsort(np.concatenate(columns))

        def begin(shape: tuple[int, ...]) -> list[unit_blocks.Sample]:
            count = int(np.prod(shape))
            wanted = [_soft_matching.wanted_units(count, len(own), most=units, seed=seed) for own in columns]
            return [unit_blocks.empty(numbers, len(responses)) for numbers in wanted]

        def read(state: list[unit_blocks.Sample], blocks: Sequence[jax.Array], first: int) -> list[unit_blocks.Sample]:
            for sample in state:
                unit_blocks.collect(sample, blocks, first)
            return state

        def score(state: list[unit_blocks.Sample], summary: Summary) -> Scores:
            found = beside_each_other(
                [
                    _soft_matching.score_layer(sample.activity, responses[:, own], target.splits)
                    for sample, own in zip(state, columns, strict=True)
                ]
            )
            details = {name: values[:, order] for name, values in found.details.items()}
            return Scores(found.value[:, order], found.selection[:, order], details, found.notes)

        return Reader(begin, read, score)

    return Metric(
        "soft_matching",
        _soft_matching.VERSION,
        {"units": units, "seed": seed},
        "neuroid",
        "r",
        "Pearson r on held-out stimuli, predicted by the units transported to the neuroid",
        bind,
        beside={"transported_r": "r of neuroid and units, averaged under the plan, held-out stimuli"},
    )


def population_decoding(category: str | None, seed: int) -> Metric:
    """A classifier of the stimulus category, trained on matched units and tested on the neuroids."""

    def bind(target: Target) -> Reader:
        columns = complete_columns(target, "population_decoding")
        labels = _categories(target, category)
        responses = target.of_neuroids("population_decoding")
        _decoding.check_categories(labels, target.splits)
        prepared = _one_to_one.prepare(responses, target.splits, keep=True)
        most = max(len(own) for own in columns)

        def begin(shape: tuple[int, ...]) -> _Matched:
            count = int(np.prod(shape))
            numbers = _controls.sample_units(count, max(SAMPLE, 2 * most), seed=seed)
            return _Matched(None, None, unit_blocks.empty(numbers, len(responses)))

        def read(state: _Matched, blocks: Sequence[jax.Array], first: int) -> _Matched:
            assert state.sample is not None
            unit_blocks.collect(state.sample, blocks, first)
            return state._replace(true=_matched(state.true, blocks, first, prepared))

        def score(state: _Matched, summary: Summary) -> Scores:
            assert state.true is not None
            assert state.true.activity is not None
            assert state.sample is not None
            parts = []
            selection = _one_to_one.scores(state.true, prepared).selection
            for own in columns:
                units, sample = state.true.activity[:, :, own], state.sample.activity
                enough = all(_decoding.varies(sample[s.train]).sum() >= len(own) for s in target.splits)
                random = sample if enough else None  # of a layer that is mostly silent there may be too few
                found = _decoding.score_layer(units, responses[:, own], labels, target.splits, random=random, seed=seed)
                # Layers are chosen by how well their units follow the neuroids in training: no label enters.
                chosen = np.nanmean(np.where(np.isfinite(selection[:, own]), selection[:, own], 0), axis=1)
                parts.append(found._replace(selection=chosen[:, None]))
            return beside_each_other(parts)

        return Reader(begin, read, score)

    return Metric(
        "population_decoding",
        _decoding.VERSION,
        {"category": category, "seed": seed},
        "population",
        "accuracy",
        "accuracy on the neuroids' held-out responses of a classifier trained on matched units",
        bind,
        beside={
            "neurons": "trained on the neuroids",
            "shuffled": "matched units, assigned at random",
            "random_units": "random units",
            "chance": "most frequent category",
        },
    )


def _matched(
    known: _one_to_one.Matching | None, blocks: Sequence[jax.Array], first: int, prepared: _one_to_one.Prepared
) -> _one_to_one.Matching:
    found = _one_to_one.match_block(blocks, first, prepared)
    return found if known is None else _one_to_one.merge(known, found, prepared)


def complete_columns(target: Target, metric: str) -> list[np.ndarray]:
    """Columns of each population, for a metric that takes them whole. InputError where responses are missing."""
    missing = ~np.isfinite(target.of_neuroids(metric))
    if missing.any():
        raise InputError(
            f"metric={metric}: {target.recording} lacks {missing.sum()} responses, of {missing.any(axis=0).sum()} of "
            f"{missing.shape[1]} neuroids, and {metric} takes populations together; choose regions or sessions that "
            "have all, or metric=one_to_one"
        )
    return target.columns


def _categories(target: Target, wanted: str | None) -> list[str]:
    columns = list(target.stimuli.columns)
    if wanted is None and target.stratum is None:
        raise InputError(
            f"metric=population_decoding: which column of {target.recording}'s stimuli holds the category? Give "
            f"metric.population_decoding.category=NAME, one of {', '.join(columns) or '(there are none)'}"
        )
    name = wanted or str(target.stratum)
    if name not in columns:
        raise unknown(f"stimulus column of {target.recording}", name, columns)
    return target.stimuli[name].astype(str).tolist()
