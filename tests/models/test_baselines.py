"""Pixels and Gabor wavelets: against their definitions, written out one unit at a time, and what must hold of them."""

import jax
import numpy as np
import pytest

from engine.errors import InputError
from models import zoo
from models.architectures.gabor import CYCLES, ORIENTATIONS, Gabor
from models.architectures.pixels import Pixels
from models.port import Choice

SIZE = 64
COMPLEX = sum(cycles**2 for cycles in CYCLES) * ORIENTATIONS


def position(cycles: int, row: int, column: int, orientation: int) -> int:
    """Place of a complex cell in its layer."""
    before = sum(lower**2 for lower in CYCLES if lower < cycles)
    return (before + row * cycles + column) * ORIENTATIONS + orientation


gabor = jax.jit(lambda picture: Gabor()(picture))


def cells(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Simple (units x 4) and complex cells to one grey picture from 0 to 1."""
    picture = np.repeat(grey[None, :, :, None], 3, -1).astype(np.float32)
    layers = gabor(picture)
    return np.asarray(layers["simple"][0]).reshape(-1, 4), np.asarray(layers["complex"][0])


def wavelet(
    height: int, width: int, cycles: int, row: int, column: int, orientation: int
) -> tuple[np.ndarray, np.ndarray]:
    """Even and odd, as pictures in float64."""
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    y, x = y - (row + 0.5) / cycles, x - (column + 0.5) / cycles
    # One octave between the half-height points of a Gaussian spectrum: cycles / 3 from its centre.
    spread = np.sqrt(2 * np.log(2)) / (2 * np.pi * cycles / 3)
    envelope = np.exp(-(x**2 + y**2) / (2 * spread**2))
    envelope /= envelope.sum()
    angle = np.pi * orientation / ORIENTATIONS
    phase = 2 * np.pi * cycles * (x * np.cos(angle) + y * np.sin(angle))
    even, odd = (4 * envelope * wave for wave in (np.cos(phase), np.sin(phase)))
    return even - even.sum() * envelope, odd - odd.sum() * envelope


def grating(cycles: float, orientation: float, phase: float = 0.0) -> np.ndarray:
    y, x = np.meshgrid(*[(np.arange(SIZE) + 0.5) / SIZE] * 2, indexing="ij")
    angle = np.pi * orientation / ORIENTATIONS
    return 0.5 + 0.5 * np.cos(2 * np.pi * cycles * (x * np.cos(angle) + y * np.sin(angle)) + phase)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 47)])
def test_units_equal_their_definition(height: int, width: int) -> None:
    grey = np.random.default_rng(0).uniform(size=(height, width))
    simple, energy = cells(grey)
    assert energy.shape == (COMPLEX,)
    for unit in [(1, 0, 0, 0), (1, 0, 0, 3), (2, 1, 0, 5), (4, 0, 3, 2), (8, 5, 2, 7), (16, 0, 15, 4), (16, 9, 9, 1)]:
        even, odd = (float((grey * kernel).sum()) for kernel in wavelet(height, width, *unit))
        place = position(*unit)
        wanted = np.maximum([even, -even, odd, -odd], 0)
        np.testing.assert_allclose(simple[place], wanted, rtol=0, atol=3e-6)
        np.testing.assert_allclose(energy[place], np.hypot(even, odd), rtol=0, atol=3e-6)


@pytest.mark.parametrize("cycles", [4, 8, 16])
@pytest.mark.parametrize("orientation", [0, 1, 3, 4, 6])
def test_a_grating_drives_the_cells_of_its_orientation_and_frequency_most(cycles: int, orientation: int) -> None:
    _, energy = cells(grating(cycles, orientation))
    assert CYCLES[int(np.searchsorted(np.cumsum(np.square(CYCLES)) * ORIENTATIONS, energy.argmax(), "right"))] == cycles
    assert energy.argmax() % ORIENTATIONS == orientation
    inside = [position(cycles, row, column, orientation) for row in (1, 2) for column in (1, 2)]
    np.testing.assert_allclose(energy[inside], 1, atol=0.02)


def test_complex_cells_do_not_see_phase_and_simple_cells_do() -> None:
    place = position(8, 3, 4, 2)
    seen = [cells(grating(8, 2, phase)) for phase in np.linspace(0, 2 * np.pi, 12, endpoint=False)]
    energy = np.array([energy[place] for _, energy in seen])
    np.testing.assert_allclose(energy, energy.mean(), rtol=0.01)
    simple = np.array([simple[place] for simple, _ in seen])
    assert simple.max(0).min() > 0.95  # every kind has a phase that it likes ...
    assert simple.min(0).max() == 0  # ... and one to which it is silent


def test_inverted_contrast_swaps_signs() -> None:
    grey = np.random.default_rng(1).uniform(size=(SIZE, SIZE))
    (simple, energy), (inverted, same) = cells(grey), cells(1 - grey)
    np.testing.assert_allclose(inverted, simple[:, [1, 0, 3, 2]], atol=3e-6)
    np.testing.assert_allclose(same, energy, atol=3e-6)


def test_turning_the_picture_turns_the_orientation() -> None:
    grey = np.random.default_rng(2).uniform(size=(SIZE, SIZE))
    (_, upright), (_, turned) = cells(grey), cells(grey.T)
    for orientation in range(ORIENTATIONS):
        there = (ORIENTATIONS // 2 - orientation) % ORIENTATIONS
        np.testing.assert_allclose(turned[position(8, 2, 5, there)], upright[position(8, 5, 2, orientation)], atol=3e-6)


def test_uniform_pictures_give_nothing() -> None:
    for grey in (0.0, 0.3, 1.0):
        assert cells(np.full((SIZE, SIZE), grey))[1].max() < 3e-6


def test_pixels() -> None:
    picture = np.random.default_rng(0).uniform(size=(2, 5, 6, 3)).astype(np.float32)
    layers = Pixels()(picture)
    np.testing.assert_array_equal(layers["pixels"], picture)
    np.testing.assert_allclose(layers["pixels.grey"], (picture @ [0.299, 0.587, 0.114])[..., None], atol=1e-6)


def test_in_the_zoo() -> None:
    assert zoo.layer_shapes("pixels") == {"pixels": (224, 224, 3), "pixels.grey": (224, 224, 1)}
    # f x f positions, 8 orientations (Kay et al. 2008); four kinds of simple cell.
    assert zoo.layer_shapes("gabor") == {"simple": (4 * 10_920,), "complex": (10_920,)}
    for name in ("pixels", "gabor"):
        assert zoo.parameter_count(name) == 0
        model = zoo.load(name)
        assert model.weights_digest == "none"
        pictures = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
        layers = jax.jit(model.apply)(model.params, pictures)
        assert {layer: found.dtype for layer, found in layers.items()} == dict.fromkeys(layers, np.float32)
        with pytest.raises(InputError, match="takes no weights"):
            zoo.load(name, Choice("weights.npz"))
