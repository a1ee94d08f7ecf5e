"""Simulated neurons: what each population computes from an image, and how it fires.

V1  Gabor energy at one place, orientation and spatial frequency (Adelson & Bergen 1985).
V4  conjunctions within a receptive field: two orientations side by side (corners, curves; Pasupathy & Connor
    2001), an orientation with a colour.
IT  which shapes the scene shows wherever they lie, the best match of a conjunction anywhere, and the habitat.

Every noise-free response is a floor plus a sum of the region's features with weights that are not negative. So
a linear regression on the features can reach the ceiling that the noise leaves.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import fft

from engine.datasets.sim_images import FAMILIES, HABITATS, PIXELS, Scenes

DEGREES = 8.0  # width of an image
REGIONS = ("V1", "V4", "IT")
ORIENTATIONS = 8  # of the maps V4 and IT build on
BANDS = (0.8, 1.6)  # their spatial frequencies, cycles per degree
GRID = 16  # the maps are pooled to GRID x GRID
PLACES = 12  # receptive fields of the V4 population
MATCHES = 6  # conjunctions IT looks for anywhere
MOTIFS = 4  # conjunctions computed at each V4 place
OCTAVE = 0.562  # standard deviation of a Gabor's window, in periods: bandwidth of one octave
FLOOR = 0.5  # spikes per presentation
RATES = (1.5, 8.0)  # spikes per presentation, mean over stimuli
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Populations:
    """The neuroids and what they do.

    Attributes:
        neuroids: table as Recording holds it; x and y are the centre of the receptive field in degrees from
            the centre of the image (y upwards), orientation is that of the preferred bar in degrees
            anticlockwise from horizontal, frequency is in cycles per degree.
        features: region -> stimuli x features.
        truth: stimuli x neuroids, expected spike count.
    """

    neuroids: pd.DataFrame
    features: dict[str, np.ndarray]
    truth: np.ndarray


def respond(scenes: Scenes, neurons: int, seed: int) -> Populations:
    """Shows the scenes to ``neurons`` neuroids of each region."""
    rng = np.random.default_rng([seed, 2])
    cells = gabor_cells(neurons, rng)
    energy, colour = _maps(scenes.images)
    v4, places = _v4_features(energy, colour, rng)
    features = {
        "V1": gabor_energy(scenes.images, cells),
        "V4": v4,
        "IT": _it_features(energy, colour, scenes, rng),
    }
    at_place = np.arange(neurons) % PLACES
    own = at_place[None, :] == np.repeat(np.arange(PLACES), MOTIFS)[:, None]
    weights = {
        "V1": np.eye(neurons),
        "V4": own * rng.gamma(0.7, size=own.shape),
        "IT": _it_weights(neurons, rng),
    }
    truth = np.concatenate([_rates(features[region], weights[region], rng) for region in REGIONS], axis=1)
    tables = [cells, pd.DataFrame(places[at_place], columns=["x", "y"]), pd.DataFrame(index=range(neurons))]
    for region, table in zip(REGIONS, tables, strict=True):
        table.insert(0, "region", region)
        table.insert(1, "subject", "simulated")
        table.index = pd.Index([f"sim-{region}-{i:03d}" for i in range(neurons)], name="neuroid")
    return Populations(pd.concat(tables), features, truth)


def spike_counts(truth: np.ndarray, repetitions: int, rng: np.random.Generator) -> np.ndarray:
    """Independent Poisson counts, float32, repetitions x stimuli x neuroids: the variance equals the mean."""
    return rng.poisson(truth, (repetitions, *truth.shape)).astype(np.float32)


def true_ceiling(truth: np.ndarray, repetitions: int) -> np.ndarray:
    """Correlation over stimuli of the averaged spike count with the truth, expected per neuroid.

    sqrt(v / (v + m / R)) with v the variance and m the mean over stimuli of the expected count (Poisson: the
    mean is the noise variance), R the number of repetitions.
    """
    signal = truth.var(axis=0)
    return np.sqrt(signal / (signal + truth.mean(axis=0) / repetitions))


def gabor_cells(count: int, rng: np.random.Generator) -> pd.DataFrame:
    """A table of x, y, orientation and frequency, drawn evenly (frequency: evenly on a log scale)."""
    return pd.DataFrame(
        {
            "x": rng.uniform(-2.5, 2.5, count),
            "y": rng.uniform(-2.5, 2.5, count),
            "orientation": rng.uniform(0, 180, count),
            "frequency": np.exp(rng.uniform(np.log(0.7), np.log(2.5), count)),
        }
    )


def gabor_energy(images: np.ndarray, cells: pd.DataFrame) -> np.ndarray:
    """Root of the summed squares of an even and an odd Gabor, stimuli x cells; zero on a uniform image.

    images: uint8, n x height x width x 3, DEGREES wide.
    """
    grey = _grey(images)
    height, width = grey.shape[1:]
    pixels = width / DEGREES
    column, row = np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2
    out = np.empty((len(images), len(cells)))
    table = cells[["x", "y", "orientation", "frequency"]].to_numpy(np.float64)
    for i, (centre_x, centre_y, orientation, frequency) in enumerate(table):
        x, y = column / pixels - centre_x, -row / pixels - centre_y
        spread = OCTAVE / frequency
        rows, columns = np.abs(y) < 3 * spread, np.abs(x) < 3 * spread
        x, y = x[columns][None, :], y[rows][:, None]
        angle = np.deg2rad(orientation)
        window = np.exp(-(x**2 + y**2) / (2 * spread**2))
        window /= window.sum()
        wave = np.exp(2j * np.pi * frequency * (y * np.cos(angle) - x * np.sin(angle)))
        gabor = window * (wave - (window * wave).sum())
        pair = np.stack([gabor.real, gabor.imag]).astype(np.float32)
        patch = grey[:, rows][:, :, columns]
        # einsum: its order of summation does not depend on the number of threads
        out[:, i] = np.hypot(*np.einsum("nyx,pyx->pn", patch, pair).astype(np.float64))
    return out


def _grey(images: np.ndarray) -> np.ndarray:
    return np.einsum("nyxc,c->nyx", images, _LUMINANCE / 255, dtype=np.float32)


def _maps(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maps on the coarse grid.

    Returns:
        Gabor amplitude over its mean over orientations, images x (bands x orientations) x GRID x GRID;
        blue, yellow, red and green (rectified differences), images x 4 x GRID x GRID.
    """
    size = PIXELS // 2
    corners = [images[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    half = np.add.reduce(corners, dtype=np.float32) / np.float32(4 * 255)
    red, green, blue = np.moveaxis(half, -1, 0)
    pairs = (blue - (red + green) / 2, red - green)
    colour = np.stack([np.maximum(sign * pair, 0) for pair in pairs for sign in (1, -1)], axis=1)

    fy, fx = np.fft.fftfreq(size, DEGREES / size)[:, None], np.fft.fftfreq(size, DEGREES / size)[None, :]
    filters = []
    for band in BANDS:
        for angle in np.arange(ORIENTATIONS) * np.pi / ORIENTATIONS:
            # The bar runs along ``angle`` with y upwards, rows run downwards.
            off = np.hypot(fx + band * np.sin(angle), fy + band * np.cos(angle))
            filters.append(np.exp(-2 * (np.pi * OCTAVE / band * off) ** 2))
    bank = np.stack(filters).astype(np.float32)
    bank[:, 0, 0] = 0
    grey = np.einsum("nyxc,c->nyx", half, _LUMINANCE)
    energy = np.empty((len(images), len(bank), GRID, GRID), np.float32)
    for i, spectrum in enumerate(fft.fft2(grey)):
        energy[i] = _pool(np.abs(fft.ifft2(spectrum * bank)))
    bands = energy.reshape(len(images), len(BANDS), ORIENTATIONS, GRID, GRID)
    bands /= 0.02 + bands.mean(axis=2, keepdims=True)
    return energy, _pool(colour)


def _pool(maps: np.ndarray) -> np.ndarray:
    """Mean over square blocks of the last two axes, to GRID x GRID."""
    block = maps.shape[-1] // GRID
    return maps.reshape(*maps.shape[:-2], GRID, block, GRID, block).mean(axis=(-3, -1))


def _motif(energy: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One conjunction everywhere, images x GRID x GRID: a corner or bend, or an oriented, coloured edge."""
    band, first = rng.integers(len(BANDS)), rng.integers(ORIENTATIONS)
    turn, shift, hue = rng.integers(2, 7), rng.integers(-1, 2, 2), rng.integers(colour.shape[1])
    oriented = energy[:, band * ORIENTATIONS + first]
    if rng.random() < 0.5:
        return oriented * colour[:, hue]
    other = energy[:, band * ORIENTATIONS + (first + turn) % ORIENTATIONS]
    return np.roll(oriented, tuple(shift), (1, 2)) * np.roll(other, tuple(-shift), (1, 2))


def _v4_features(energy: np.ndarray, colour: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """MOTIFS conjunctions at each place, stimuli x (places x motifs), and the places in degrees (x, y)."""
    places = rng.uniform(-2.2, 2.2, (PLACES, 2))
    centre = (np.arange(GRID) + 0.5) * DEGREES / GRID - DEGREES / 2
    features = []
    for x, y in places:
        column, row = np.exp(-((centre - x) ** 2) / 2), np.exp(-((-centre - y) ** 2) / 2)
        window = np.outer(row, column) / (row.sum() * column.sum())
        for _ in range(MOTIFS):
            motif = _motif(energy, colour, rng).astype(np.float64)
            features.append(np.einsum("nyx,yx->n", motif, window))
    return np.stack(features, axis=1), places


def _it_features(energy: np.ndarray, colour: np.ndarray, scenes: Scenes, rng: np.random.Generator) -> np.ndarray:
    """Visible shapes, the shape on top, best matches of conjunctions away from the border, habitat."""
    inside = slice(2, GRID - 2)
    best = [_motif(energy, colour, rng)[:, inside, inside].max(axis=(1, 2)) for _ in range(MATCHES)]
    return np.concatenate(
        [
            scenes.share,
            np.eye(len(FAMILIES))[scenes.family],
            np.stack(best, axis=1).astype(np.float64),
            np.eye(len(HABITATS))[scenes.habitat],
        ],
        axis=1,
    )


def _it_weights(neurons: int, rng: np.random.Generator) -> np.ndarray:
    """Three shapes and one of the rest for each neuroid, features x neuroids."""
    shapes = 2 * len(FAMILIES)
    rest = MATCHES + len(HABITATS)
    weights = np.zeros((shapes + rest, neurons))
    for i in range(neurons):
        chosen = np.append(rng.choice(shapes, 3, replace=False), shapes + rng.integers(rest))
        weights[chosen, i] = rng.gamma(2.0, size=4)
    return weights


def _rates(features: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """FLOOR plus the weighted sum of the features, each from its minimum and in its standard deviation.

    Scaled so that the mean over stimuli lies in RATES.
    """
    spread = features.std(axis=0)
    drive = np.einsum("sf,fn->sn", (features - features.min(axis=0)) / np.where(spread > 0, spread, 1), weights)
    mean = np.exp(rng.uniform(np.log(RATES[0]), np.log(RATES[1]), weights.shape[1]))
    return FLOOR + drive * (mean - FLOOR) / drive.mean(axis=0)
