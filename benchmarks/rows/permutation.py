"""S1: R1's problem again with shuffled responses, a thousand times, against loops over scikit-learn."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from sklearn.linear_model import Ridge

from benchmarks import data
from benchmarks.agreement import MAX_R, MEDIAN_R, Agreement, correlation
from benchmarks.comparison import Contender, compare, say
from benchmarks.costs import Cost
from benchmarks.rows.ridge import PENALTIES, QUICK, SIZES, layer_summary
from benchmarks.rows.row import Row
from engine.solvers.folds import Split
from engine.solvers.ridge import nested_ridge
from engine.splits import kfold
from engine.statistics.permutation import Null, permutation_null, shuffles

SHUFFLES, TOGETHER, QUICK_SHUFFLES = 1000, 20, 40
LIMIT = 60.0


def scikit_learn(
    features: np.ndarray, responses: np.ndarray, splits: Sequence[Split], penalties: np.ndarray, orders: np.ndarray
) -> np.ndarray:
    """Shuffles x splits x neuroids, test Pearson r by ``Ridge`` with the same penalties.

    A fit has all neuroids of one penalty as targets, in all shuffles given: one factorisation serves them all.

    Args:
        features: stimuli x stimuli with the layer's inner products, so that fewer columns give the same predictions.
        responses, splits: as for our own.
        penalties: splits x neuroids.
        orders: stimuli x shuffles.
    """
    neuroids = responses.shape[1]
    found = np.empty((len(splits), orders.shape[1], neuroids))
    for number, split in enumerate(splits):
        for penalty in np.unique(penalties[number]):
            chosen = np.flatnonzero(penalties[number] == penalty)
            shuffled = responses[orders][:, :, chosen].reshape(len(responses), -1)
            model = Ridge(penalty, solver="cholesky").fit(features[split.train], shuffled[split.train])
            predicted = model.predict(features[split.test]).reshape(len(split.test), -1)
            r = correlation(shuffled[split.test], predicted)
            found[number][:, chosen] = r.reshape(-1, len(chosen))
    return np.moveaxis(found, 1, 0)


def root_of(kernel: np.ndarray) -> np.ndarray:
    """Square features with the inner products ``kernel``."""
    values, vectors = np.linalg.eigh(kernel)
    return vectors * np.sqrt(np.maximum(values, 0))


def graded(wanted: np.ndarray, found: Null) -> Agreement:
    """Of the true order and the first shuffles, with scikit-learn in float64."""
    ours = np.concatenate([found.observed[None], found.null])[: len(wanted)]
    off = np.abs(ours - wanted)
    worst, median = float(off.max()), float(np.median(off))
    return Agreement(worst, median, 0, 0.0, worst <= MAX_R and median <= MEDIAN_R)


def cost(splits: Sequence[Split], penalties: np.ndarray, shuffled: int) -> Cost:
    """Inverses and predictors for every penalty in use, and the products with shuffled responses."""
    stimuli, neuroids = len(splits[0].train) + len(splits[0].test), penalties.shape[1]
    predictors = products = 0.0
    for number, split in enumerate(splits):
        test, train = len(split.test), len(split.train)
        predictors += len(np.unique(penalties[number])) * 4.0 * test**2 * train
        products += 2.0 * test * train * neuroids * (shuffled + 1)
    return {"inverses": 1.6 * stimuli**3 * len(np.unique(penalties)), "predictors": predictors, "shuffles": products}


def run(quick: bool) -> dict[str, Any]:
    """The row."""
    size = (QUICK if quick else SIZES)["R1"]
    wanted, together = (QUICK_SHUFFLES, 4) if quick else (SHUFFLES, TOGETHER)
    problem = data.problem(size)
    grid = data.penalties(problem.features, PENALTIES)
    splits = kfold(size.stimuli, folds=5, seed=0)
    say("Gram matrix and penalties")
    kernel = data.exact_kernel(problem.features)
    chosen = nested_ridge(layer_summary(problem.features).gram, problem.responses, splits, grid)
    penalties = grid[np.asarray(chosen.penalty_index)]
    responses = problem.responses.astype(np.float64)
    orders = shuffles(np.arange(size.stimuli), np.zeros(size.stimuli, int), wanted, 0)
    features = root_of(kernel)
    say("scikit-learn on the true order and three shuffles")
    truth = scikit_learn(features, responses, splits, penalties, orders[:, :4])
    jax.clear_caches()
    ours = Contender(
        "corticalign",
        partial(permutation_null, kernel, responses, splits, penalties, permutations=wanted, seed=0),
        partial(graded, truth),
    )
    theirs = partial(scikit_learn, features, responses, splits, penalties)
    peers = [
        Contender(
            "scikit-learn Ridge, shuffle after shuffle",
            partial(theirs, orders[:, 1:2]),
            factor=wanted,
            part=f"one shuffle, times {wanted}",
            rounds=2,
        ),
        Contender(
            f"scikit-learn Ridge, {together} shuffles as targets of one fit",
            partial(theirs, orders[:, 1 : 1 + together]),
            factor=wanted / together,
            part=f"{together} shuffles, times {wanted / together:g}",
            rounds=2,
        ),
    ]
    flops = cost(splits, penalties, wanted)
    found = compare(ours=[ours], peers=peers, dtype="float32", cost=flops, quick=quick, limit=LIMIT)
    used = len(np.unique(penalties))
    sizes = size._asdict() | {"penalties": PENALTIES, "of them chosen": used, "folds": 5, "shuffles": wanted}
    notes = [
        "from the kernel and the penalties chosen on the true order; scikit-learn gets them too, and the kernel's "
        "square root for features, which has fewer columns than the layer",
    ]
    return {"sizes": sizes, "notes": notes, **found}


ROWS = {
    "S1": Row(
        f"{SHUFFLES} shuffles of R1's responses through all five folds at the penalties chosen",
        "loops over scikit-learn Ridge, extrapolated",
        None,
        f"{LIMIT:g} s",
        6,
        run,
    )
}
