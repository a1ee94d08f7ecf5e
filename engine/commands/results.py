"""``corticalign results``: what was computed, of all jobs: filtered, one row per layer and region, exported.

JAX is not imported, so that thousands of results are answered at once.
"""

import argparse
import fnmatch
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import InputError, unknown
from engine.report.export import csv_text, latex_text, markdown_text
from engine.store import write_file
from engine.store.layout import STORE

FILTERS = ("model", "dataset", "region", "metric", "layer")
SHOWN = 100  # rows printed; exports have all
COLUMNS = {
    "model": "model",
    "recording": "recording",
    "metric": "metric",
    "region": "region",
    "layer": "layer",
    "score": "score",
    "low": "low",
    "high": "high",
    "ceiling": "ceiling",
    "ceiled": "ceiled",
    "convention": "convention",
    "n": "n",
    "key": "key",
}
NUMBERED = ("score [95 %]", "ceiling", "ceiled", "n")  # columns printed to the right
NUMBERS = ("score", "low", "high", "ceiling", "ceiled")


def run(given: list[str]) -> int:
    """Prints or exports the rows that fit."""
    arguments = _parsed(given)
    wanted, output = _words(arguments.words)
    store = output / STORE
    if not store.is_dir():
        raise InputError(
            f"there are no results in '{output}'; 'corticalign score' makes some, output=FOLDER names where"
        )
    from engine.store.index import read_layers

    rows = read_layers(store, lambda sentence: print(f"corticalign: {sentence}", file=sys.stderr))
    rows = chosen(rows, wanted, best=arguments.best, convention=arguments.convention)
    exports: list[tuple[Path | None, Callable[[Sequence[str], list[Mapping[str, Any]]], str]]] = [
        (arguments.csv, csv_text),
        (arguments.latex, latex_text),
        (arguments.markdown, markdown_text),
    ]
    names = [*COLUMNS, "chosen"] if arguments.best else list(COLUMNS)
    if arguments.parquet is not None:
        _write_parquet(arguments.parquet, rows.select(names))
    asked = [(path, write) for path, write in exports if path is not None]
    for path, write in asked:
        _write(path, write(names, rows.select(names).to_pylist()))
    if not asked and arguments.parquet is None:
        _show(rows, names)
    return 0


def check(given: list[str]) -> None:
    """Raises InputError, or exits as argparse does, where the words cannot be taken."""
    _words(_parsed(given).words)


def chosen(rows: pa.Table, wanted: Mapping[str, Sequence[str]], *, best: bool, convention: str | None) -> pa.Table:
    """The rows that fit, sorted by model, recording, metric, region and depth.

    Where a result was corrected by several conventions, the one named is taken, or the first by name: one row per
    model x recording x metric x region x layer.

    Args:
        rows: of :func:`engine.store.index.read_layers`.
        wanted: filter -> names or patterns; a row fits one of each.
        best: the rows of layers chosen on training stimuli, in place of every layer's.
        convention: symbol of a ceiled score.

    Raises:
        InputError: a pattern fits nothing that is there; names the nearest.
    """
    keep = pc.equal(rows["best"], best)
    for name, patterns in wanted.items():
        column = "recording" if name == "dataset" else name
        keep = pc.and_(keep, _fits(rows[column], name, patterns))
    rows = rows.filter(keep)
    if convention is not None:
        rows = rows.filter(_fits(rows["convention"], "convention", [convention]))
    else:
        rows = _one_convention(rows)
    order = ["model", "recording", "metric", "region", "depth", "key"]
    plain = pa.table({name: rows[name].cast(pa.string()) if name != "depth" else rows[name] for name in order})
    return rows.take(pc.sort_indices(plain, [(name, "ascending") for name in order]))


def _fits(column: pa.ChunkedArray, name: str, patterns: Sequence[str]) -> pa.ChunkedArray:
    """Which rows one of the patterns fits. A data set's name fits all its recordings."""
    known = [str(each) for each in pc.unique(column.cast(pa.string())).to_pylist() if each is not None]
    fitting: set[str] = set()
    for pattern in patterns:
        own = {each for each in known if fnmatch.fnmatchcase(each, pattern)}
        if name == "dataset":
            own |= {each for each in known if fnmatch.fnmatchcase(_dataset(each), pattern)}
        if not own:
            raise unknown(f"{name} among these results", pattern, known)
        fitting |= own
    return pc.is_in(column.cast(pa.string()), pa.array(sorted(fitting), pa.string()))


def _dataset(recording: str) -> str:
    """Of a recording's name: ``cowley2023-v4`` of ``cowley2023-v4/190925``, ``sim`` of ``sim (SIMULATED)``."""
    return recording.partition("/")[0].partition(" (")[0]


def _one_convention(rows: pa.Table) -> pa.Table:
    keys = pa.table({name: rows[name].cast(pa.string()) for name in ("key", "convention")})
    first = keys.group_by("key").aggregate([("convention", "min")])
    if len(keys.group_by(["key", "convention"]).aggregate([])) == len(first):
        return rows  # as nearly always: every result has one
    taken = dict(zip(first["key"].to_pylist(), first["convention_min"].to_pylist(), strict=True))
    pairs = zip(keys["key"].to_pylist(), keys["convention"].to_pylist(), strict=True)
    return rows.filter(pa.array([taken[key] == convention for key, convention in pairs]))


def _words(words: Sequence[str]) -> tuple[dict[str, list[str]], Path]:
    """Filters, and the output folder."""
    wanted: dict[str, list[str]] = {}
    output = Path("results")
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value:
            raise InputError(f"results {word}: wanted NAME=VALUE, with NAME one of {', '.join([*FILTERS, 'output'])}")
        if name == "output":
            output = Path(value).expanduser()
        elif name in FILTERS:
            wanted[name] = value.strip("[]").split(",")
        else:
            raise unknown("filter", name, [*FILTERS, "output"])
    return wanted, output


def _parsed(given: list[str]) -> argparse.Namespace:
    """As argparse reads them, with the nearest option for one that does not exist."""
    parser = _parser()
    arguments, left = parser.parse_known_args(given)
    if left:
        raise unknown("option", left[0], [name for action in parser._actions for name in action.option_strings])
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="corticalign results",
        description="One row per model x recording x metric x region x layer: raw score with its 95 % interval, "
        "ceiling, ceiled score, number of neuroids or subjects, key. Values may be patterns, or several separated by "
        "commas: corticalign results model='resnet*' region=V4,IT. docs/results.md describes the columns.",
    )
    names = [f"{name}=..." for name in (*FILTERS, "output")]
    parser.add_argument("words", nargs="*", metavar="NAME=VALUE", help=", ".join(names) + " (default: results)")
    parser.add_argument("--best", action="store_true", help="one row per region: the layer chosen on training stimuli")
    parser.add_argument("--convention", help="of the ceiled score, such as 'r|r|/c', where there are several")
    for kind in ("csv", "parquet", "latex", "markdown"):
        stdout = "" if kind == "parquet" else ", or - for the terminal"
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE", help=f"write all rows to FILE as {kind}{stdout}")
    return parser


def _show(rows: pa.Table, names: Sequence[str]) -> None:
    from rich.table import Table

    from engine.report.table import interval, number, print_whole

    table = Table(header_style="bold", box=None, pad_edge=False)
    columns = ("model", "recording", "metric", "region", "layer", "score [95 %]", "ceiling", "ceiled", "n", "key")
    for name in columns:
        table.add_column(name, no_wrap=True, justify="right" if name in NUMBERED else "left")
    for row in rows.slice(0, SHOWN).to_pylist():
        values = {**row, **{name: math.nan if row[name] is None else row[name] for name in NUMBERS}}
        cells = [str(row[name]) for name in columns[:5]]
        cells += [interval(values), number(values["ceiling"]), number(values["ceiled"]), str(row["n"]), row["key"][:10]]
        table.add_row(*cells)
    print_whole(table)
    if len(rows) > SHOWN:
        print(f"{SHOWN} of {len(rows)} rows; narrow them (--help), or write all with --csv FILE")


def _write(path: Path, text: str) -> None:
    if str(path) == "-":
        print(text, end="")
        return
    _written(path, text.encode())


def _write_parquet(path: Path, rows: pa.Table) -> None:
    import io

    import pyarrow.parquet as pq

    plain = pa.table(
        {
            name: rows[name].cast(pa.string()) if pa.types.is_dictionary(rows[name].type) else rows[name]
            for name in rows.column_names
        }
    )
    content = io.BytesIO()
    pq.write_table(plain, content)
    _written(path, content.getvalue())


def _written(path: Path, content: bytes) -> None:
    try:
        write_file(path, lambda file: file.write(content))
    except OSError as error:
        raise InputError(f"cannot write '{path}': {error.strerror}; give another name") from error
