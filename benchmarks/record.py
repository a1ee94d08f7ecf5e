"""The files of one day on one machine: every finished row is written before the next starts."""

import json
import os
from pathlib import Path
from typing import Any

from benchmarks.machine import short_name
from benchmarks.table import markdown

FORMAT = 1
FIGURES = ("measured", "disagrees")  # what a row with figures says of itself


def path(folder: Path, date: str, machine: dict[str, Any], quick: bool) -> Path:
    """Of the JSON file; the table lies beside it. Shrunk sizes never mix with full ones."""
    return folder / f"{date}-{short_name(machine)}{'-quick' if quick else ''}.json"


def opened(file: Path, date: str, machine: dict[str, Any], quick: bool) -> dict[str, Any]:
    """The document as it is on disk, to be added to, or an empty one."""
    if file.exists():
        document: dict[str, Any] = json.loads(file.read_text())
        if document.get("format") == FORMAT:
            return document
    return {"format": FORMAT, "date": date, "machine": machine, "quick": quick, "rows": {}}


def with_row(document: dict[str, Any], name: str, record: dict[str, Any]) -> dict[str, Any]:
    """The document with this row new or replaced, unless an attempt that failed would replace figures."""
    old = document["rows"].get(name)
    if old is not None and old["status"] in FIGURES and record["status"] not in FIGURES:
        record = old | {"last_attempt": record}
    return document | {"rows": document["rows"] | {name: record}}


def write(file: Path, document: dict[str, Any]) -> None:
    """JSON and table, each replaced in one step."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _replace(file, json.dumps(document, indent=1) + "\n")
    _replace(file.with_suffix(".md"), markdown(document))


def _replace(file: Path, text: str) -> None:
    temporary = file.with_name(file.name + ".part")
    temporary.write_text(text)
    os.replace(temporary, file)
