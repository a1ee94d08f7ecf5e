"""Encoding by ridge regression: how well a linear map from a layer predicts each neuroid on held-out stimuli."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.gram import Summary
from engine.metrics.scores import Scores
from engine.principal_components import components_kernel
from engine.solvers.folds import Split, restrict
from engine.solvers.missing import patterns
from engine.solvers.ridge import nested_ridge, penalty_scale
from engine.solvers.scoring import Selection

VERSION = "2"  # of the numbers below; part of every result's key


class Ridge(NamedTuple):
    """Settings that change the numbers.

    Attributes:
        penalties: ascending grid.
        relative: the grid is in units of the mean diagonal of the layer's centred Gram matrix.
        select: ``r2``, ``pearson`` or ``mse``, averaged over the inner folds.
        choose: one penalty per ``neuroid``, per ``region``, or for ``all``.
        components: principal components that each layer is reduced to, fitted on each split's training stimuli
            (its inner folds share them); None for all of the layer.
    """

    penalties: tuple[float, ...]
    relative: bool
    select: Selection
    choose: Literal["neuroid", "region", "all"]
    components: int | None = None


def check(responses: np.ndarray, splits: Sequence[Split]) -> None:
    """Raises InputError where some neuroids have too few responses, or responses to too many sets of stimuli."""
    for pattern in patterns(responses, np.arange(len(responses))):
        restrict(splits, pattern.stimuli)


def score_layer(
    summary: Summary,
    responses: np.ndarray,
    regions: Sequence[str],
    splits: Sequence[Split],
    settings: Ridge,
) -> Scores:
    """Nested cross-validated ridge from one layer to all neuroids.

    Equals refitting scikit-learn's ``Ridge`` with an intercept for every split, inner fold and penalty. The scores are
    Pearson r of predicted and measured responses, NaN where a neuroid is constant over the held-out stimuli; the
    detail is the ``penalty`` chosen, in the units of the layer's Gram matrix.

    Args:
        summary: of the layer, over the recording's stimuli.
        responses: stimuli x neuroids, NaN where missing: each neuroid is fitted on the stimuli it has.
        regions: of each neuroid.
        splits: over the stimuli, with inner folds.
    """
    labels = {
        "neuroid": None,
        "region": np.unique(np.asarray(regions), return_inverse=True)[1],
        "all": np.zeros(responses.shape[1], int),
    }[settings.choose]
    if settings.components is None:
        return _scores(summary.gram, responses, splits, settings, labels)
    parts = [
        _scores(components_kernel(summary.gram, split.train, settings.components), responses, [split], settings, labels)
        for split in splits
    ]
    return Scores(
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.selection for part in parts]),
        {"penalty": np.concatenate([part.details["penalty"] for part in parts])},
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _scores(
    kernel: np.ndarray,
    responses: np.ndarray,
    splits: Sequence[Split],
    settings: Ridge,
    labels: np.ndarray | None,
) -> Scores:
    # float64 because small penalties meet the small end of the spectrum; a few seconds for 20 layers.
    with jax.enable_x64(True):
        gram = jnp.asarray(kernel, jnp.float64)
        scale = penalty_scale(gram) if settings.relative else 1.0
        penalties = np.asarray(settings.penalties) * scale
        result = nested_ridge(
            gram,
            np.asarray(responses, np.float64),
            splits,
            penalties,
            selection=settings.select,
            groups=labels,
        )
    penalty = penalties[result.penalty_index]
    # The activations are float32, and so is the Gram matrix whatever it is solved in.
    floor = result.resolution * np.finfo(np.float32).eps / np.finfo(np.float64).eps
    unresolved = int(np.sum(penalty < floor))
    notes = (
        f"{unresolved} chosen penalties lie below the resolution of float32 activations: such fits follow its rounding "
        "errors; raise the smallest of metric.ridge.penalties",
    )
    return Scores(result.pearson, result.selection, {"penalty": penalty}, notes if unresolved else ())
