"""``corticalign model``: the models and their layers."""

import argparse
from math import prod

from rich.console import Console
from rich.table import Table

from engine.report.table import print_whole
from models import zoo
from models.preprocessing import Preprocessing


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
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{spec.name}[/bold]: {spec.summary}")
    console.print(f"parameters  {zoo.parameter_count(name):,}")
    port = spec.port()
    if spec.weights:
        weights = [*spec.weights.source.describe(), f"licence {spec.weights.licence}"]
    else:
        weights = ["none pinned: give a file with weights=PATH" if port.namings else "none needed"]
    for title, lines in (("input", _input(spec.preprocessing)), ("weights", weights)):
        for number, line in enumerate(lines):
            console.print(f"{'' if number else title:12}{line}")
    console.print(f"citation    {spec.citation}")
    table = Table(box=None, header_style="bold", pad_edge=False)
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


def _input(wanted: Preprocessing) -> list[str]:
    """How pictures reach the model, in words."""
    size, how = f"{wanted.size} x {wanted.size}", wanted.interpolation
    lines = [
        f"red, green and blue, {size} pixels",
        f"model.fit=squash (default): both sides resized to {wanted.size}, {how}",
        f"model.fit=crop: the shorter side resized to {wanted.shorter_side}, {how}, then the central {size} cut out",
    ]
    mean, std = (_once(values) for values in (wanted.mean, wanted.std))
    scaled = [f"minus the mean {mean}"] if mean != "0" else []
    scaled += [f"divided by {'the std ' if scaled else ''}{std}"] if std != "1" else []
    lines.append(", ".join(["each pixel value (0 to 255)", *scaled]))
    return lines


def _once(values: tuple[float, ...]) -> str:
    """The channels' values, or the one that all have."""
    words = [f"{value:.4g}" for value in values]
    return words[0] if len(set(words)) == 1 else ", ".join(words[:-1]) + f" and {words[-1]}"
