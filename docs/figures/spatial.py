"""Figure of spatial maps."""

import numpy as np

from docs.figures.style import label, rows, save
from engine.metrics import spatial_map as maps


def draw() -> None:
    spatial_map()


def spatial_map() -> None:
    """Measured and predicted map of one neuron."""
    rng = np.random.default_rng(14)
    images, grid, size, channels, neurons = 14, 11, 14, 24, 12
    smooth = maps.bilinear(5, size)
    layer = np.moveaxis(smooth @ rng.standard_normal((images, channels, 5, 5)) @ smooth.T, 1, -1)
    features = maps.grid_features(layer, (grid, grid))
    truth = features @ rng.standard_normal((channels, neurons))
    responses = truth + 0.5 * truth.std(axis=(1, 2)).mean() * rng.standard_normal(truth.shape)
    found = maps.score_maps(layer, responses, components=10)
    r = found.scores.value
    neuron = int(np.argsort(np.median(r, axis=0))[neurons // 2])
    figure, grid_of = rows(2, 4, width=9.0, height=4.2)
    for column in range(4):
        for row, (values, name) in enumerate(((responses, "measured"), (found.predictions, "predicted"))):
            axes = grid_of[row, column]
            shown = values[column, :, :, neuron]
            axes.imshow(shown.T, cmap="viridis", origin="lower", interpolation="nearest")
            title = f"image {column + 1}" if row == 0 else f"r = {r[column, neuron]:.2f}"
            label(axes, title, "x, position" if row else "", f"{name}\ny, position" if column == 0 else "")
            axes.set_xticks([0, 5, 10])
            axes.set_yticks([0, 5, 10])
    save(figure, "spatial-map")
