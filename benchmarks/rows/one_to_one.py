"""N1: the best of all units of AlexNet for every neuron, against the same formula in NumPy."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.agreement import MAX_R, MEDIAN_R, ROUNDING, Agreement, correlation
from benchmarks.comparison import Contender, compare
from benchmarks.costs import Cost
from benchmarks.measure import uncounted
from benchmarks.rows.leave_one_out import random_splits
from benchmarks.rows.ridge import gram_blocks
from benchmarks.rows.row import Row
from engine.metrics.one_to_one import Prepared, match_block, prepare, scores
from engine.metrics.scores import Scores
from engine.solvers.folds import Split
from engine.splits import kfold

# AlexNet's activations after every convolution, pooling and matrix product but the last.
ALEXNET = (193_600, 46_656, 139_968, 32_448, 64_896, 43_264, 43_264, 9_216, 4_096, 4_096)
STIMULI, NEURONS, SPLITS = 1200, 60, 10
QUICK_LAYERS, QUICK_STIMULI = (3000, 500), 200
SHARED = 20  # units of each layer that the neurons follow
WIDTH = 16_384  # units at a time in float64
LIMIT = 30.0


def layer(number: int, units: int, stimuli: int) -> np.ndarray:
    """Activations of one layer, stimuli x units, float32, made from a seed; not counted as time, but as memory."""
    with uncounted():
        return np.random.default_rng(number).standard_normal((stimuli, units), dtype=np.float32)


def row_blocks(features: np.ndarray) -> list[jax.Array]:
    """As the engine captures them: not counted either."""
    with uncounted():
        rows = -(-len(features) // gram_blocks(len(features)))
        parts = [jnp.asarray(features[start : start + rows]) for start in range(0, len(features), rows)]
        return jax.block_until_ready(parts)


def recorded(layers: Sequence[int], stimuli: int) -> np.ndarray:
    """Stimuli x neurons: each follows a unit of some layer, with noise of its own."""
    rng = np.random.default_rng(100)
    noise = 2 * rng.standard_normal((stimuli, NEURONS))
    for number, units in enumerate(layers):
        mine = np.arange(number, NEURONS, len(layers))
        noise[:, mine] += layer(number, units, stimuli)[:, rng.integers(0, min(units, SHARED), len(mine))]
    return noise


def score(layers: Sequence[int], prepared: Prepared) -> list[Scores]:
    """The whole of our work, layer by layer."""
    found = []
    for number, units in enumerate(layers):
        blocks = row_blocks(layer(number, units, len(prepared.weights)))
        found.append(scores(match_block(blocks, 0, prepared), prepared))
        del blocks  # before the next layer is made
    return found


def unit_length(values: np.ndarray) -> np.ndarray:
    """Each column less its mean, over its norm."""
    centred = values - values.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=0)
    return centred


def neuron_by_neuron(layers: Sequence[int], responses: np.ndarray, splits: Sequence[Split], neurons: int) -> None:
    """Brain-Score's formula as Brain-Score runs it: r of all units with one neuron after another, elementwise."""
    for number, units in enumerate(layers):
        features = layer(number, units, len(responses))
        for split in splits:
            fitted, held = features[split.train], features[split.test]
            best = [
                np.nanargmax((unit_length(fitted) * unit_length(responses[split.train, i : i + 1])).sum(axis=0))
                for i in range(neurons)
            ]
            correlation(responses[split.test, :neurons], held[:, best])


def by_product(layers: Sequence[int], responses: np.ndarray, splits: Sequence[Split]) -> list[np.ndarray]:
    """The same with every unit made of unit length once for each split, and r of all neurons as one product."""
    found = []
    for number, units in enumerate(layers):
        features = layer(number, units, len(responses))
        each = []
        for split in splits:
            r = unit_length(responses[split.train]).T @ unit_length(features[split.train])
            each.append(correlation(responses[split.test], features[split.test][:, np.nanargmax(r, axis=1)]))
        found.append(np.stack(each))
    return found


def graded(layers: Sequence[int], responses: np.ndarray, splits: Sequence[Split], found: list[Scores]) -> Agreement:
    """Of the first split with float64."""
    split, off, lost, others = splits[0], [], [], 0
    measured = unit_length(responses[split.train])
    for number, one in enumerate(found):
        features = layer(number, layers[number], len(responses))
        unit = one.details["unit"][0]
        best, at = np.full(NEURONS, -np.inf), np.full(NEURONS, -1)
        mine = np.zeros(NEURONS)
        for start, block in blocks_of(features[split.train]):
            r = measured.T @ unit_length(block)
            here = (unit >= start) & (unit < start + block.shape[1])
            mine[here] = r[here, unit[here] - start]
            better = r.max(axis=1) > best
            best[better], at[better] = r.max(axis=1)[better], start + r.argmax(axis=1)[better]
        others += int((at != unit).sum())
        lost.append(best - mine)
        off.append(np.abs(one.value[0] - correlation(responses[split.test], features[split.test][:, unit])))
    worst, median, most = float(np.max(off)), float(np.median(off)), float(np.max(lost))
    holds = worst <= MAX_R and median <= MEDIAN_R and most <= ROUNDING
    return Agreement(worst, median, others, most, holds, choices="units")


def blocks_of(features: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """A few units at a time in float64, with the number of the first."""
    for start in range(0, features.shape[1], WIDTH):
        yield start, features[:, start : start + WIDTH].astype(np.float64)


def cost(units: int, prepared: Prepared) -> Cost:
    """Products over all stimuli and over every held-out set."""
    stimuli = len(prepared.weights)
    held = int((prepared.sets < stimuli).sum())
    return {"sums": 2.0 * units * prepared.weights.shape[1] * (stimuli + held)}


def run(quick: bool) -> dict[str, Any]:
    """The row."""
    layers, stimuli = (QUICK_LAYERS, QUICK_STIMULI) if quick else (ALEXNET, STIMULI)
    responses = recorded(layers, stimuli)
    ours = []
    for name, splits in (
        ("corticalign", random_splits(stimuli, SPLITS)),
        ("corticalign, 5 folds with inner folds", kfold(stimuli, folds=5, seed=0)),
    ):
        prepared = prepare(responses, splits)
        ours.append(Contender(name, partial(score, layers, prepared), partial(graded, layers, responses, splits)))
    splits = random_splits(stimuli, SPLITS)
    # Numbers of one type: NumPy would make float64 of a mixed product.
    given = responses.astype(np.float32)
    peers = [
        Contender("its formula as one product per split", partial(by_product, layers, given, splits)),
        Contender(
            "Brain-Score's formula in NumPy, neuron by neuron",
            partial(neuron_by_neuron, layers, given, splits[:1], 1),
            factor=SPLITS * NEURONS,
            part=f"one neuron of one split, times {SPLITS * NEURONS}",
            rounds=2,
        ),
    ]
    flops = cost(sum(layers), prepare(responses, splits))
    found = compare(ours, peers, dtype="float32", cost=flops, quick=quick, limit=LIMIT)
    sizes = {"stimuli": stimuli, "units": sum(layers), "layers": len(layers), "neurons": NEURONS, "splits": SPLITS}
    notes = [
        "Brain-Score 2.4.2 itself needs older NumPy and xarray than the rest; this is the arithmetic of its "
        "neuron_to_neuron without its assemblies",
        "layers are made from a seed when they are needed: not counted as time, but counted as memory, for all alike",
    ]
    return {"sizes": sizes, "notes": notes, **found}


ROWS = {
    "N1": Row(
        f"one-to-one mapping, {STIMULI} stimuli x {sum(ALEXNET):,} units (AlexNet's layers) -> {NEURONS} neurons, "
        f"{SPLITS} splits 90/10",
        "Brain-Score's formula in NumPy",
        None,
        f"{LIMIT:g} s",
        7,
        run,
    )
}
