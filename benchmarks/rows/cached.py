"""R5: another recording or another metric on a cached Gram matrix, against the first run from features."""

from functools import partial
from typing import Any

import jax

from benchmarks import data
from benchmarks.agreement import exact_scores
from benchmarks.comparison import Contender, compare, once, say
from benchmarks.costs import nested_five_fold
from benchmarks.rows.ridge import PENALTIES, QUICK, SIZES, graded, layer_summary, score
from benchmarks.rows.row import Row
from engine.solvers.ridge import nested_ridge
from engine.splits import kfold

GOAL = 5.0


def run(quick: bool) -> dict[str, Any]:
    """The row. What is timed gets the Gram matrix and no features."""
    size = (QUICK if quick else SIZES)["R1"]
    problem = data.problem(size)
    grid = data.penalties(problem.features, PENALTIES)
    splits = kfold(size.stimuli, folds=5, seed=0)
    second = data.responses(problem.features, size.targets, seed=7)
    say("float64 references")
    kernel = data.exact_kernel(problem.features)
    exact = {kind: exact_scores(kernel, second, splits, grid, kind) for kind in ("r2", "pearson")}
    jax.clear_caches()
    whole = partial(score, *problem, splits, grid)
    first = once("R1's first run, compilation included", whole)
    gram = layer_summary(problem.features).gram
    ours = [
        Contender(
            f"corticalign, {name}",
            partial(nested_ridge, gram, second, splits, grid, selection=kind),
            partial(graded, exact[kind]),
        )
        for name, kind in (("second recording", "r2"), ("selection by Pearson r", "pearson"))
    ]
    cost = nested_five_fold(size.stimuli, size.targets, PENALTIES)
    found = compare(ours, [Contender("R1 again, compiled", whole)], dtype="float32", cost=cost, quick=quick, goal=GOAL)
    found["entries"].append(first)
    found["ratio"] = first["median"] / found["entries"][0]["median"]
    refits = max(one.refits for one in exact.values())
    return {"sizes": size._asdict() | {"penalties": PENALTIES, "folds": "5 x 4"}, "refits": refits, **found}


ROWS = {
    "R5": Row(
        "a second recording, and a second metric setting, on R1's cached Gram matrix",
        "R1's own first run",
        GOAL,
        f"{GOAL:g}x, no features touched",
        3,
        run,
    )
}
