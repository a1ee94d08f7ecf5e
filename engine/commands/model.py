"""``corticalign model``: the models and their layers."""

import argparse
from math import prod

from rich.console import Console
from rich.table import Table

from engine.report.table import print_whole
from models import zoo


def run(given: list[str]) -> int:
    """``list`` or ``show NAME``."""
    parser = argparse.ArgumentParser(prog="corticalign model", description="The models and their layers.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="list | show NAME")
    actions.add_parser("list", help="name every model")
    show = actions.add_parser("show", help="layers, shapes, weights, licence and citation of one model")
    show.add_argument("name")
    arguments = parser.parse_args(given)
    if arguments.action == "list":
        _list()
    else:
        _show(arguments.name)
    return 0


def _list() -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("model", "what it is"):
        table.add_column(column)
    for name in zoo.names():
        spec = zoo.spec(name)
        table.add_row(name, spec.summary)
    print_whole(table)


def _show(name: str) -> None:
    spec = zoo.spec(name)
    shapes = zoo.layer_shapes(name)
    size = spec.preprocessing.size
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{spec.name}[/bold]: {spec.summary}")
    console.print(f"parameters  {zoo.parameter_count(name):,}")
    console.print(f"input       {size} x {size} pixels, {spec.preprocessing.interpolation} resize")
    described = (
        [*spec.weights.source.describe(), f"licence {spec.weights.licence}"] if spec.weights else ["none needed"]
    )
    for title, line in zip(["weights", *[""] * len(described)], described, strict=False):
        console.print(f"{title:12}{line}")
    console.print(f"citation    {spec.citation}")
    table = Table(box=None, header_style="bold", pad_edge=False)
    port = spec.port()
    others = {layer: [alias for alias, ours in port.aliases.items() if ours == layer] for layer in shapes}
    table.add_column("layer")
    table.add_column("height x width x channels", justify="right")
    table.add_column("units", justify="right")
    if any(others.values()):
        table.add_column("also called")
    for layer, shape in shapes.items():
        row = [layer, " x ".join(map(str, shape)), f"{prod(shape):,}"]
        table.add_row(*row, *([", ".join(others[layer])] if any(others.values()) else []))
    console.print()
    print_whole(table)
