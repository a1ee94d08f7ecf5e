"""Results as text: a table of layer x region, and the sentences that say what its numbers are."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text


def layer_by_region(layers: pd.DataFrame, symbol: str, ceiled: str, beside: Sequence[str] = ()) -> Table:
    """Score with its interval for every layer (rows, in depth order) and region (columns).

    The highest score of each region is bold. Where there is a ceiling, a second column gives the ceiled score.

    Args:
        layers: one row per layer x region of one metric.
        symbol, ceiled: of the score and of the ceiled score, such as ``r`` and ``r|r|/c``.
        beside: columns of ``layers`` that stand beside the score.
    """
    table = Table(header_style="bold", box=None, pad_edge=False)
    table.add_column("layer", no_wrap=True)
    regions = list(dict.fromkeys(layers["region"]))
    with_ceiling = {r: bool(layers.loc[layers["region"] == r, "ceiled"].notna().any()) for r in regions}
    for region in regions:
        table.add_column(f"{region}  {symbol} [95 %]", justify="right", no_wrap=True)
        if with_ceiling[region]:
            table.add_column(ceiled, justify="right", no_wrap=True)
        for name in beside:
            table.add_column(name, justify="right", no_wrap=True, style="dim")
    top = layers.groupby("region")["score"].max()
    for (_, layer), part in layers.groupby(["depth", "layer"], sort=True):
        cells: list[Text] = [Text(str(layer))]
        for region in regions:
            row = part[part["region"] == region].iloc[0]
            style = "bold" if row["score"] == top[region] else ""
            cells.append(Text(interval(row), style=style))
            if with_ceiling[region]:
                cells.append(Text(number(row["ceiled"]), style=style))
            cells += [Text(number(row[name])) for name in beside]
        table.add_row(*cells)
    return table


def print_whole(table: Table, console: Console | None = None) -> None:
    """Prints a table wider than the window where need be: a line that wraps can be read, a number cut off cannot."""
    window = console or Console(highlight=False)
    wanted = window.measure(table, options=window.options.update(width=1000)).maximum
    Console(highlight=False, file=window.file, width=max(window.width, wanted)).print(table)


def best_lines(best: pd.DataFrame, symbol: str, ceiled: str, owner: str) -> list[str]:
    """One line per region: the layer chosen without the test stimuli, and its score."""
    lines = []
    for row in best.to_dict("records"):
        votes = ", ".join(f"{layer} {count}x" for layer, count in row["chosen"].items())
        over = "" if math.isnan(row["ceiled"]) else f", {ceiled} {number(row['ceiled'])}"
        ceiling = "" if math.isnan(row["ceiling"]) else f" (ceiling {number(row['ceiling'])})"
        lines.append(
            f"{row['region']}: best layer {row['layer']}, {symbol} {interval(row)}{ceiling}{over}, "
            f"{row['targets']} {owner}{'' if row['targets'] == 1 else 's'}; chosen on training stimuli: {votes}"
        )
    return lines


def bounds_line(layers: pd.DataFrame) -> str:
    """Lower and upper noise ceiling of every region that has them; empty where none has.

    Args:
        layers: one row per layer x region of one metric.
    """
    if "lower_ceiling" not in layers:
        return ""
    rows = layers.groupby("region", sort=False)[["lower_ceiling", "ceiling"]].first().dropna()
    parts = [f"{region} {number(row['lower_ceiling'])} to {number(row['ceiling'])}" for region, row in rows.iterrows()]
    return f"noise ceiling: {', '.join(parts)}" if parts else ""


def hierarchy_line(row: Mapping[str, Any], owner: str) -> str:
    """Whether later regions go with deeper layers, of one metric."""
    depths = ", ".join(f"{region} {number(depth)}" for region, depth in row["regions"].items())
    index = interval({"score": row["rho"], "low": row["low"], "high": row["high"]})
    return (
        f"hierarchy: rank correlation of the best layer's depth and the region's place {index} over {row['targets']} "
        f"{owner}s; median depth {depths}"
    )


def interval(row: Mapping[Hashable, Any] | pd.Series) -> str:
    """A score with its interval: ``0.777 [0.748, 0.802]``."""
    if math.isnan(row["low"]):
        return number(row["score"])
    return f"{number(row['score'])} [{number(row['low'])}, {number(row['high'])}]"


def number(value: float) -> str:
    """Three decimals; a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def enumeration(items: Sequence[str], most: int) -> str:
    """The first few items, and how many more there are."""
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"
