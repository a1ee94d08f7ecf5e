"""The record of a run: one row per step in a CSV file that a kill leaves whole, and a Parquet file at the end."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd

from engine.errors import InputError


class Log:
    """Rows of numbers by step; after a restart every step has one row.

    Each row is handed to the system as it is written, so a killed process loses none; :meth:`sync` also outlives the
    machine. Rows after ``step`` and a last row cut short are dropped when the file is opened again: a resumed run
    writes them anew.

    Args:
        path: a .csv file; made where missing, as is its folder. The Parquet file has its name and ``.parquet``.
        step: the last whose row is kept; -1 keeps none.

    Raises:
        InputError: the file cannot be written, or is no log.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self._columns: list[str] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                self._keep(step)
            self._file = path.open("a", encoding="utf-8", newline="")
        except OSError as error:
            raise self._unwritten(error) from error

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the row of a step. Raises InputError where the disk is full, or the names are not the first row's."""
        columns = ["step", *values]
        try:
            if self._columns is None:
                self._write(columns)
                self._columns = columns
            if sorted(columns) != sorted(self._columns):
                raise InputError(f"{self.path} has the columns {self._columns}; the row of step {step} has {columns}")
            row = {"step": step} | dict(values)
            self._write([repr(row[name]) for name in self._columns])
        except OSError as error:
            raise self._unwritten(error) from error

    def sync(self) -> None:
        """Returns when all rows are on the disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritten(error) from error

    def close(self) -> None:
        """Closes the file and writes the same rows as Parquet, whole or not at all."""
        if self._file.closed:
            return
        self._file.close()
        if self._columns is None:
            return
        temporary = self.path.with_suffix(".parquet.part")
        try:
            read(self.path).to_parquet(temporary, index=False)
            os.replace(temporary, self.path.with_suffix(".parquet"))
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise self._unwritten(error) from error

    def _write(self, cells: list[str]) -> None:
        csv.writer(self._file, lineterminator="\n").writerow(cells)
        self._file.flush()

    def _keep(self, step: int) -> None:
        """Keeps the rows up to a step, in their order."""
        text = self.path.read_text(encoding="utf-8", errors="replace")
        header, *lines = text[: text.rfind("\n") + 1].splitlines() or [""]
        if header and not header.startswith("step,"):
            raise InputError(
                f"{self.path} is no log of training: its first line is '{header[:60]}'; give another folder"
            )
        kept = [line for line in lines if (first := line.partition(",")[0]).isdigit() and int(first) <= step]
        if kept:
            self._columns = next(csv.reader([header]))
        wanted = "".join(f"{line}\n" for line in [header, *kept]) if kept else ""
        if wanted == text:
            return
        temporary = self.path.with_suffix(".csv.part")
        try:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                file.write(wanted)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def _unwritten(self, error: OSError) -> InputError:
        return InputError(
            f"the log {self.path} cannot be written ({error.strerror}); make room or give another folder, and start "
            "again to go on from the last checkpoint"
        )


def read(path: Path) -> pd.DataFrame:
    """The rows of a log, one column per name, in the order written; every float the one that was logged."""
    with path.open(encoding="utf-8", newline="") as file:
        columns, *rows = list(csv.reader(file))
    table = pd.DataFrame(np.array(rows, dtype=np.float64).reshape(-1, len(columns)), columns=columns)
    return table.astype({"step": np.int64})
