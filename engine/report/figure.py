"""The figure of a run: score against layer depth, one line per region, with interval and ceiling."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from textwrap import fill

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

DPI = 160  # of pictures

DASHES = ((1, 1), (4, 1.5), (1, 3), (4, 1.5, 1, 1.5), (7, 2))


def layers_figure(
    layers: pd.DataFrame, best: pd.DataFrame, measure: str, title: str, note: str, beside: Sequence[str] = ()
) -> Figure:
    """Score of each layer, in depth order.

    Args:
        layers: one row per layer x region of one metric (engine.score.layer_table).
        best: one row per region (engine.score.best_layers); its layer is ringed.
        measure: what the score is, for the vertical axis.
        title: model and recording.
        note: a line under the axes: splits and ceiling in words.
        beside: columns of ``layers`` that are drawn as thin lines beside the score.
    """
    names = layers.sort_values("depth")["layer"].drop_duplicates().tolist()
    figure = Figure(figsize=(max(6.4, 0.36 * len(names) + 3.2), 4.6), layout="constrained")
    axes = figure.add_subplot()
    position = {name: i for i, name in enumerate(names)}
    chosen = {} if best.empty else dict(zip(best["region"], best["layer"], strict=True))
    for colour, (region, part) in zip(
        _cycle(layers["region"].nunique()), layers.groupby("region", sort=False), strict=True
    ):
        rows = part.sort_values("depth")
        x = [position[name] for name in rows["layer"]]
        axes.fill_between(x, rows["low"], rows["high"], color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, rows["score"], color=colour, marker="o", markersize=4, linewidth=1.8, label=f"{region}")
        for dashes, name in zip(cycle(DASHES), beside, strict=False):
            axes.plot(x, rows[name], color=colour, linewidth=1, linestyle=(0, dashes))
        ring = rows[rows["layer"] == chosen.get(str(region))]
        axes.plot(
            [position[name] for name in ring["layer"]],
            ring["score"],
            linestyle="none",
            marker="o",
            markersize=11,
            markerfacecolor="none",
            markeredgecolor=colour,
            markeredgewidth=1.6,
        )
        ceiling = rows["ceiling"].median()
        if pd.notna(ceiling):
            axes.axhline(ceiling, color=colour, linestyle="--", linewidth=1.1, label=f"{region} ceiling {ceiling:.2f}")
    for dashes, name in zip(cycle(DASHES), beside, strict=False):
        axes.plot([], [], color="0.3", linewidth=1, linestyle=(0, dashes), label=name)  # one entry for all regions
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xlabel("layer, from input to output")
    axes.set_ylabel("\n".join(fill(line, 48) for line in measure.splitlines()))
    axes.spines[["top", "right"]].set_visible(False)
    width = int(9.5 * (figure.get_figwidth() - 1.2))  # bold characters in a line, beside the vertical axis
    axes.set_title(fill(title, width), loc="left", fontsize=11, fontweight="bold")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    width = int(15.5 * figure.get_figwidth())  # characters of this size in a line
    wrapped = "\n".join(fill(line, width) for line in note.splitlines())
    figure.supxlabel(wrapped, fontsize=7.5, color="0.35", x=0.01, ha="left")
    return figure


def save(figure: Figure, folder: Path, name: str) -> None:
    """Writes ``name.png`` and ``name.svg``, the same bytes for the same figure."""
    figure.set_dpi(DPI)
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
    figure.set_layout_engine(None)  # else it lays out and draws once more for each file
    figure.savefig(folder / f"{name}.png", dpi=DPI)
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def _cycle(count: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(count)]
