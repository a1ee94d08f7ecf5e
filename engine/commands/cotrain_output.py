"""What ``corticalign cotrain`` leaves and prints."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from engine.commands import training
from engine.cotrain.gain import against, gains

if TYPE_CHECKING:
    from rich.table import Table

    from engine.commands.cotrain_schema import Cotrain
    from engine.cotrain.plan import Plan
    from engine.cotrain.run import Outcome
    from engine.metrics.metric import Metric
    from engine.recording import Recording
    from models.spec import ModelSpec

ROWS = "neuroids.parquet"
CONTROLS = {
    None: "recorded responses",
    "shuffled": "CONTROL: responses to other stimuli",
    "surrogate": "CONTROL: made-up responses of the same marginals and covariances",
}


def place(wanted: "Cotrain", key: str) -> Path:
    """The folder of the run of that key."""
    return Path(wanted.output) / "cotrained" / f"{wanted.model.name}-{key[:10]}"


def summarise(
    key: str,
    wanted: "Cotrain",
    plan: "Plan",
    found: "Sequence[Recording]",
    counts: Mapping[str, int],
    metric: "Metric",
    outcome: "Outcome",
) -> dict[str, Any]:
    """All that is printed, and what it came from."""
    from engine import __version__
    from engine.commands import device

    same = outcome.agreement
    return {
        "key": key,
        "corticalign": __version__,
        "model": wanted.model.name,
        "settings": asdict(wanted),
        "terms": [term._asdict() for term in plan.terms],
        "trained on": CONTROLS[wanted.control],
        "recordings": {each.name: dict(each.source) for each in found},
        "simulated": any(each.simulated for each in found),
        "citations": list(dict.fromkeys(each.citation for each in found)),
        "counts": dict(counts),
        "metric": {"name": metric.name, "symbol": metric.symbol, "measure": metric.measure, "version": metric.version},
        "step": outcome.step,
        "scores": gains(outcome.before, outcome.after),
        "agreement": {"value": float(same.mean()), "pictures": len(same)} if len(same) else None,
        "machine": device.describe(),
    }


def write(
    folder: Path, summary: Mapping[str, Any], outcome: "Outcome", spec: "ModelSpec", terms: Sequence[str]
) -> None:
    """Weights, tables and the figure."""
    from engine.report.figure import save
    from engine.report.loss_figure import loss_figure
    from engine.training import log

    training.save(folder, outcome.params, outcome.statistics, spec)
    rows = outcome.before.rename(columns={"score": "before"}).assign(after=outcome.after["score"])
    rows.to_parquet(folder / ROWS, index=False)
    pd.json_normalize(summary["scores"]).to_csv(folder / "scores.csv", index=False)
    values, scores = (log.read(folder / "log" / f"{name}.csv") for name in ("terms", "scores"))
    shown = [name for name in ("step", "loss", "cross_entropy", *terms) if name in values]
    note = "Held out: mean score of trained neuroids on the selection, which is not reported. Ringed: the weights kept."
    title = f"{summary['model']}: {summary['trained on']}"
    save(loss_figure(values[shown], scores, title, note, outcome.step), folder, "loss")
    training.complete(folder, summary)


def show(summary: Mapping[str, Any], folder: Path, others: Mapping[str | None, Path]) -> None:
    """Prints the table, how it stands against runs of another ``control``, and the command to score.

    Args:
        others: control -> where its run would be.
    """
    from rich.console import Console

    from engine.report.table import print_whole

    console = Console(soft_wrap=True, highlight=False)
    mark = "SIMULATED; " if summary["simulated"] else ""
    terms = ", ".join(f"{term['kind']} of {term['layer']} and {term['region']}" for term in summary["terms"])
    console.print(f"{summary['model']}, {terms}: {mark}{summary['trained on']}", style="bold")
    print_whole(_table(summary["scores"], "before", "after", summary["metric"]["symbol"]))
    own = summary["settings"]["control"]
    for control, other in others.items():
        if None not in (own, control) or not (other / training.SUMMARY).is_file():
            continue
        console.print(f"\nagainst the run with control={'null' if control is None else control}, after training:")
        pair = [_after(folder), _after(other)]
        print_whole(_table(against(*(pair if own else pair[::-1])), "control", "recorded", summary["metric"]["symbol"]))
    console.print(
        f"{summary['metric']['symbol']}: {summary['metric']['measure']}, not corrected for noise; mean over neuroids "
        "[95 % bootstrap over neuroids]; p: sign flips",
        style="dim",
        markup=False,
    )
    console.print(
        "new neuroids: neither they nor their stimuli were trained on; trained neuroids: on other stimuli; the map "
        "from layer to neuroid is cross-validated among held-out stimuli",
        style="dim",
    )
    console.print(", ".join(f"{count} {name}" for name, count in summary["counts"].items()), style="dim")
    if summary["agreement"]:
        value, pictures = summary["agreement"]["value"], summary["agreement"]["pictures"]
        console.print(f"answers as before training: {value:.3f} of {pictures} pictures not trained on", style="dim")
    console.print(f"weights of step {summary['step']}; written to {folder}/", style="dim")
    layers = ",".join(dict.fromkeys(term["layer"] for term in summary["terms"]))
    command = (
        f"corticalign score model={summary['model']} weights={folder / training.WEIGHTS} layers=[{layers}] dataset=..."
    )
    console.print(f"score it:  {command}", markup=False)
    console.print("    on other data: that command knows nothing of which stimuli were trained on", style="dim")


def _after(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / ROWS).rename(columns={"after": "score"})


def _table(rows: Sequence[Mapping[str, Any]], one: str, other: str, symbol: str) -> "Table":
    from rich.table import Table

    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in ("neuroids", "n", "region", "layer"):
        table.add_column(name, no_wrap=True)
    for name in (f"{symbol} {one}", other, "difference [95 %]", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        names = (row["neuroids"], str(row["count"]), row["region"], row["layer"])
        p = "" if row["p"] is None else f"{row['p']:.2g}"
        table.add_row(*names, *(number(row[name]) for name in (one, other, "difference")), p)
    return table


def number(row: Mapping[str, float | None]) -> str:
    """With its interval, where it has one."""
    if row["value"] is None:
        return "-"
    return f"{row['value']:.3f}" + ("" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]")
