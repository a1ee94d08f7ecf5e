"""The figure of a training run: every term of the loss against the step, and the held-out scores below."""

from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engine.report.figure import COLOURS

POINTS = 1200  # more cannot be told apart in the width of a figure
WINDOWS = 50  # of the running mean: each a fiftieth of the run


def loss_figure(terms: pd.DataFrame, scores: pd.DataFrame, title: str, note: str, best: int | None = None) -> Figure:
    """Loss and its terms by step, each faint as it was and bold as its running mean.

    The running mean at a step is that of the last fiftieth of the run before it. The axis is logarithmic where all
    values are positive and their range is more than tenfold.

    Args:
        terms: ``step`` and one column per term (``terms.csv`` of a run); what the optimiser adds (norms, learning rate)
            is left out by the caller.
        scores: ``step`` and one column per held-out score (``scores.csv``); without rows its axes are left out.
        title: model and data.
        note: a line under the axes.
        best: step whose scores are ringed.
    """
    scored = [name for name in scores.columns if name != "step"] if len(scores) else []
    figure = Figure(figsize=(7.6, 6.4 if scored else 4.2), layout="constrained")
    upper, *lower = figure.subplots(
        1 + bool(scored), sharex=True, squeeze=False, height_ratios=[3, 2] if scored else [1]
    )[:, 0]
    _draw_terms(upper, terms)
    upper.set_title(fill(title, int(9.5 * (figure.get_figwidth() - 1.2))), loc="left", fontsize=11, fontweight="bold")
    for axes in lower:
        for colour, name in zip(_colours(len(scored), len(terms.columns) - 1), scored, strict=True):
            axes.plot(scores["step"], scores[name], color=colour, marker="o", markersize=4, linewidth=1.8, label=name)
            ring = scores[scores["step"] == best]
            axes.plot(
                ring["step"],
                ring[name],
                linestyle="none",
                marker="o",
                markersize=11,
                markerfacecolor="none",
                markeredgecolor=colour,
                markeredgewidth=1.6,
            )
        axes.set_ylabel("held out")
    for axes in (upper, *lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    (lower or [upper])[-1].set_xlabel("step")
    width = int(15.5 * figure.get_figwidth())
    figure.supxlabel(
        "\n".join(fill(line, width) for line in note.splitlines()), fontsize=7.5, color="0.35", x=0.01, ha="left"
    )
    return figure


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of each value and the up to ``window`` - 1 before it; values that are not finite are left out."""
    return pd.Series(values).where(np.isfinite(values)).rolling(window, min_periods=1).mean().to_numpy()


def _draw_terms(axes: Axes, terms: pd.DataFrame) -> None:
    names = [name for name in terms.columns if name != "step"]
    shown = terms.iloc[:: max(1, len(terms) // POINTS)].index
    drawn = []
    for colour, name in zip(_colours(len(names), 0), names, strict=True):
        values = terms[name].to_numpy(np.float64)
        mean = pd.Series(running_mean(values, max(1, len(values) // WINDOWS)), terms.index)
        axes.plot(terms["step"][shown], terms[name][shown], color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(terms["step"][shown], mean[shown], color=colour, linewidth=1.8, label=name)
        drawn.append(values[np.isfinite(values)])
    values = np.concatenate(drawn) if drawn else np.zeros(0)
    if values.size and values.min() > 0 and values.max() > 10 * values.min():
        axes.set_yscale("log")
    axes.set_ylabel("loss")


def _colours(count: int, first: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(first, first + count)]
