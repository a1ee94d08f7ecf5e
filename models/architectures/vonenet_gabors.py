"""The Gabor filters of VOneNet's front end, drawn from what was measured in macaque V1.

Distributions as published (Dapello, Marques et al., NeurIPS 2020): orientation after De Valois, Yund & Hepler (1982),
spatial frequency after De Valois, Albrecht & Thorell (1982), sizes in wavelengths after Ringach (2002), correlated with
frequency after Schiller, Finlay & Volman (1976), phase uniform. The draws are the authors' own, in their order and
from their seed, so that every filter has the frequency, orientation, phase and size of theirs. Which of red, green and
blue a filter sees was drawn by PyTorch and cannot be repeated here.
"""

from math import erf
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

SEED = 0
CORRELATION = 0.75
KERNEL = 25
PIXELS_PER_DEGREE = 224 / 8
"""As trained: pictures of 224 pixels cover 8 degrees of the visual field."""

# Bin edges and counts. Degrees:
_ORIENTATION = (-22.5, 22.5, 67.5, 112.5, 157.5), (66, 49, 77, 54)
# Cycles per degree, up to the last edge not above 6:
_FREQUENCY = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6), (4, 4, 8, 25, 32, 26, 28)
# Standard deviation of the envelope in wavelengths, across the stripes (rows) and along them (columns):
_SIZE = np.logspace(-1, 0.2, 6)
_SIZES = np.array([[2, 0, 1, 0, 0], [8, 9, 4, 1, 0], [1, 2, 19, 17, 3], [0, 0, 1, 7, 4], [0, 0, 0, 0, 0]])


class Parameters(NamedTuple):
    """Of each filter: cycles per degree, radians, radians, and two standard deviations in wavelengths."""

    frequency: np.ndarray
    orientation: np.ndarray
    phase: np.ndarray
    across: np.ndarray
    along: np.ndarray


def parameters(count: int) -> Parameters:
    """Those of the first ``count`` filters are not those of a smaller bank: the draws interleave."""
    random = np.random.RandomState(SEED)
    phase = 2 * np.pi * random.rand(count)
    orientation = np.radians(_quantile(random.rand(count), *_ORIENTATION)) % np.pi
    normal = random.multivariate_normal([0, 0], [[1, CORRELATION], [CORRELATION, 1]], count)
    uniform = 0.5 + 0.5 * np.vectorize(erf)(normal / np.sqrt(2))
    across = 10 ** _quantile(uniform[:, 0], np.log10(_SIZE), _SIZES.sum(1))
    counts = _SIZES[np.searchsorted(_SIZE, across) - 1]
    pairs = zip(random.rand(count), counts, strict=True)
    along = 10 ** np.array([_quantile(value, np.log10(_SIZE), row) for value, row in pairs])
    frequency = 2 ** _quantile(uniform[:, 1], np.log2(_FREQUENCY[0]), _FREQUENCY[1])
    return Parameters(frequency, orientation, phase, across, along)


def filters(count: int, quadrature: bool) -> np.ndarray:
    """The filters of :func:`parameters`, or those a quarter of a cycle ahead; float32, height x width x count.

    Angles are from the rows' axis (down) towards the columns' (right), as the authors' code has them.
    """
    frequency, orientation, phase, across, along = (part.astype(np.float64) for part in parameters(count))
    frequency = frequency / PIXELS_PER_DEGREE
    across, along = across / frequency, along / frequency
    reach = np.arange(KERNEL) - KERNEL // 2
    down, right = reach[:, None, None], reach[None, :, None]
    u = down * np.cos(orientation) + right * np.sin(orientation)
    v = right * np.cos(orientation) - down * np.sin(orientation)
    envelope = np.exp(-0.5 * ((u / across) ** 2 + (v / along) ** 2)) / (2 * np.pi * across * along)
    wave = np.cos(2 * np.pi * frequency * u + phase + (np.pi / 2 if quadrature else 0))
    return (envelope * wave).astype(np.float32)


def _quantile(probability: np.ndarray, edges: ArrayLike, counts: ArrayLike) -> np.ndarray:
    """Of a histogram, uniform inside its bins."""
    cumulated = np.concatenate([[0], np.cumsum(counts)])
    return np.interp(probability, cumulated / cumulated[-1], np.asarray(edges))
