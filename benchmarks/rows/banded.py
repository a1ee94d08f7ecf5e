"""B1: banded ridge over random weightings of three feature spaces, against himalaya."""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from himalaya.backend import set_backend
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from himalaya.ridge import solve_group_ridge_random_search
from sklearn.model_selection import KFold

from benchmarks import costs, data
from benchmarks.agreement import MAX_R, MEDIAN_R, ROUNDING, Agreement, correlation, predict
from benchmarks.comparison import Contender, compare, fastest, say
from benchmarks.data import Size
from benchmarks.peers import himalaya_backends, position
from benchmarks.rows.row import Row
from engine.solvers.banded import fit_banded, simplex_weightings

SPACES, FOLDS, GOAL = 3, 5, 3.0


class Shape(NamedTuple):
    """Of the row; ``checked`` targets are compared with float64."""

    size: Size
    held_out: int
    weightings: int
    penalties: int
    checked: int


FULL = Shape(Size(1500, 10_000, 2000), 300, 100, 10, 100)
QUICK = Shape(Size(200, 500, 60), 50, 12, 10, 20)


class Spaces(NamedTuple):
    """The problem: ``features`` of each space over fitted and held-out stimuli, and their float32 kernels.

    Attributes:
        kernels: spaces x fitted x fitted.
        across: spaces x held-out x fitted.
        responses, measured: of the fitted and of the held-out stimuli.
    """

    features: list[np.ndarray]
    kernels: np.ndarray
    across: np.ndarray
    responses: np.ndarray
    measured: np.ndarray


class Pairs(NamedTuple):
    """Chosen weighting and penalty of each target, by position; test Pearson r; weightings x targets scores."""

    weighting: np.ndarray
    penalty: np.ndarray
    pearson: np.ndarray
    selection: np.ndarray


class Search(NamedTuple):
    """What every contender is given beside the problem."""

    folds: list[np.ndarray]
    weightings: np.ndarray
    penalties: np.ndarray


def spaces(shape: Shape) -> Spaces:
    """Three layers, each of which drives every target with a strength of its own."""
    size = shape.size
    n = size.stimuli
    whole = size._replace(stimuli=n + shape.held_out)
    parts = [data.problem(whole, seed=10 * number) for number in range(SPACES)]
    strength = np.random.default_rng(5).dirichlet([1] * SPACES, size.targets).T.astype(np.float32)
    responses = sum(s * part.responses for s, part in zip(strength, parts, strict=True))
    features = [part.features for part in parts]
    kernels = np.stack([x @ x.T for x in features])
    return Spaces(features, kernels[:, :n, :n].copy(), kernels[:, n:, :n].copy(), responses[:n], responses[n:])


def ours(problem: Spaces, search: Search) -> Pairs:
    """From kernels to test scores."""
    fit = fit_banded(problem.kernels, problem.responses, search.folds, search.weightings, search.penalties)
    guesses = zip(fit.weights.astype(np.float32), problem.across, strict=True)
    predicted = sum(w * (across @ fit.coefficients) for w, across in guesses) + fit.intercept
    return Pairs(fit.weighting_index, fit.penalty_index, correlation(problem.measured, predicted), fit.selection)


def multiple_kernel(backend: str, batch: int | None, problem: Spaces, search: Search) -> Pairs:
    """himalaya on the same kernels, weightings, penalties and folds."""
    module = set_backend(backend)
    everything = np.arange(len(problem.responses))
    model = MultipleKernelRidgeCV(
        kernels="precomputed",
        solver="random_search",
        fit_intercept=True,
        cv=[(np.setdiff1d(everything, part), part) for part in search.folds],
        solver_params={
            "n_iter": search.weightings.astype(np.float32),
            "alphas": search.penalties.astype(np.float32),
            "n_targets_batch": batch,
            "progress_bar": False,
        },
    )
    model.fit(module.asarray(problem.kernels), module.asarray(problem.responses))
    predicted = module.to_numpy(model.predict(module.asarray(problem.across)))
    weights, penalties = module.to_numpy(model.deltas_), module.to_numpy(model.best_alphas_)
    chosen = np.exp(weights) * penalties
    apart = np.abs(search.weightings[:, :, None] - chosen).max(axis=1)
    scores = module.to_numpy(model.cv_scores_)
    return Pairs(
        apart.argmin(axis=0), position(search.penalties, penalties), correlation(problem.measured, predicted), scores
    )


def group_ridge(backend: str, problem: Spaces, search: Search) -> object:
    """The search of himalaya's ``GroupRidgeCV`` on the features, without its refits on all stimuli."""
    module = set_backend(backend)
    n = len(problem.responses)
    return solve_group_ridge_random_search(
        [module.asarray(x[:n]) for x in problem.features],
        module.asarray(problem.responses),
        n_iter=module.asarray(search.weightings.astype(np.float32)),
        alphas=module.asarray(search.penalties.astype(np.float32)),
        cv=[(np.setdiff1d(np.arange(n), part), part) for part in search.folds],
        fit_intercept=True,
        progress_bar=False,
        warn=False,
    )


class Exact(NamedTuple):
    """The search over some targets in float64, and the problem in float64 to try other choices on."""

    problem: Spaces
    search: Search
    pairs: Pairs


def exact_search(problem: Spaces, search: Search, checked: int) -> Exact:
    """Of the first targets."""
    n = len(problem.responses)
    kernels = np.stack([data.exact_kernel(x) for x in problem.features])
    few = Spaces(
        [],
        kernels[:, :n, :n].copy(),
        kernels[:, n:, :n].copy(),
        *(values[:, :checked].astype(np.float64) for values in (problem.responses, problem.measured)),
    )
    with jax.enable_x64(True):
        return Exact(few, search, ours(few, search))


def graded(exact: Exact, found: Pairs) -> Agreement:
    """Test r against fits in NumPy at the pairs chosen; where another pair was chosen, what that gives away."""
    problem, search, wanted = exact
    checked = problem.responses.shape[1]
    pairs = np.stack([found.weighting, found.penalty], axis=1)[:checked]
    best = np.stack([wanted.weighting, wanted.penalty], axis=1)
    other = (pairs != best).any(axis=1)
    variance = problem.responses.var(axis=0)
    both = np.concatenate([problem.responses, problem.measured])
    n = len(problem.responses)
    train, test = np.arange(n), np.arange(n, len(both))
    off, lost = np.zeros(checked), 0.0
    for weighting, penalty in np.unique(pairs, axis=0):
        targets = np.flatnonzero((pairs == (weighting, penalty)).all(axis=1))
        kernel = np.zeros((len(both),) * 2)
        kernel[:n, :n] = np.tensordot(search.weightings[weighting], problem.kernels, 1)
        kernel[n:, :n] = np.tensordot(search.weightings[weighting], problem.across, 1)
        predicted = predict(kernel, both[:, targets], train, test, search.penalties[penalty])
        off[targets] = np.abs(correlation(problem.measured[:, targets], predicted) - found.pearson[targets])
        if other[targets].any():
            score = np.zeros(len(targets))
            for part in search.folds:
                guess = predict(kernel, both[:, targets], np.setdiff1d(train, part), part, search.penalties[penalty])
                score -= ((problem.responses[part][:, targets] - guess) ** 2).mean(axis=0) / len(search.folds)
            given = (wanted.selection[:, targets].max(axis=0) - score) / variance[targets]
            lost = max(lost, float(given[other[targets]].max()))
    worst, median = float(off.max()), float(np.median(off))
    return Agreement(worst, median, int(other.sum()), lost, worst <= MAX_R and median <= MEDIAN_R and lost <= ROUNDING)


def peers(problem: Spaces, search: Search, exact: Exact) -> list[Contender]:
    """The best backend in full; the others, and the solver on features, on the first weightings."""
    two = search._replace(weightings=search.weightings[:2])
    count = len(search.weightings)
    runs, best = {}, {}
    for backend in himalaya_backends():
        options = {"all targets at once": None, "n_targets_batch=1000": 1000}
        options = {name: batch for name, batch in options.items() if (batch or 0) < problem.responses.shape[1]}
        trial = {name: partial(multiple_kernel, backend, batch, problem) for name, batch in options.items()}
        name, tried = fastest({name: partial(run, two) for name, run in trial.items()})
        runs[backend], best[backend] = (trial[name], name, tried), tried[name]
    winner = min(best, key=best.__getitem__)
    found = []
    for backend, (run, settings, tried) in runs.items():
        name = f"himalaya {backend}, MultipleKernelRidgeCV"
        if backend == winner:
            whole = partial(run, search)
            found.append(Contender(name, whole, partial(graded, exact), settings, tried, rounds=2))
        else:
            part, factor = f"2 of {count} weightings, times {count / 2:g}", count / 2
            found.append(Contender(name, partial(run, two), None, settings, tried, factor, part, rounds=2))
    one = search._replace(weightings=search.weightings[:1])
    part = f"its search without refits, 1 of {count} weightings, times {count}"
    work = partial(group_ridge, winner, problem, one)
    return [*found, Contender(f"himalaya {winner}, GroupRidgeCV", work, None, "", {}, count, part, rounds=1)]


def run(quick: bool) -> dict[str, Any]:
    """The row."""
    shape = QUICK if quick else FULL
    problem = spaces(shape)
    n = shape.size.stimuli
    scale = np.mean([data.penalties(x[:n], 3)[1] for x in problem.features])
    search = Search(
        [part for _, part in KFold(FOLDS, shuffle=True, random_state=0).split(np.arange(n))],
        simplex_weightings(SPACES, shape.weightings, seed=0),
        np.logspace(-3, 3, shape.penalties) * scale,
    )
    say(f"float64 reference for {shape.checked} targets")
    exact = exact_search(problem, search, shape.checked)
    jax.clear_caches()

    def cost(found: Pairs) -> costs.Cost:
        pairs = len(np.unique(np.stack([found.weighting, found.penalty]), axis=1).T)
        return costs.banded(n, shape.size.targets, SPACES, shape.weightings, shape.penalties, FOLDS, pairs)

    contender = Contender("corticalign", partial(ours, problem, search), partial(graded, exact))
    found = compare([contender], peers(problem, search, exact), dtype="float32", cost=cost, quick=quick, goal=GOAL)
    sizes = shape.size._asdict() | {"spaces": SPACES, "weightings": shape.weightings, "penalties": shape.penalties}
    notes = [f"agreement over {shape.checked} targets, their test r refitted in NumPy", "from kernels to test scores"]
    return {"sizes": sizes | {"folds": FOLDS}, "notes": notes, **found}


ROWS = {
    "B1": Row(
        f"banded ridge, {SPACES} spaces of {FULL.size.units:,} units, {FULL.size.stimuli} stimuli -> "
        f"{FULL.size.targets} targets, {FULL.weightings} weightings, {FULL.penalties} penalties, {FOLDS} folds",
        "himalaya MultipleKernelRidgeCV and GroupRidgeCV",
        GOAL,
        f"{GOAL:g}x",
        12,
        run,
    )
}
