"""Rows as text that other programs take: CSV, Markdown, LaTeX."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

_LATEX = {
    "\\": r"\textbackslash{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
}


def csv_text(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """All digits; what is missing is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_whole(row[name]) for name in names] for row in rows)
    return out.getvalue()


def markdown_text(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """A table as GitHub renders it, three decimals, numbers to the right."""
    lines = [list(names), ["--:" if _numeric(rows, name) else ":--" for name in names]]
    lines += [[_short(row[name]).replace("|", "\\|") for name in names] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex_text(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """A tabular with booktabs' rules, three decimals."""
    columns = "".join("r" if _numeric(rows, name) else "l" for name in names)
    lines = [" & ".join(_escaped(name) for name in names)]
    lines += [" & ".join(_escaped(_short(row[name])) for name in names) for row in rows]
    head, *body = [f"{line} \\\\\n" for line in lines]
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head}\\midrule\n{''.join(body)}\\bottomrule\n\\end{{tabular}}\n"
    )


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _numeric(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(isinstance(row[name], int | float) for row in rows)


def _whole(value: object) -> str:
    if value is None or value != value:
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def _short(value: object) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
