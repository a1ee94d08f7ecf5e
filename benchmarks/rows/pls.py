"""P1 and P2: PLS with 25 components over ten splits, from features to test scores, against scikit-learn."""

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np
from sklearn.cross_decomposition import PLSRegression

from benchmarks import costs, data
from benchmarks.agreement import MAX_R, MEDIAN_R, Agreement, correlation
from benchmarks.comparison import Contender, compare, fastest, say
from benchmarks.data import Size
from benchmarks.measure import uncounted
from benchmarks.rows.leave_one_out import random_splits
from benchmarks.rows.ridge import gram_blocks, layer_summary
from benchmarks.rows.row import Row
from engine.gram import add
from engine.solvers.pls import KernelPLS, kernel_pls

COMPONENTS, SPLITS = 25, 10
SIZES = {"P1": Size(3200, 9216, 168), "P2": Size(3200, 400_000, 168)}
QUICK = {"P1": Size(300, 1000, 30), "P2": Size(300, 5000, 30)}
WIDTH = {False: 16_384, True: 1000}  # units at a time of a layer that is too large to be held
PARTS = {False: (9216, 18_432), True: (500, 1000)}  # units that scikit-learn is run with for P2
# Largest difference from scikit-learn's predictions over the largest; P2's products round in float32.
PREDICTIONS = {"P1": 1e-6, "P2": 1e-5}

Blocks = Iterator[np.ndarray]


def streamed(size: Size, width: int) -> Blocks:
    """The layer of a problem in blocks of units, float32, made from a seed for each; not counted as time."""
    for start in range(0, size.units, width):
        with uncounted():
            stop = min(start + width, size.units)
            rng = np.random.default_rng(start)
            block = rng.standard_normal((size.stimuli, stop - start), dtype=np.float32)
            block *= (np.arange(start + 1, stop + 1) ** -0.5).astype(np.float32)
        yield block


def score(blocks: Any, measured: np.ndarray, splits: list[Any]) -> KernelPLS:
    """The whole of our work: blocks of units to test scores.

    Products within a block are of the block's type, their sums over blocks and all that follows float64: the
    predictions of a layer of float32 then still equal scikit-learn's, which works in float64, within 1e-6.
    """
    with jax.enable_x64(True):
        summary = None
        for block in blocks():
            one = layer_summary(block)
            one = one._replace(gram=one.gram.astype(np.float64))
            summary = one if summary is None else add(summary, one)
        return kernel_pls(summary.gram, measured, splits, components=COMPONENTS, predictions=True)


def scikit_learn(features: np.ndarray, measured: np.ndarray, split: Any) -> np.ndarray:
    """Predictions of one split."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where a component does not converge within 500 turns, as with ours
        model = PLSRegression(COMPONENTS, scale=False).fit(features[split.train], measured[split.train])
    return model.predict(features[split.test])


def graded(bound: float, predicted: np.ndarray, measured: np.ndarray, split: Any, found: KernelPLS) -> Agreement:
    """Of the first split with scikit-learn's predictions."""
    r = correlation(measured[split.test], predicted)
    off = np.abs(found.pearson[0] - r)
    apart = float(np.abs(found.predictions[0] - predicted).max() / np.abs(predicted).max())
    worst, median = float(off.max()), float(np.median(off))
    return Agreement(worst, median, 0, 0.0, worst <= MAX_R and median <= MEDIAN_R and apart <= bound, apart)


def root_of(size: Size, width: int) -> np.ndarray:
    """Features of fewer units with the same inner products: PLS on them is PLS on the whole layer."""
    kernel = np.zeros((size.stimuli,) * 2)
    for block in streamed(size, width):
        wide = block.astype(np.float64)
        kernel += wide @ wide.T
    values, vectors = np.linalg.eigh(kernel)
    return vectors * np.sqrt(np.maximum(values, 0))


def peer(name: str, size: Size, measured: np.ndarray, splits: list[Any], quick: bool) -> Contender:
    """scikit-learn on one split; for P2 at fewer units, its time, linear in them, continued along a straight line.

    Where that would rise faster than in proportion, which only noise or caches can cause, in proportion.
    """
    units = PARTS[quick] if name == "P2" else (size.units,)
    runs = {}
    for count in units:
        part = next(streamed(size._replace(units=count), count)).astype(np.float64)
        runs[f"{count:,} units"] = partial(scikit_learn, part, measured, splits[0])
    factor, tried, words = float(SPLITS), {}, "one split, times ten"
    if name == "P2":
        tried = fastest(runs)[1]
        least, most = tried.values()
        line = least + (most - least) * (size.units - units[0]) / (units[1] - units[0])
        factor *= min(line, most * size.units / units[1]) / most
        words = f"one split of {units[1]:,} units, extrapolated linearly from {units[0]:,} to {size.units:,}, times ten"
    return Contender(
        "scikit-learn PLSRegression", list(runs.values())[-1], None, "", tried, factor=factor, part=words, rounds=2
    )


def run(name: str, goal: float, quick: bool) -> dict[str, Any]:
    """One of the two rows."""
    size = (QUICK if quick else SIZES)[name]
    width = WIDTH[quick] if name == "P2" else size.units
    first = next(streamed(size, width))
    measured = data.responses(first, size.targets, seed=1).astype(np.float64)
    splits = random_splits(size.stimuli, SPLITS)
    if name == "P1":
        features = first.astype(np.float64)
        blocks = partial(iter, [features])
    else:
        blocks = partial(streamed, size, width)
        say("square root of the Gram matrix in NumPy, for scikit-learn")
        features = root_of(size, width)
    say("scikit-learn's predictions")
    wanted = scikit_learn(features, measured, splits[0])
    check = partial(graded, PREDICTIONS[name], wanted, measured, splits[0])
    ours = Contender("corticalign", partial(score, blocks, measured, splits), check)

    def cost(found: KernelPLS) -> costs.Cost:
        turns = int(found.iterations.sum())
        solving = costs.kernel_pls(size.stimuli, size.targets, SPLITS, COMPONENTS, turns)
        return costs.gram(size.stimuli, size.units, gram_blocks(size.stimuli)) | solving

    theirs = peer(name, size, measured, splits, quick)
    dtype = "float64" if name == "P1" else "float32"  # of the products that dominate
    found = compare([ours], [theirs], dtype=dtype, cost=cost, quick=quick, goal=goal)
    sizes = size._asdict() | {"components": COMPONENTS, "splits": SPLITS}
    return {"sizes": sizes, **found}


def row(name: str, goal: float, minutes: float) -> Row:
    """The line of the table."""
    size = SIZES[name]
    work = f"PLS with {COMPONENTS} components, {SPLITS} splits 90/10, {size.stimuli} x {size.units:,} units"
    against = "scikit-learn on one split" + (
        " of fewer units; float32 products within the Gram matrix, float64 from there on" if name == "P2" else ""
    )
    return Row(f"{work} -> {size.targets} targets", against, goal, f"{goal:g}x", minutes, partial(run, name, goal))


ROWS = {"P1": row("P1", 50, 2), "P2": row("P2", 100, 6)}
