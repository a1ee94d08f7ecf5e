"""How the figures look, and where they are written."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from engine.report.figure import COLOURS

BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK = COLOURS
GREY = "0.6"
FOLDER = Path(__file__).parent


def panels(count: int, *, width: float = 8.4, height: float = 3.3, ratios: Sequence[float] | None = None) -> tuple:
    """A figure with panels side by side, and their axes."""
    figure, axes = rows(1, count, width=width, height=height, ratios=ratios)
    return figure, *axes[0]


def rows(
    count: int, columns: int, *, width: float, height: float, ratios: Sequence[float] | None = None
) -> tuple[Figure, np.ndarray]:
    """A figure with panels in rows and columns, and their axes, rows x columns."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)
    return figure, figure.subplots(count, columns, squeeze=False, width_ratios=ratios)


def label(axes: Axes, title: str, across: str = "", up: str = "") -> None:
    """Title and axis labels; no top and right spine."""
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)


def legend(axes: Axes, where: str = "best", **options: object) -> None:
    axes.legend(frameon=False, fontsize=8.5, loc=where, **options)


def save(figure: Figure, name: str) -> None:
    """Writes ``name.png`` here, in 192 colours; the same bytes for the same figure and versions."""
    drawn = BytesIO()
    figure.savefig(drawn, dpi=105, format="png")
    Image.open(drawn).convert("RGB").quantize(192, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)
