"""Spatial maps: how well a layer's map of an image predicts every neuron's map of responses over that image.

Linsley et al. (Performance-optimized deep neural networks are evolving into worse models of inferotemporal visual
cortex, NeurIPS 2023). A layer's maps are resized to the grid of positions at which the image was shown; rows are
positions of images, leave-one-image-out, partial least squares of 25 components (no scaling, tolerance 1e-4) from
channels to all neurons jointly; the score is the Pearson correlation over positions, per image and neuron. The paper
takes the median over neurons, then the mean over images, then the best layer - on the same images, which is optimistic.

``parity`` repeats what the published code does, against what it says:
- enlarged maps lose their last channel (it stays zero);
- the ceiling leaves the last neuron out, correlates row by row, and is never below zero.
(It also standardises images by the mean in place of the standard deviation, and divides its channels into arrays one
off: see ``engine.spatial_maps_file``. Misplaced brackets in its ceiling add a constant, which changes no correlation.)

Cost for n rows and c channels: n² c flops for the kernel, and that of ``engine.solvers.nipals``; 8 n² bytes three times
(n = 4046 for 14 images of 17 x 17: 0.4 GB).
"""

from itertools import pairwise
from typing import NamedTuple

import jax
import numpy as np
from scipy.stats import rankdata

from engine.errors import InputError
from engine.metrics.scores import Scores
from engine.solvers.folds import Split
from engine.solvers.pls import kernel_pls

VERSION = "1"  # of the numbers; part of every result's key
TOL = 1e-4  # of the authors' PLSRegression
WIDE = 600  # channels above which neighbouring ones are averaged


class MapRegression(NamedTuple):
    """Attributes:
    scores: images x neurons, with ``saliency`` and ``saliency_quarter`` (one value per image, repeated).
    predictions: image x x x y x neuron.
    """

    scores: Scores
    predictions: np.ndarray


def score_maps(
    layer: np.ndarray, responses: np.ndarray, *, components: int = 25, parity: bool = False
) -> MapRegression:
    """Scores of one layer.

    Equals ``PLSRegression(components, scale=False, tol=1e-4)`` fitted on all images but one, for each image.

    Args:
        layer: images x height x width x channels.
        responses: images x x x y x neurons, mean over a time window, none missing, lying as the images do.
        components: fewer than positions of the other images; where channels are fewer, all they hold.
        parity: as the published code does.

    Returns:
        Scores images x neurons, Pearson r over positions, NaN where a neuron's map is constant. There is no
        ``selection``: nothing here may choose a layer. ``saliency`` is the Spearman correlation of the mean over
        neurons of predicted and measured map, ``saliency_quarter`` the same of maps of a quarter of the size.

    Raises:
        InputError: shapes or values that cannot be used; with ``parity``, channels that the published code refuses.
    """
    layer, responses = np.asarray(layer), np.asarray(responses, np.float64)
    if layer.ndim != 4 or responses.ndim != 4 or len(layer) != len(responses) or len(layer) < 2:
        raise InputError(
            f"wanted a layer of images x height x width x channels and responses of as many images (2 or more) x x x y "
            f"x neurons, got {layer.shape} and {responses.shape}"
        )
    if not np.isfinite(responses).all():
        raise InputError(
            f"{(~np.isfinite(responses)).any(axis=(0, 1, 2)).sum()} of {responses.shape[-1]} neurons have maps with "
            "missing values; choose neurons with all responses"
        )
    if not np.isfinite(layer).all():
        raise InputError("the layer's maps are not finite; check the layer's activations")
    images, width, height, neurons = responses.shape
    features = grid_features(layer, (width, height), parity=parity).reshape(images * width * height, -1)
    rows = np.arange(len(features)).reshape(images, -1)
    splits = [Split(np.delete(rows, image, axis=0).ravel(), own, None) for image, own in enumerate(rows)]
    features -= features.mean(axis=0)
    with jax.enable_x64(True):
        found = kernel_pls(
            features @ features.T,
            responses.reshape(-1, neurons),
            splits,
            components=components,
            predictions=True,
            tol=TOL,
        )
    predictions = np.stack(found.predictions or []).reshape(responses.shape)
    saliency = saliency_scores(predictions, responses, parity=parity)
    details = {
        name: np.repeat(value[:, None], neurons, axis=1)
        for name, value in zip(("saliency", "saliency_quarter"), saliency, strict=True)
    }
    flat = int((np.ptp(responses.reshape(-1, neurons), axis=0) == 0).sum())
    notes = (f"{flat} of {neurons} neurons have constant maps and no score",) if flat else ()
    value = np.asarray(found.pearson)
    return MapRegression(Scores(value, np.full_like(value, np.nan), details, notes), predictions)


def grid_features(layer: np.ndarray, grid: tuple[int, int], *, parity: bool = False) -> np.ndarray:
    """Maps on the grid of positions, from 0 to 1 in every image: images x grid x channels, float64.

    Of more than 600 channels three neighbours are averaged, or four where that does not divide them; where neither
    does, all are kept (the published code refuses them). A map no larger than the grid is enlarged bilinearly, as
    ``tf.image.resize`` does; a larger one is averaged over blocks, of equal size up to whole numbers.
    """
    layer = np.asarray(layer, np.float64)
    images, height, width, channels = layer.shape
    if channels > WIDE:
        group = next((size for size in (3, 4) if channels % size == 0), None)
        if group is None and parity:
            raise InputError(f"the published code refuses {channels} channels: neither 3 nor 4 divide them")
        layer = layer.reshape(images, height, width, -1, group or 1).mean(axis=-1)
    # The published code knows square maps only, whose sides are both enlarged or both averaged.
    if parity and (height != width or grid[0] != grid[1]):
        raise InputError(f"the published code takes square maps and grids, got {height} x {width} and {grid}")
    down, across = resizing(height, grid[0]), resizing(width, grid[1])
    resized = np.einsum("ah,nhwc,bw->nabc", down, layer, across, optimize=True)
    if parity and height <= grid[0]:
        if resized.shape[-1] < 4:
            raise InputError(f"the published code enlarges 4 or more channels, got {channels}")
        resized[..., -1] = 0
    low = resized.min(axis=(1, 2, 3), keepdims=True)
    spread = resized.max(axis=(1, 2, 3), keepdims=True) - low
    return np.where(spread > 0, (resized - low) / np.where(spread > 0, spread, 1), 0)


def resizing(size: int, grid: int) -> np.ndarray:
    """Grid x size: weights of the pixels of one side; bilinear up to the grid's size, else means over blocks."""
    weights = np.zeros((grid, size))
    if size > grid:
        edges = [int(i * size / grid) for i in range(grid + 1)]
        for i, (start, stop) in enumerate(pairwise(edges)):
            weights[i, start:stop] = 1 / (stop - start)
        return weights
    return bilinear(size, grid)


def bilinear(size: int, grid: int) -> np.ndarray:
    """Grid x size: weights of bilinear sampling at pixel centres without smoothing, edges repeated."""
    weights = np.zeros((grid, size))
    places = np.clip((np.arange(grid) + 0.5) * size / grid - 0.5, 0, size - 1)
    below = np.floor(places).astype(int)
    above = np.minimum(below + 1, size - 1)
    np.add.at(weights, (np.arange(grid), below), 1 - (places - below))
    np.add.at(weights, (np.arange(grid), above), places - below)
    return weights


def saliency_scores(
    predictions: np.ndarray, responses: np.ndarray, *, parity: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Spearman correlation, for each image, of the neurons' mean predicted and mean measured map: at full size, and
    at a quarter of it (averaged over blocks; the published code samples it bilinearly). NaN where a map is constant.

    Args:
        predictions, responses: images x x x y x neurons.
        parity: as the published code does.
    """
    pair = [np.asarray(values, np.float64).mean(axis=-1) for values in (predictions, responses)]
    smaller = bilinear if parity else resizing
    sides = [smaller(size, max(1, size // 4)) for size in pair[0].shape[1:]]
    quarter = [np.einsum("ax,nxy,by->nab", sides[0], values, sides[1]) for values in pair]
    full, coarse = (
        np.array([_spearman(a.ravel(), b.ravel()) for a, b in zip(*each, strict=True)]) for each in (pair, quarter)
    )
    return full, coarse


def ceiling(responses: np.ndarray, *, parity: bool = False) -> np.ndarray:
    """The best that one neuron's map does for another's, per image; the paper takes the mean over images.

    For each image the largest correlation between the maps of two neurons, over all positions, as scores are. With
    ``parity`` the published number: mean over x of the correlations along y, the last neuron left out, at least 0.
    A maximum over pairs grows with the number of neurons and says nothing about repetitions, which the data do not
    hold. NaN (0 with ``parity``) where no pair has a correlation.

    Args:
        responses: images x x x y x neurons.
    """
    responses = np.asarray(responses, np.float64)
    if responses.ndim != 4 or responses.shape[-1] < 2 + parity:
        raise InputError(f"wanted images x x x y x neurons ({2 + parity} or more) for a ceiling, got {responses.shape}")
    images, width, height, neurons = responses.shape
    if parity:
        neurons -= 1
        rows = responses[..., :-1]
    else:
        rows = responses.reshape(images, 1, width * height, neurons)
    best = np.full(images, 0.0 if parity else np.nan)
    others = ~np.eye(neurons, dtype=bool)
    for image, own in enumerate(rows):
        shifted = own - own.mean(axis=1, keepdims=True)
        length = np.linalg.norm(shifted, axis=1, keepdims=True)
        constant = np.ptp(own, axis=1, keepdims=True) == 0
        unit = np.where(constant, np.nan, shifted / np.where(constant, 1, length))
        pairs = np.einsum("xyi,xyj->xij", unit, unit).mean(axis=0)[others]
        known = pairs[np.isfinite(pairs)]
        if known.size:
            best[image] = np.fmax(best[image], known.max())
    return best


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    ranks = [rankdata(values) for values in (a, b)]
    shifted = [values - values.mean() for values in ranks]
    scale = np.sqrt((shifted[0] ** 2).sum() * (shifted[1] ** 2).sum())
    return float(shifted[0] @ shifted[1] / scale) if scale > 0 else float("nan")
