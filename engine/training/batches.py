"""Batches of examples in a fixed random order, that may be left off and taken up anywhere: Grain pipelines.

Examples in training have one endless order, which ``seed`` alone decides: each source is shuffled anew for every pass
through it, and the sources alternate in fixed proportions. The view of an example depends on ``seed`` and its number in
that order. Step s takes numbers s B to (s + 1) B - 1, of which each of P processes takes B / P that follow each other:
their batches put together are those of a single process, and an iterator's state is only how many examples it gave.

An iterator made here has Grain's ``get_state()`` and ``set_state()``; the state is a small dictionary of numbers, which
fits into JSON. A batch holds NumPy arrays:

    image     b x size x size x 3, uint8 (the model normalises)
    label     b, int32
    map       b x size x size, float32
    has_map   b, float32, 1 or 0
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import grain
import numpy as np

from engine.errors import InputError
from engine.training.augment import AREA, Jitter, View, draw_view, mirror, recolour, resized_part
from engine.training.examples import Example, Examples
from models.preprocessing import Fit, Preprocessing, prepare

Batch = dict[str, np.ndarray]

PrepareMaps = Callable[[np.ndarray, int], np.ndarray]
"""(maps x height x width, size) -> maps x size x size, float32: ``training_maps`` or ``evaluation_maps`` of
:mod:`engine.harmonize.human_maps`."""

SECOND = "second"
"""Key of the other view of each picture in batches of pairs."""


class Batches(Protocol):
    """An iterator that can be left off and taken up."""

    def __iter__(self) -> "Batches": ...

    def __next__(self) -> Batch: ...

    def get_state(self) -> dict[str, Any]: ...

    def set_state(self, state: dict[str, Any]) -> None: ...


class Order(NamedTuple):
    """Which examples a batch holds.

    Attributes:
        batch: examples of one step, of all processes together.
        seed: of the order and of the views.
        process, processes: number of this process (``jax.process_index()``), and of all.
        threads: that decode; None for one per core.
    """

    batch: int
    seed: int = 0
    process: int = 0
    processes: int = 1
    threads: int | None = None


def training_batches(
    sources: Sequence[Examples],
    weights: Sequence[float],
    preprocessing: Preprocessing,
    order: Order,
    prepare_maps: PrepareMaps | None = None,
    area: tuple[float, float] = AREA,
) -> Batches:
    """Endless batches of random views, ``training_batches([clickme, imagenet], [.2, .8], ...)`` as the harmonizer has.

    Picture and map of an example are cut at the same place, resized with the same filter, and mirrored alike; the map
    is prepared in between, as in the published training code. Maps of examples without are zeros.

    Args:
        sources: one or more.
        weights: in which proportions they alternate, exactly after each period of the order. Grain makes them
            integers with 100 for the smallest; 1 to 4, 1 to 1 and the like stay as they are.
        preprocessing: gives size and interpolation.
        order: of examples.
        prepare_maps: None for batches without ``map`` and ``has_map``.
        area: smallest and largest share of the picture that a view shows.

    Raises:
        InputError: sources or weights that do not fit, a batch that cannot be divided among the processes.
    """
    size, how = preprocessing.size, preprocessing.interpolation

    def viewed(example: Example, rng: np.random.Generator) -> Batch:
        image = example["image"]
        view = draw_view(rng, image.shape[0], image.shape[1], area)
        found = _labelled(mirror(resized_part(image, view, size, how), view), example)
        if prepare_maps is not None:
            found |= _map_of_view(example, view, size, how, prepare_maps)
        return found

    return _batched(_mixed(sources, weights, order.seed), viewed, order)


def most_of_first(weights: Sequence[float], batch: int) -> int:
    """How many examples of the first source a batch of :func:`training_batches` holds at most.

    Of the first k examples in Grain's order ceil(k f) are the first source's, f its share; so of B that follow each
    other ceil(B f) at most.
    """
    whole = [int(weight * (100 / min(weights))) for weight in weights]  # as Grain rounds them
    return -(-batch * whole[0] // sum(whole))


def pair_batches(
    sources: Sequence[Examples],
    weights: Sequence[float],
    preprocessing: Preprocessing,
    order: Order,
    jitter: Jitter | None = None,
    area: tuple[float, float] = AREA,
) -> Batches:
    """Endless batches of two views of each picture, ``image`` and ``second``, for contrastive learning (SimCLR).

    Each view is a part of the picture (``area``, by default 8 to 100 % of it), perhaps mirrored, in changed colours
    (``jitter``, by default SimCLR's for ImageNet; its blur is left out, as the authors do for small pictures).
    ``label`` is there as well.
    """
    size, how = preprocessing.size, preprocessing.interpolation
    colours = jitter if jitter is not None else Jitter()

    def one(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        view = draw_view(rng, image.shape[0], image.shape[1], area)
        return recolour(rng, mirror(resized_part(image, view, size, how), view), colours)

    def pair(example: Example, rng: np.random.Generator) -> Batch:
        return _labelled(one(example["image"], rng), example) | {SECOND: one(example["image"], rng)}

    return _batched(_mixed(sources, weights, order.seed), pair, order)


def evaluation_batches(
    source: Examples,
    preprocessing: Preprocessing,
    batch: int,
    prepare_maps: PrepareMaps | None = None,
    fit: Fit = "squash",
    *,
    process: int = 0,
    processes: int = 1,
    threads: int | None = None,
) -> Batches:
    """Every example once in the order of the source, not augmented; the last batch may be smaller.

    Args:
        source: examples.
        preprocessing: of the model: pictures are prepared as for scoring.
        batch: examples of one batch of this process.
        prepare_maps: given the whole map, or the part of it that the picture shows; None for batches without maps.
        fit: ``squash`` shows all of the picture, ``crop`` its middle.
        process, processes: this one takes the examples number process, process + processes, ...
        threads: that decode; None for one per core.
    """
    _check_source(source, "the source")
    _check_batch(batch, process, processes)

    def whole(example: Example) -> Batch:
        found = _labelled(prepare(example["image"], preprocessing, fit), example)
        if prepare_maps is not None:
            heat = example["map"] if fit == "squash" else _middle(example["map"], preprocessing)
            found |= _prepared(heat, example, preprocessing.size, prepare_maps)
        return found

    mine = grain.MapDataset.source(source)[process::processes]
    reading = grain.ReadOptions(num_threads=threads or _cores(), prefetch_buffer_size=2 * batch)
    return iter(mine.map(whole).to_iter_dataset(reading).batch(batch))


class _OfThisProcess:
    """The examples of one process: B / P that follow each other out of each B."""

    def __init__(self, examples: grain.MapDataset, order: Order) -> None:
        self._examples, self._order = examples, order
        self._share = order.batch // order.processes

    def __len__(self) -> int:
        return len(self._examples) // self._order.batch * self._share

    def __getitem__(self, number: int, /) -> Batch:
        step, row = divmod(number, self._share)
        found: Batch = self._examples[step * self._order.batch + self._order.process * self._share + row]
        return found


def _mixed(sources: Sequence[Examples], weights: Sequence[float], seed: int) -> grain.MapDataset:
    if not sources or len(sources) != len(weights):
        raise InputError(f"{len(sources)} sources of examples with {len(weights)} weights; wanted one weight for each")
    if not all(np.isfinite(weight) and weight > 0 for weight in weights):
        raise InputError(f"weights {', '.join(map(str, weights))} of the sources; wanted all of them above 0")
    for number, source in enumerate(sources):
        _check_source(source, f"source {number}")
    # Sources of one length must not be shuffled alike.
    seeds = np.random.SeedSequence(seed).generate_state(len(sources))
    shuffled = [
        grain.MapDataset.source(source).shuffle(int(own)).repeat() for source, own in zip(sources, seeds, strict=True)
    ]
    return grain.MapDataset.mix(shuffled, list(weights)) if len(shuffled) > 1 else shuffled[0]


def _batched(
    examples: grain.MapDataset, viewed: Callable[[Example, np.random.Generator], Batch], order: Order
) -> Batches:
    _check_batch(order.batch, order.process, order.processes)
    if order.batch % order.processes:
        raise InputError(
            f"a batch of {order.batch} examples cannot be divided among {order.processes} processes; give a multiple"
        )
    seed = int(np.random.SeedSequence([order.seed, 1]).generate_state(1)[0])
    mine = grain.MapDataset.source(_OfThisProcess(examples.random_map(viewed, seed=seed), order))
    share = order.batch // order.processes
    # Read ahead two batches and no more: by default Grain holds 500 elements.
    reading = grain.ReadOptions(num_threads=order.threads or _cores(), prefetch_buffer_size=2 * share)
    return iter(mine.to_iter_dataset(reading).batch(share, drop_remainder=True))


def _labelled(image: np.ndarray, example: Example) -> Batch:
    return {"image": image, "label": np.asarray(example["label"], np.int32)}


def _map_of_view(example: Example, view: View, size: int, how: str, prepare_maps: PrepareMaps) -> Batch:
    # Mirrored after it is prepared, as published: the published blur is not symmetric.
    heat = resized_part(example["map"], view, size, how) if example["has_map"] else example["map"]
    found = _prepared(heat, example, size, prepare_maps)
    return found | {"map": mirror(found["map"], view)}


def _prepared(heat: np.ndarray, example: Example, size: int, prepare_maps: PrepareMaps) -> Batch:
    prepared = prepare_maps(heat[None], size)[0] if example["has_map"] else np.zeros((size, size))
    return {"map": prepared.astype(np.float32), "has_map": np.asarray(example["has_map"], np.float32)}


def _middle(heat: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """The part of a map that ``crop`` leaves of its picture, to the nearest pixel."""
    height, width = heat.shape
    side = max(1, round(min(height, width) * preprocessing.size / preprocessing.shorter_side))
    top, left = (height - side) // 2, (width - side) // 2
    return heat[top : top + side, left : left + side]


def _check_source(source: Examples, name: str) -> None:
    if len(source) == 0:
        raise InputError(f"{name} of examples is empty")


def _check_batch(batch: int, process: int, processes: int) -> None:
    if batch < 1 or not 0 <= process < processes:
        raise InputError(f"a batch of {batch} examples in process {process} of {processes}; wanted 1 example or more")


def _cores() -> int:
    return os.cpu_count() or 1
