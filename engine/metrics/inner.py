"""Inner folds as splits of their own, for metrics that have no cheaper score from training stimuli alone."""

from collections.abc import Sequence

import numpy as np

from engine.solvers.folds import Split


def first_inner(splits: Sequence[Split]) -> list[Split] | None:
    """The first inner fold of every split as a split: tested on it, fitted on the rest of the train part.

    Its own inner folds are the other inner folds of the same split; leave-one-out where fewer than two are left. None
    where a split has no inner folds (leave-one-out).
    """
    found = []
    for split in splits:
        if split.validation is None:
            return None
        test, *others = split.validation
        inner = tuple(part for part in (np.setdiff1d(other, test) for other in others) if len(part))
        found.append(Split(np.setdiff1d(split.train, test), test, inner if len(inner) > 1 else None))
    return found
