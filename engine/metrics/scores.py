"""What a metric says of one layer."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Scores(NamedTuple):
    """Raw scores, before any noise correction, with what was chosen on the way.

    A target is a neuroid, or a whole population where the metric compares populations.

    Attributes:
        value: splits x targets, on held-out stimuli; NaN where the measure is not defined.
        selection: splits x targets, a score of the same kind from the training stimuli alone. Layers may be chosen by
            it, never by ``value``. NaN where the metric has none.
        details: name -> splits x targets of whatever else is worth keeping, such as ``penalty`` or ``unit``.
        notes: sentences that the user should read.
    """

    value: np.ndarray
    selection: np.ndarray
    details: Mapping[str, np.ndarray]
    notes: tuple[str, ...] = ()


def beside_each_other(parts: Sequence[Scores]) -> Scores:
    """Scores of different targets over the same splits as one."""
    return Scores(
        np.concatenate([part.value for part in parts], axis=1),
        np.concatenate([part.selection for part in parts], axis=1),
        {name: np.concatenate([part.details[name] for part in parts], axis=1) for name in parts[0].details},
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )
