"""R4: random splits with the penalty chosen by leave-one-out on each train part, against scikit-learn's RidgeCV."""

from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks import costs, data
from benchmarks.agreement import exact_scores
from benchmarks.comparison import Contender, compare, fastest, say
from benchmarks.data import Size
from benchmarks.peers import scikit_learn
from benchmarks.rows.ridge import graded, gram_blocks, layer_summary
from benchmarks.rows.row import Row
from engine.solvers.folds import Split
from engine.solvers.nested import NestedRidge
from engine.solvers.ridge import nested_ridge

FULL, QUICK = Size(3200, 50_000, 256), Size(300, 3000, 32)
PENALTIES, SPLITS = 20, 10
LONG = 30.0  # seconds of one split; if longer, scikit-learn runs one and its time is multiplied
GOAL = 20.0


def random_splits(stimuli: int, count: int) -> list[Split]:
    """A tenth of the stimuli held out in each."""
    rng = np.random.default_rng(0)
    cuts = [np.split(rng.permutation(stimuli), [stimuli // 10]) for _ in range(count)]
    return [Split(np.sort(train), np.sort(test), None) for test, train in cuts]


def score(features: np.ndarray, responses: np.ndarray, splits: list[Split], grid: np.ndarray) -> NestedRidge:
    """The whole of our work: features to test scores."""
    return nested_ridge(layer_summary(features).gram, responses, splits, grid, selection="mse")


def run(quick: bool) -> dict[str, Any]:
    """The row."""
    size = QUICK if quick else FULL
    problem = data.problem(size)
    grid = data.penalties(problem.features, PENALTIES)
    splits = random_splits(size.stimuli, SPLITS)
    say("float64 reference")
    exact = exact_scores(data.exact_kernel(problem.features), problem.responses, splits, grid, "mse")
    jax.clear_caches()
    ours = Contender("corticalign", partial(score, *problem, splits, grid), partial(graded, exact))

    # It computes in float64 whatever it is given; what is given in float64 it need not convert.
    given = {"float64 input": [a.astype(np.float64) for a in problem], "float32 input": list(problem)}
    runs = {name: partial(scikit_learn, *arrays) for name, arrays in given.items()}
    best, tried = fastest({name: partial(one, splits[:1], grid) for name, one in runs.items()})
    part = "one split, times ten" if tried[best] > LONG else ""
    theirs = Contender(
        "scikit-learn RidgeCV(alpha_per_target=True)",
        partial(runs[best], splits[:1] if part else splits, grid),
        partial(graded, exact),
        best,
        tried,
        factor=SPLITS if part else 1,
        part=part,
        rounds=2,
    )
    train = len(splits[0].train)
    cost = costs.gram(size.stimuli, size.units, gram_blocks(size.stimuli))
    cost |= costs.splits_by_inverse(train, size.stimuli - train, size.targets, SPLITS, PENALTIES)
    found = compare([ours], [theirs], dtype="float32", cost=cost, quick=quick, goal=GOAL)
    return {"sizes": size._asdict() | {"penalties": PENALTIES, "splits": SPLITS}, "refits": exact.refits, **found}


ROWS = {
    "R4": Row(
        f"{SPLITS} splits 90/10, {PENALTIES} penalties chosen per target by leave-one-out, {FULL.stimuli} stimuli x "
        f"{FULL.units:,} units -> {FULL.targets} targets",
        "scikit-learn RidgeCV per split",
        GOAL,
        f"{GOAL:g}x",
        5,
        run,
    )
}
