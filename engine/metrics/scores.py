"""What a metric says of one layer."""

from collections.abc import Mapping
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
