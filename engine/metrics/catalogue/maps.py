"""The metric of recordings that are maps over positions of the stimuli."""

from collections.abc import Sequence
from math import isqrt, prod
from typing import NamedTuple

import jax
import numpy as np

from engine.errors import InputError
from engine.gram import Summary
from engine.metrics import spatial_map as _spatial_map
from engine.metrics import unit_blocks
from engine.metrics.metric import Metric, Reader
from engine.metrics.scores import Scores, beside_each_other
from engine.target import Target

LEADING_TOKENS = (0, 1, 2, 5)  # of class, distillation and four registers, before those of the patches
SALIENCY = "Spearman correlation of the mean predicted and mean measured map of the neuroids"


class _Map(NamedTuple):
    """A layer while its units pass.

    Attributes:
        shape: height x width x channels; None where the layer is not scored.
        sample: the units of the map, images x units, in the order of that shape.
        why: the layer is not scored, in words.
    """

    shape: tuple[int, int, int] | None
    sample: unit_blocks.Sample | None
    why: str


def spatial_map(components: int, parity: bool) -> Metric:
    """Maps of responses predicted from a layer's maps, image by image; a region of one subject at a time.

    Keeps 4 bytes x images x units of every layer until it is scored; see ``engine.metrics.spatial_map`` for the rest.

    Args:
        components: of partial least squares.
        parity: as the published code does, against its description.
    """

    def bind(target: Target) -> Reader:
        maps = _maps(target, components, parity)
        columns = target.columns
        order = np.argsort(np.concatenate(columns))
        ceilings = np.empty(maps.shape[-1])
        for own in columns:
            # The maximum over pairs needs pairs.
            enough = len(own) >= 2 + parity
            ceilings[own] = _spatial_map.ceiling(maps[..., own], parity=parity).mean() if enough else np.nan
        shape = len(maps), maps.shape[-1]

        def begin(of_stimulus: tuple[int, ...]) -> _Map:
            found = layer_map(of_stimulus)
            if found is None:
                return _Map(None, None, f"activations of shape {of_stimulus} have no height and width; no score")
            if parity:
                try:  # what the published code refuses, it refuses by shape
                    _spatial_map.grid_features(np.zeros((1, *found)), (maps.shape[1], maps.shape[2]), parity=True)
                except InputError as error:
                    return _Map(None, None, f"{error}; no score")
            units = prod(of_stimulus)
            return _Map(found, unit_blocks.empty(np.arange(units - prod(found), units), len(maps)), "")

        def read(state: _Map, blocks: Sequence[jax.Array], first: int) -> _Map:
            if state.sample is not None:
                unit_blocks.collect(state.sample, blocks, first)
            return state

        def score(state: _Map, summary: Summary) -> Scores:
            ceiling = {"ceiling": np.broadcast_to(ceilings, shape)}
            if state.shape is None or state.sample is None:
                nothing = np.full(shape, np.nan)
                details = {"saliency": nothing, "saliency_quarter": nothing}
                return Scores(nothing, nothing, details | ceiling, (state.why,))
            layer = state.sample.activity.reshape(-1, *state.shape)
            found = beside_each_other(
                [
                    _spatial_map.score_maps(layer, maps[..., own], components=components, parity=parity).scores
                    for own in columns
                ]
            )
            details = {name: values[:, order] for name, values in found.details.items()}
            return Scores(found.value[:, order], found.selection[:, order], details | ceiling, found.notes)

        return Reader(begin, read, score)

    similarity = "mean over rows of correlations between the maps" if parity else "correlation between the maps"
    return Metric(
        "spatial_map",
        _spatial_map.VERSION,
        {"components": components, "parity": parity},
        "neuroid",
        "r",
        "Pearson r over positions of a held-out image, responses predicted from the layer's map by PLS",
        bind,
        own_ceiling=f"largest {similarity} of two neuroids, mean over images",
        beside={"saliency": SALIENCY, "saliency_quarter": f"{SALIENCY}, at a quarter of the size"},
    )


def layer_map(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Height, width and channels of one stimulus's activations; None where they are not a map of several positions.

    Tokens x channels is a map where the tokens, but for leading ones (class, distillation, registers), are a square.
    The map is the last height x width x channels units of the flattened activations.
    """
    if len(shape) == 3:
        height, width, channels = shape
        return (height, width, channels) if height * width > 1 else None
    if len(shape) != 2:
        return None
    tokens, channels = shape
    for leading in LEADING_TOKENS:
        side = isqrt(max(tokens - leading, 0))
        if side > 1 and side * side == tokens - leading:
            return side, side, channels
    return None


def _maps(target: Target, components: int, parity: bool) -> np.ndarray:
    """The target's maps. InputError where it has none, or none to which the settings can be applied."""
    if target.maps is None:
        raise InputError(
            f"metric=spatial_map: recording '{target.recording}' holds no maps of responses over positions of the "
            "images; score one that does, such as dataset=arcaro2020, or use another metric"
        )
    images, height, width, _ = target.maps.shape
    if images < 2:
        raise InputError(f"metric=spatial_map: recording '{target.recording}' has one image; it takes 2 or more")
    if components > (images - 1) * height * width:
        raise InputError(
            f"metric.spatial_map.components={components}: {images - 1} images of {height} x {width} positions give at "
            f"most {(images - 1) * height * width}"
        )
    if parity and height != width:
        raise InputError(
            f"metric.spatial_map.parity=true: the published code takes square grids, and recording "
            f"'{target.recording}' has {height} x {width} positions"
        )
    return target.maps
