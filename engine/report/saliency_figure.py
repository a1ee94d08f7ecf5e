"""The figure of an alignment: images beside where people look and where the model does, before and after."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from engine.errors import InputError

MAP_COLOURS = "cividis"  # of even lightness steps, told apart by colour-blind readers too (Nunez et al. 2018)
BRIGHTEST = 99.0  # percentile of a map shown brightest: single pixels of a gradient would leave the rest dark


def chosen_rows(images: int, rows: int, seed: int = 0) -> np.ndarray:
    """Which images to show: drawn, not picked, in rising order; all where there are no more."""
    return np.sort(np.random.default_rng(seed).permutation(images)[:rows])


def saliency_figure(
    images: np.ndarray,
    human: np.ndarray,
    saliency: Mapping[str, np.ndarray],
    correlation: Mapping[str, Sequence[float] | np.ndarray],
    title: str,
    note: str,
) -> Figure:
    """A row for each image: the image, the human map, and the model's saliency in each state, such as before and after.

    Every map has its own scale, from its smallest value to its 99th percentile: what counts is where it is bright.

    Args:
        images: n x h x w x 3, uint8; all are shown.
        human: n x h' x w', prepared.
        saliency: name of a column -> n x h' x w'.
        correlation: name of a column -> n values, Spearman's with the human map, written under its maps.
        title: model and data.
        note: lines under the figure: which images, and the score over all of them.

    Raises:
        InputError: no images, or numbers of them that differ.
    """
    maps = {"people": human, **saliency}
    counts = {"images": len(images)} | {name: len(part) for name, part in maps.items()}
    counts |= {f"correlation of {name}": len(part) for name, part in correlation.items()}
    if not len(images) or len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise InputError(f"saliency figure: wanted as many of each, and one or more; got {told}")
    rows, columns = len(images), 1 + len(maps)
    figure = Figure(figsize=(1.75 * columns + 0.2, 1.95 * rows + 1.0), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    for row, axes_of_row in enumerate(grid):
        axes_of_row[0].imshow(images[row])
        for axes, (name, part) in zip(axes_of_row[1:], maps.items(), strict=True):
            low, high = part[row].min(), np.percentile(part[row], BRIGHTEST)
            axes.imshow(part[row], cmap=MAP_COLOURS, vmin=low, vmax=max(high, low + 1e-12), interpolation="nearest")
            if name in correlation:
                axes.set_xlabel(f"Spearman {correlation[name][row]:.2f}", fontsize=8, labelpad=2)
    for axes, name in zip(grid[0], ["image", *maps], strict=True):
        axes.set_title(name, fontsize=9)
    figure.suptitle(fill(title, int(9.5 * figure.get_figwidth())), x=0.01, ha="left", fontsize=11, fontweight="bold")
    width = int(15.5 * figure.get_figwidth())  # characters of this size in a line
    wrapped = "\n".join(fill(line, width) for line in note.splitlines())
    figure.supxlabel(wrapped, fontsize=7.5, color="0.35", x=0.01, ha="left")
    return figure
