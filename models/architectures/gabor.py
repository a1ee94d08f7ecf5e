"""A Gabor wavelet pyramid: the standard model of V1's simple and complex cells. No weights.

Its design is that of Kay, Naselaris, Prenger & Gallant (Nature 2008), who fitted voxels of V1 with it: grey pictures;
1, 2, 4, 8, 16 and 32 cycles per picture; at f cycles an f x f grid of positions; eight orientations; two phases in
quadrature; an isotropic Gaussian envelope that gives every wavelet a bandwidth of one octave. A complex cell is the
root of the summed squares of both phases (the energy model, Adelson & Bergen, JOSA A 1985): 10,920 of them. Simple
cells are the same wavelets half-wave rectified, each phase with both signs: 43,680.

What the publication leaves open is chosen so that responses are contrasts. A wavelet sees the picture minus the mean
grey under its own envelope: uniform pictures give zero, also where the border cuts the envelope. Then it is scaled to
give about 1 to the grating it likes best at full contrast (from 0 to 1), whatever its frequency.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from models.architectures.pixels import luma
from models.parts.activation import root
from models.parts.convolution import PRECISION
from models.port import Port

CYCLES = (1, 2, 4, 8, 16, 32)
"""Per picture."""
ORIENTATIONS = 8
"""k pi / 8, the direction in which the luminance changes, from the columns' axis towards the rows'."""
SPREAD = 3 * np.sqrt(2 * np.log(2)) / (2 * np.pi)
"""Standard deviation of the envelope in wavelengths: half the peak sensitivity at 2/3 and at 4/3 of the frequency."""


class Side(NamedTuple):
    """One axis of the wavelets of one frequency, each a product of a function of the row and one of the column.

    Attributes:
        envelope: Gaussian of sum 1, positions x pixels.
        even, odd: the envelope times the cosine and the sine of the phase, orientations x positions x pixels.
    """

    envelope: np.ndarray
    even: np.ndarray
    odd: np.ndarray


@lru_cache(maxsize=64)
def side(cycles: int, pixels: int, *, rows: bool) -> Side:
    """Computed in float64, returned as float32. Positions are the centres of ``cycles`` equal parts of the axis."""
    pixel = (np.arange(pixels) + 0.5) / pixels
    centre = (np.arange(cycles) + 0.5) / cycles
    offset = pixel - centre[:, None]
    envelope = np.exp(-0.5 * (offset * cycles / SPREAD) ** 2)
    envelope /= envelope.sum(1, keepdims=True)
    angle = np.arange(ORIENTATIONS) * np.pi / ORIENTATIONS
    phase = 2 * np.pi * cycles * (np.sin(angle) if rows else np.cos(angle))[:, None, None] * offset
    sides = envelope, envelope * np.cos(phase), envelope * np.sin(phase)
    return Side(*(part.astype(np.float32) for part in sides))


def responses(grey: jax.Array, cycles: int) -> tuple[jax.Array, jax.Array]:
    """Of the even and of the odd wavelets at one frequency.

    Args:
        grey: images x height x width, from 0 to 1.
        cycles: per picture, along either axis.

    Returns:
        Twice images x rows x columns x orientations; not rectified.
    """
    rows, columns = side(cycles, grey.shape[1], rows=True), side(cycles, grey.shape[2], rows=False)

    def across(image: jax.Array, row: np.ndarray, column: np.ndarray) -> jax.Array:
        """Columns first: fewer values are left for the second product."""
        halfway = jnp.einsum("nyx,ocx->nyoc", image, column, precision=PRECISION)
        return jnp.einsum("nyoc,ory->nrco", halfway, row, precision=PRECISION)

    mean = across(grey, rows.envelope[None], columns.envelope[None])
    even = across(grey, rows.even, columns.even) - across(grey, rows.odd, columns.odd)
    odd = across(grey, rows.even, columns.odd) + across(grey, rows.odd, columns.even)
    # What a wavelet gives to a uniform picture of 1, from the float32 factors in use so that it cancels.
    total = [part.astype(np.float64).sum(-1) for part in (*rows, *columns)]
    _, row_even, row_odd, _, column_even, column_odd = total
    uniform_even = np.einsum("or,oc->rco", row_even, column_even) - np.einsum("or,oc->rco", row_odd, column_odd)
    uniform_odd = np.einsum("or,oc->rco", row_even, column_odd) + np.einsum("or,oc->rco", row_odd, column_even)
    even -= mean * uniform_even.astype(np.float32)
    odd -= mean * uniform_odd.astype(np.float32)
    # A grating from 0 to 1 is a cosine of amplitude 1/2, of which the wavelet's cosine passes half.
    return 4 * even, 4 * odd


class Gabor(nnx.Module):
    """Layers: ``simple`` and ``complex``, images x units.

    Units are ordered by frequency, row, column, orientation; and simple ones last by kind: even (bright centre), its
    negative, odd, its negative.
    """

    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Normalised images (images x height x width x 3, from 0 to 1) -> layer name -> images x units."""
        grey = luma(x)[..., 0]
        simple, energy = [], []
        for cycles in CYCLES:
            even, odd = responses(grey, cycles)
            simple.append(jax.nn.relu(jnp.stack([even, -even, odd, -odd], -1)).reshape(len(x), -1))
            energy.append(root(even**2 + odd**2).reshape(len(x), -1))
        return {"simple": jnp.concatenate(simple, 1), "complex": jnp.concatenate(energy, 1)}


def gabor() -> Port:
    """No parameters."""
    return Port(build=lambda rngs: Gabor(), layers=("simple", "complex"))
