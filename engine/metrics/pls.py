"""Encoding by partial least squares: a few directions of a layer that covary most with a population."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.gram import Summary
from engine.metrics.inner import first_inner
from engine.metrics.scores import Scores
from engine.solvers.folds import Split, restrict
from engine.solvers.missing import patterns
from engine.solvers.pls import MAX_ITER, kernel_pls

VERSION = "1"  # of the numbers below; part of every result's key


class PLS(NamedTuple):
    """Settings that change the numbers.

    Attributes:
        components: directions of the layer.
    """

    components: int = 25


def score_layer(summary: Summary, responses: np.ndarray, splits: Sequence[Split], settings: PLS) -> Scores:
    """Pearson r of measured responses with those that PLS predicts on held-out stimuli.

    Equals ``sklearn.cross_decomposition.PLSRegression(components, scale=False)`` refitted for every split, and with 25
    components Brain-Score's ``pls`` (Yamins et al., PNAS 2014; Schrimpf et al., bioRxiv 2018). The directions depend on
    all neuroids that are fitted together, which are those of the call with responses to the same stimuli; Brain-Score
    fits one region at a time.

    Args:
        summary: of the layer, over the recording's stimuli.
        responses: stimuli x neuroids, NaN where missing.
        splits: over the stimuli.
        settings: number of components.

    Returns:
        value: splits x neuroids, NaN where a neuroid is constant over the training or the held-out stimuli.
        selection: Pearson r on the first inner fold of each split, fitted on the rest of its training stimuli. One fold
            and not all of them, because each is a fit of its own: so it doubles the work, five would multiply it by
            six, and the median over neuroids and splits by which layers are chosen averages over many folds. NaN where
            there are no inner folds (leave-one-out) or too few stimuli for the components.
        notes: components that did not converge, or that the layer does not have.

    Raises:
        InputError: shapes, splits or values that cannot be used; more components than training stimuli.
    """
    y = np.asarray(responses, np.float64)
    value, selection = np.full((2, len(splits), y.shape[1]), np.nan)
    turns = []
    with jax.enable_x64(True):
        gram = jnp.asarray(summary.gram, jnp.float64)
        for pattern in patterns(y, np.arange(len(y))):
            kept, targets = pattern.stimuli, pattern.targets
            own = restrict(splits, kept)
            kernel, measured = gram[kept[:, None], kept], y[np.ix_(kept, targets)]
            inner = first_inner(own) or []
            if any(len(split.train) < settings.components for split in inner):
                inner = []
            # In one call, so that one program is compiled.
            found = kernel_pls(kernel, measured, [*own, *inner], components=settings.components)
            value[:, targets] = found.pearson[: len(own)]
            if inner:
                selection[:, targets] = found.pearson[len(own) :]
            turns.append(found.iterations[: len(own)])
    return Scores(value, selection, {}, _notes(np.concatenate(turns)))


def _notes(turns: np.ndarray) -> tuple[str, ...]:
    """Of the turns each component took, fits x components."""
    slow, absent = int((turns >= MAX_ITER).sum()), int((turns == 0).sum())
    found = []
    if slow:
        found.append(
            f"{slow} of {turns.size} PLS components did not converge in {MAX_ITER} turns and were used as they were, "
            "as scikit-learn does"
        )
    if absent:
        found.append(
            f"{absent} of {turns.size} PLS components were not needed or not there: the layer or the responses were "
            "used up before"
        )
    return tuple(found)
