"""Floating-point operations of each row's work as the solvers do it, zeros and symmetric halves included.

A multiplication and an addition are two operations. The share of the machine's matrix-product peak is their number by
the time by the peak.
"""

from collections.abc import Iterator

from engine.solvers.elimination import multiplied_out

Cost = dict[str, float]  # part of the work -> flops


def gram(stimuli: int, units: int, blocks: int) -> Cost:
    """Upper blocks of X X': the diagonal ones whole."""
    return {"Gram matrix": stimuli**2 * units * (1 + 1 / blocks)}


def nested_five_fold(stimuli: int, targets: int, penalties: int) -> Cost:
    """Nested 5 x 4 folds by shared elimination; weights are multiplied out where targets outnumber a fold."""
    fold = stimuli / 5
    explicit = multiplied_out(targets, -(-stimuli // 5))
    matrices = each = 0.0
    for left, held in _steps(5):
        others = left + held
        between = others * (others + 1) // 2 - held * (held + 1) // 2  # not among those held out
        products = others * ((left > 0 or explicit) + explicit) + (between if left else 0)
        inverted = left > 0 or explicit
        matrices += 2 * products + inverted + 1 / 3
        each += 2 * others + (0 if explicit else 2)
    return {"eliminations": penalties * matrices * fold**3, "targets": penalties * each * fold**2 * targets}


def stored_factors() -> float:
    """What the eliminations of five folds keep for many targets, in kernels of 25 blocks."""
    return sum(1 + left + held for left, held in _steps(5)) / 25


def _steps(left: int, held: int = 0) -> Iterator[tuple[int, int]]:
    """Every elimination of a fold: how many folds are left after it, and how many held out before it."""
    if left > 1 or (left and held):
        yield left - 1, held
        yield from _steps(left - 1, held)
    if left and held < 2:
        yield from _steps(left - 1, held + 1)


def splits_by_inverse(train: int, test: int, targets: int, splits: int, penalties: int) -> Cost:
    """Any number of train and test parts of one inverse per penalty, leave-one-out inside each train part."""
    stimuli = train + test
    matrices = 1.6 * stimuli**3 + splits * (4 / 3 * test**3 + 2 * train * test**2)
    each = 2 * stimuli**2 + splits * 2 * train * test
    return {"inverses": penalties * matrices, "targets": penalties * each * targets}


def kernel_pls(stimuli: int, targets: int, splits: int, components: int, turns: int) -> Cost:
    """Kernel PLS of all splits together; ``turns`` of the iteration over all splits and components."""
    return {
        "kernel times responses": 2 * stimuli**2 * targets,
        "scores": 4 * stimuli**2 * splits * components,
        "turns": 2 * targets**2 * turns,
    }


def banded(stimuli: int, targets: int, spaces: int, weightings: int, penalties: int, folds: int, fitted: int) -> Cost:
    """Banded ridge: every candidate over all folds, then a fit on all stimuli for each of the ``fitted`` chosen."""
    candidates = weightings * penalties
    return {
        "summed kernels": 2 * spaces * stimuli**2 * weightings,
        "inverses": 1.6 * stimuli**3 * (candidates + fitted),
        "folds": 2 * stimuli**3 / folds * candidates,
        "targets": 2 * stimuli**2 * targets * ((1 - 1 / folds) * candidates + 1),
    }


def total(cost: Cost) -> float:
    """All parts together."""
    return sum(cost.values())
