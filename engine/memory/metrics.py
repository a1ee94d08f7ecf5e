"""Bytes that a metric takes to score one layer, from shapes alone; and what it keeps of every layer until then.

Matrices are counted as the solvers hold them (their docstrings give the formulas), n stimuli and t targets in float64:
kernel, centred and reordered copies, then what each route adds. Where no formula is known, six matrices of n x n.
"""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from engine.solvers import banded_search, elimination, nipals, targets
from engine.solvers.folds import Split, check_splits, shared_partition
from engine.target import Target

COPIES = 4  # of the kernel: as given, in float64, centred, ordered
BLOCKS = 8  # arrays of stimuli x targets that the scores of one block of targets take, measured by XLA's analysis
TREE = {3: 1.7, 4: 2.4, 5: 3.2, 6: 4.1}  # folds -> factors of block elimination, in kernels; likewise
INVERSE = 3.0  # kernels that one inverse takes while it is made; likewise
WIDTH = 8192  # units of a layer looked at together (engine.metrics.unit_blocks)

Need = Callable[[Target, Mapping[str, Any], int], float]
"""(target, settings, targets worked on together) -> numbers of float64."""


def scoring(name: str, settings: Mapping[str, Any], target: Target, width: int) -> int:
    """Bytes for one layer.

    Args:
        name, settings: of the metric.
        target: what is scored.
        width: targets worked on together (``engine.solvers.targets.block_width``).
    """
    need = NEEDS.get(name, _some_matrices)
    return int(8 * need(target, settings, width))


def kept(name: str, settings: Mapping[str, Any], target: Target, units: int) -> int:
    """Bytes of a layer's units that are kept beside its summary, until it is scored."""
    stimuli = len(target.stimuli)
    if name == "spatial_map":
        return 4 * stimuli * units
    if name == "soft_matching":
        return 4 * stimuli * min(units, int(settings["units"])) * len(target.columns)
    if name == "reverse" and settings["units"] is not None:
        return 4 * stimuli * min(units, int(settings["units"]))
    return 0


def together(name: str, target: Target, layers: int) -> int:
    """Bytes that scoring all layers together takes at the end, beside their Gram matrices; 0 for most metrics."""
    if name != "variance_partition":
        return 0
    n, t = _shape(target)
    return int(8 * (2 * layers * n**2 + (COPIES + INVERSE) * n**2 + 2 * n * t)) + banded_search.held_most()


def _ridge(target: Target, settings: Mapping[str, Any], width: int) -> float:
    n, t = _shape(target)
    components = 4 * n**2 if settings.get("components") is not None else 0  # an eigendecomposition
    return _nested(n, t, width, target.splits) + components


def _leave_one_out(target: Target, settings: Mapping[str, Any], width: int) -> float:
    n, t = _shape(target)
    spectrum = 4 * n**2  # engine.metrics.resolution looks at the eigenvalues first
    splits = [split._replace(validation=None) for split in target.splits]
    return spectrum + _inverse(n, t, width, splits)


def _linear(target: Target, settings: Mapping[str, Any], width: int) -> float:
    n, t = _shape(target)
    return 4 * n**2 + _nested(n, t, width, target.splits)


def _nested(n: int, t: int, width: int, splits: Sequence[Split]) -> float:
    """Nested cross-validation in float64, by the route that ``engine.solvers.routes.dual`` takes."""
    parts = shared_partition(check_splits(splits, n))
    if parts is None or len(parts) > elimination.MAX_FOLDS:
        return _inverse(n, t, width, splits)
    return (COPIES + TREE[len(parts)]) * n**2 + BLOCKS * n * min(width, t) + _responses(n, t)


def _inverse(n: int, t: int, width: int, splits: Sequence[Split]) -> float:
    folds = 0.0
    for split in splits:
        held, train = n - len(split.train), len(split.train)
        inner = [train] if split.validation is None else [len(part) for part in split.validation]
        folds += held**2 + sum(own * held + (own**2 if split.validation is not None else own) for own in inner)
    return (COPIES + INVERSE) * n**2 + folds + BLOCKS * n * min(width, t) + _responses(n, t)


def _responses(n: int, t: int) -> float:
    """As they are, and once more in blocks up to what is held."""
    return n * t + min(n * t, targets.held_most() / 8)


def _pls(target: Target, settings: Mapping[str, Any], width: int) -> float:
    n, _ = _shape(target)
    regions = target.neuroids["region"].value_counts()
    t = min(n, int(regions.max()))
    return COPIES * n**2 + _moments(n, t, int(settings["components"]), 2 * len(target.splits))


def _moments(n: int, t: int, components: int, fits: int) -> float:
    """What ``engine.solvers.nipals`` takes for the fits that it solves together, and twice that along the way."""
    each = t**2 + 4 * components * n
    together = max(1, max(2 * n * n, nipals.HELD) // each)
    return 3 * min(fits, together) * each + 2 * n * (t + 1)


def _encoding_rsa(target: Target, settings: Mapping[str, Any], width: int) -> float:
    n, t = _shape(target)
    return _nested(n, t, width, target.splits) + 2 * n * t + 3 * n**2


def _units(target: Target, settings: Mapping[str, Any], width: int) -> float:
    n, t = _shape(target)
    return 3 * n**2 + 3 * WIDTH * n + WIDTH * t * max(1, len(target.splits))


def _maps(target: Target, settings: Mapping[str, Any], width: int) -> float:
    assert target.maps is not None
    positions = prod(target.maps.shape[:-1])  # rows of the regression: images x places
    regions = target.neuroids["region"].value_counts()
    t, images = min(positions, int(regions.max())), target.maps.shape[0]
    return COPIES * positions**2 + _moments(positions, t, int(settings["components"]), images) + 2 * target.maps.size


def _some_matrices(target: Target, settings: Mapping[str, Any], width: int) -> float:
    return 6.0 * len(target.stimuli) ** 2


def _shape(target: Target) -> tuple[int, int]:
    return len(target.stimuli), 1 if target.responses is None else int(np.shape(target.responses)[1])


NEEDS: Mapping[str, Need] = {
    "ridge": _ridge,
    "ridgecv": _leave_one_out,
    "linear": _linear,
    "pls": _pls,
    "variance_partition": lambda target, settings, width: 0.0,  # waits for all layers
    "encoding_rsa": _encoding_rsa,
    "one_to_one": _units,
    "soft_matching": _units,
    "population_decoding": _units,
    "reverse": _units,
    "spatial_map": _maps,
}
