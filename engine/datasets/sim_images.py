"""Photograph-like scenes, drawn from a seed: shapes of all sizes that occlude each other, textured and shaded.

Dead-leaves images (Matheron 1968; Lee, Mumford & Huang 2001) share with photographs the occlusion, the edges
and, with radii distributed as r^-3, the 1/f amplitude spectrum. Here the leaves come in a few shape families,
their colours from the palette of a habitat, and one large shape of a known family lies on top of the rest.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

PIXELS = 128  # width and height of an image
OVERSAMPLING = 2  # drawn at twice the size, then averaged, so that edges are not jagged
FAMILIES = ("round", "angular", "star", "lobed", "elongated")
LEAVES = 90
VERTICES = 40
RADII = (0.025, 0.45)  # of the image width

# Per habitat: mean and spread of (lightness, blue-yellow, red-green). Spreads fall in that order, as in
# photographs.
HABITATS = ("forest", "autumn", "coast", "street", "meadow")
_MEANS = np.array(
    [[0.36, -0.10, -0.10], [0.45, -0.16, 0.10], [0.58, 0.10, -0.01], [0.46, 0.0, 0.01], [0.50, -0.14, -0.07]]
)
_SPREADS = np.array(
    [[0.17, 0.05, 0.03], [0.19, 0.06, 0.05], [0.19, 0.10, 0.02], [0.22, 0.03, 0.02], [0.17, 0.09, 0.08]]
)
# (lightness, blue-yellow, red-green) -> RGB
_RGB = np.array([[1.0, -0.45, 0.75], [1.0, -0.25, -0.55], [1.0, 1.0, 0.05]], np.float32)
_FOREGROUND, _BACKGROUND = LEAVES, LEAVES + 1


@dataclass(frozen=True)
class Scenes:
    """The images and what is in them.

    Attributes:
        images: uint8, images x PIXELS x PIXELS x 3.
        share: images x families, the part of the image that shows each family; the rest is background.
        family: per image, index into FAMILIES of the large shape on top.
        habitat: per image, index into HABITATS.
    """

    images: np.ndarray
    share: np.ndarray
    family: np.ndarray
    habitat: np.ndarray


def draw(count: int, seed: int) -> Scenes:
    """The first ``count`` scenes of a seed; a scene does not depend on how many are drawn."""
    textures = _textures(np.random.default_rng([seed, 0]))
    images = np.empty((count, PIXELS, PIXELS, 3), np.uint8)
    share = np.empty((count, len(FAMILIES)))
    family, habitat = np.empty(count, np.int64), np.empty(count, np.int64)
    for i in range(count):
        rng = np.random.default_rng([seed, 1, i])
        family[i], habitat[i] = rng.integers(len(FAMILIES)), rng.integers(len(HABITATS))
        images[i], share[i] = _scene(rng, int(family[i]), int(habitat[i]), textures)
    return Scenes(images, share, family, habitat)


def _scene(rng: np.random.Generator, family: int, habitat: int, textures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One image and the share of its area by family."""
    families, centres, radii, outlines = _leaves(rng, family)
    size = PIXELS * OVERSAMPLING
    canvas = Image.new("L", (size, size), _BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    for leaf, outline in enumerate((outlines * size).reshape(len(outlines), -1).tolist()):
        pen.polygon(outline, fill=leaf)
    label = np.asarray(canvas)
    area = np.bincount(label.ravel(), minlength=_BACKGROUND + 1)
    share = np.bincount(families, weights=area[: LEAVES + 1], minlength=len(FAMILIES)) / size**2
    return _paint(rng, label, habitat, centres, radii, textures), share


def _leaves(rng: np.random.Generator, family: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Family, centre, radius and outline (leaves x vertices x 2) of each leaf, from back to front.

    In image widths. A few families dominate each scene; the last leaf is the large one on top.
    """
    families = rng.choice(len(FAMILIES), LEAVES, p=rng.dirichlet(np.full(len(FAMILIES), 0.5)))
    families = np.append(families, family)
    low, high = RADII[0] ** -2, RADII[1] ** -2
    radii = (low + rng.random(LEAVES + 1) * (high - low)) ** -0.5  # density r^-3
    centres = rng.uniform(-0.05, 1.05, (LEAVES + 1, 2))
    radii[-1], centres[-1] = rng.uniform(0.16, 0.28), rng.uniform(0.3, 0.7, 2)
    turn, corners = rng.uniform(0, 2 * np.pi, LEAVES + 1), rng.integers(3, 6, LEAVES + 1)
    aspect = np.where(families == 4, rng.uniform(0.12, 0.22, LEAVES + 1), rng.uniform(0.65, 1.0, LEAVES + 1))

    angle = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)[None, :]
    sides = corners[:, None]
    wedge = np.mod(angle, 2 * np.pi / sides) - np.pi / sides
    spikes = sides + 2
    profile = np.choose(
        families[:, None],
        [
            np.ones((LEAVES + 1, VERTICES)),
            1.25 * np.cos(np.pi / sides) / np.cos(wedge),
            0.42 + 0.9 * np.abs(np.mod(angle * spikes / np.pi, 2) - 1),
            1 + 0.28 * np.cos(sides * angle),
            np.full((LEAVES + 1, VERTICES), 1.7),
        ],
    )
    along, across = profile * np.cos(angle), profile * np.sin(angle) * aspect[:, None]
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    shape = np.stack([cos * along - sin * across, sin * along + cos * across], axis=-1)
    return families, centres, radii, centres[:, None, :] + radii[:, None, None] * shape


def _paint(
    rng: np.random.Generator,
    label: np.ndarray,
    habitat: int,
    centres: np.ndarray,
    radii: np.ndarray,
    textures: np.ndarray,
) -> np.ndarray:
    """Colours, textures and shades each leaf, and averages to the final size."""
    size, surfaces = len(label), _BACKGROUND + 1
    palette = rng.normal(_MEANS[habitat], _SPREADS[habitat], (5, 3))
    colour = palette[rng.integers(5, size=surfaces)] + rng.normal(0, 0.35, (surfaces, 3)) * _SPREADS[habitat]
    colour[:, 0] = np.clip(colour[:, 0], 0.06, 0.92)
    colour[_BACKGROUND] = palette[0]

    light = rng.uniform(0, 2 * np.pi)  # all surfaces are lit from one side
    towards = np.array([np.cos(light), np.sin(light)])
    strength = np.append(rng.uniform(0.05, 0.4, LEAVES + 1), rng.uniform(0.3, 0.8)) / np.append(radii, 1.0)
    start = np.append(centres @ towards, 0.5 * towards.sum())
    grain = rng.uniform(0.04, 0.28, surfaces)
    offset = rng.integers(0, textures.shape[1], (surfaces, 2), dtype=np.int32)
    kind = rng.integers(len(textures), size=surfaces, dtype=np.int32)

    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    depth = axis[None, :] * np.float32(towards[0]) + axis[:, None] * np.float32(towards[1])
    gradient = _pick(strength, label) * (depth - _pick(start, label))
    grid = np.arange(size, dtype=np.int32)
    tile = textures.shape[1]
    row = (grid[:, None] + offset[:, 0].take(label)) % tile
    column = (grid[None, :] + offset[:, 1].take(label)) % tile
    surface = textures.ravel().take((kind.take(label) * tile + row) * tile + column)
    shade = 1 + gradient + _pick(grain, label) * surface

    reflected = np.clip(np.einsum("sc,rc->sr", colour, _RGB), 0.02, 1).astype(np.float32)
    rgb = reflected.take(label, axis=0) * shade[..., None]
    steps = range(OVERSAMPLING)
    corners = [rgb[row::OVERSAMPLING, column::OVERSAMPLING] for row in steps for column in steps]
    small = np.add.reduce(corners)
    return np.round(np.clip(small * (255 / OVERSAMPLING**2), 0, 255)).astype(np.uint8)


def _pick(values: np.ndarray, label: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).take(label)


def _textures(rng: np.random.Generator) -> np.ndarray:
    """Periodic fields with amplitude 1/f, unit variance: even, grained along a direction, and striped."""
    size = PIXELS * OVERSAMPLING
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :]
    radius = np.hypot(fx, fy)
    radius[0, 0] = np.inf
    fields = []
    for angle, stretch in ((0.0, 1.0), (0.0, 1.0), (0.4, 5.0), (1.4, 5.0), (2.4, 5.0)):
        along = fx * np.cos(angle) + fy * np.sin(angle)
        across = -fx * np.sin(angle) + fy * np.cos(angle)
        amplitude = 1 / np.hypot(along * stretch, across).clip(1 / size)
        noise = np.fft.fft2(rng.standard_normal((size, size)))
        field = np.fft.ifft2(noise * amplitude * np.isfinite(radius)).real
        fields.append(field / field.std())
    return np.stack(fields).astype(np.float32).clip(-3, 3)
