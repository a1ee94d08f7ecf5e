"""R1 to R3: nested ridge from features to test scores, against himalaya's KernelRidgeCV."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import costs, data
from benchmarks.agreement import Agreement, Exact, exact_scores, grade
from benchmarks.comparison import Contender, compare, fastest, say
from benchmarks.data import Size
from benchmarks.peers import Chosen, himalaya, himalaya_backends
from benchmarks.rows.row import Row
from engine import activations
from engine.gram import Summary, summarise
from engine.solvers.folds import Split
from engine.solvers.ridge import NestedRidge, nested_ridge
from engine.splits import kfold

PENALTIES = 7
SIZES = {"R1": Size(3200, 50_000, 256), "R2": Size(1000, 20_000, 10_000), "R3": Size(1000, 20_000, 1000)}
QUICK = {"R1": Size(500, 4000, 64), "R2": Size(250, 2000, 1500), "R3": Size(250, 2000, 250)}


def gram_blocks(stimuli: int) -> int:
    """Row blocks of the Gram product, as the engine takes them."""
    return min(max(1, round(stimuli / activations.ROWS)), activations.MOST_BLOCKS)


def layer_summary(features: np.ndarray) -> Summary:
    """As the engine summarises a layer, from features in host memory."""
    count = gram_blocks(len(features))
    rows = -(-len(features) // count)
    blocks = []
    for start in range(0, len(features), rows):
        part = features[start : start + rows]
        # Copied, because the summary consumes its blocks.
        blocks.append(jnp.array(np.pad(part, ((0, rows - len(part)), (0, 0))) if len(part) < rows else part))
    return summarise(blocks, len(features))


def score(features: np.ndarray, responses: np.ndarray, splits: Sequence[Split], grid: np.ndarray) -> NestedRidge:
    """The whole of our work: features to test scores."""
    return nested_ridge(layer_summary(features).gram, responses, splits, grid)


def graded(exact: Exact, found: NestedRidge | Chosen) -> Agreement:
    """Of our result or a peer's."""
    index = found.index if isinstance(found, Chosen) else found.penalty_index
    return grade(exact, index, found.pearson)


def peers(problem: data.Problem, splits: Sequence[Split], grid: np.ndarray, exact: Exact) -> list[Contender]:
    """himalaya on each of its backends, with the settings that are fastest on the first fold."""
    found = []
    for backend in himalaya_backends():
        options: dict[str, tuple[str, int | None]] = {
            "precomputed kernel": ("precomputed", None),
            "linear kernel": ("linear", None),
        }
        if problem.responses.shape[1] > 1000:
            options["precomputed kernel, n_targets_batch=1000"] = ("precomputed", 1000)
        runs = {name: partial(himalaya, backend, *setting, *problem) for name, setting in options.items()}
        best, tried = fastest({name: partial(run, splits[:1], grid) for name, run in runs.items()})
        found.append(
            Contender(f"himalaya {backend}", partial(runs[best], splits, grid), partial(graded, exact), best, tried)
        )
        say(f"himalaya {backend}, one fold: " + ", ".join(f"{name} {t:.3g} s" for name, t in tried.items()))
    return found


def run(name: str, goal: float, quick: bool) -> dict[str, Any]:
    """One of the three rows."""
    size = (QUICK if quick else SIZES)[name]
    problem = data.problem(size)
    grid = data.penalties(problem.features, PENALTIES)
    splits = kfold(size.stimuli, folds=5, seed=0)
    say("float64 reference")
    exact = exact_scores(data.exact_kernel(problem.features), problem.responses, splits, grid, "r2")
    jax.clear_caches()  # so that the first call compiles all it needs
    ours = Contender("corticalign", partial(score, *problem, splits, grid), partial(graded, exact))
    cost = costs.gram(size.stimuli, size.units, gram_blocks(size.stimuli))
    cost |= costs.nested_five_fold(size.stimuli, size.targets, PENALTIES)
    found = compare([ours], peers(problem, splits, grid, exact), dtype="float32", cost=cost, quick=quick, goal=goal)
    return {"sizes": size._asdict() | {"penalties": PENALTIES, "folds": "5 x 4"}, "refits": exact.refits, **found}


def row(name: str, goal: float, minutes: float) -> Row:
    """The line of the table."""
    size = SIZES[name]
    work = f"nested 5 x 4 folds, 7 penalties, {size.stimuli} stimuli x {size.units:,} units -> {size.targets:,} targets"
    return Row(work, "himalaya KernelRidgeCV", goal, f"{goal:g}x", minutes, partial(run, name, goal))


ROWS = {"R1": row("R1", 7, 8), "R2": row("R2", 3, 3), "R3": row("R3", 4, 1)}
