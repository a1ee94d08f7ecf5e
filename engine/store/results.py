"""Results: one key per model x recording x metric, kept for good as Parquet data sets that any reader opens.

Below the output folder, in ``store``: ``rows/KEY.parquet``, every target x layer x split, raw; and
``layers/KEY-CONVENTION.parquet``, one row per layer x region, corrected by one convention. The files of a folder have
one schema, so each folder is one table. docs/results.md describes the columns; ``SCHEMA`` is their version.
They are read together by :mod:`engine.store.index`.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import DISK_FULL, InputError
from engine.store.atomic import write_file
from engine.store.identity import key as digest_of
from engine.store.packing import NUMBERS, SCHEMA, as_map, opened, packed, sealed, unpacked

LAYERS = pa.schema(
    [
        ("key", pa.string()),
        ("model", pa.string()),
        ("recording", pa.string()),
        ("metric", pa.string()),
        ("region", pa.string()),
        ("layer", pa.string()),
        ("depth", pa.int32()),
        ("best", pa.bool_()),
        ("chosen", pa.string()),
        ("measure", pa.string()),
        ("score", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("ceiling", pa.float64()),
        ("ceiled", pa.float64()),
        ("convention", pa.string()),
        ("n", pa.int32()),
        ("n_ceiling", pa.int32()),
        ("beside", NUMBERS),
    ]
)
DAMAGED = (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError)  # what reading such a file raises
_LAYER_COLUMNS = ("metric", "region", "layer", "depth", "chosen", "score", "low", "high", "ceiling", "ceiled")
_COUNTS = {"targets": "n", "targets_with_ceiling": "n_ceiling"}


@dataclass(frozen=True)
class Result:
    """What a result is of.

    Attributes:
        parts: everything that can change its rows (:func:`engine.store.identity.result_parts`).
        model, recording, metric: names.
    """

    parts: Mapping[str, object]
    model: str
    recording: str
    metric: str

    @property
    def key(self) -> str:
        return digest_of(self.parts)


def save_rows(store: Path, result: Result, rows: pd.DataFrame) -> None:
    """Writes the rows of :func:`engine.score.score_table` under the result's key, at once or not at all.

    Raises:
        InputError: the disk is full.
    """
    _write(store / _rows_name(result.key), packed(result.key, result.model, result.parts, rows))


def load_rows(store: Path, result: Result, say: Callable[[str], None] = lambda sentence: None) -> pd.DataFrame | None:
    """The rows kept under the result's key with the columns and types they had, or None where there are none.

    A file whose checksum fails is reported through ``say`` and removed, so that its result is computed again.
    """
    path = store / _rows_name(result.key)
    try:
        table, about = read(path)
        return unpacked(table, about["columns"])
    except FileNotFoundError:
        return None
    except DAMAGED as error:
        say(f"the result '{path}' is damaged ({str(error).splitlines()[0]}); it is removed and computed again")
        path.unlink(missing_ok=True)
        return None


def save_layers(
    store: Path, result: Result, layers: pd.DataFrame, best: pd.DataFrame, *, measure: str, convention: str
) -> None:
    """Writes :func:`layers_table`. InputError where the disk is full."""
    table = layers_table(result, layers, best, measure=measure, convention=convention)
    _write(store / _layers_name(result, convention), table)


def layers_table(
    result: Result, layers: pd.DataFrame, best: pd.DataFrame, *, measure: str, convention: str
) -> pa.Table:
    """The small table of a result: a row per layer x region, then one per region for the layer chosen.

    Args:
        layers: of :func:`engine.score.layer_table`, of this result alone.
        best: of :func:`engine.score.best_layers`, likewise.
        measure: symbol of a score, such as ``r``.
        convention: symbol of a ceiled score, with what it was applied to.
    """
    both = pd.concat([layers.assign(best=False), best.assign(best=True)], ignore_index=True)
    beside = [str(name) for name in both if name not in (*_LAYER_COLUMNS, *_COUNTS, "best")]
    columns: dict[str, Any] = {
        "key": [result.key] * len(both),
        "model": [result.model] * len(both),
        "recording": [result.recording] * len(both),
        "measure": [measure] * len(both),
        "convention": [convention] * len(both),
        "beside": as_map(both, beside, NUMBERS),
    }
    for name in (*_LAYER_COLUMNS, *_COUNTS, "best"):
        own = both[name] if name in both else pd.Series([None] * len(both), dtype=object)
        if name == "chosen":
            own = pd.Series([_votes(each) for each in own], dtype=object)
        field = LAYERS.field(_COUNTS.get(name, name))
        columns[field.name] = pa.array(own.tolist(), field.type, from_pandas=pa.types.is_integer(field.type))
    about = {"schema": SCHEMA, "key": result.key, "convention": convention}
    return sealed(pa.table([columns[field.name] for field in LAYERS], LAYERS), about)


def has_layers(store: Path, result: Result, convention: str) -> bool:
    """Whether the small table is there."""
    return (store / _layers_name(result, convention)).is_file()


def files(result: Result, convention: str) -> list[str]:
    """What a finished job keeps of a result, below the store."""
    return [_rows_name(result.key), _layers_name(result, convention)]


def read(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """A table of the store and its description. One of :data:`DAMAGED` where it is not as it was written."""
    table = pq.ParquetFile(path).read()
    about = opened(table)
    if not path.name.startswith(about["key"]):
        raise ValueError("it is of another result")
    return table, about


def verify(store: Path) -> Iterator[tuple[Path, str | None]]:
    """Reads every table: (its file, what is wrong with it, or None). Damaged ones are removed."""
    for path in sorted([*store.glob("rows/[!.]*.parquet"), *store.glob("layers/[!.]*.parquet")]):
        try:
            read(path)
        except FileNotFoundError:
            continue
        except DAMAGED as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the system, not of the reader
                yield path, f"cannot be read: {error.strerror}"
                continue
            path.unlink(missing_ok=True)
            yield path, f"damaged, removed: {str(error).splitlines()[0]}"
        else:
            yield path, None


def _votes(chosen: object) -> str | None:
    return ", ".join(f"{layer} {count}x" for layer, count in chosen.items()) if isinstance(chosen, Mapping) else None


def _write(path: Path, table: pa.Table) -> None:
    def fill(file: BinaryIO) -> None:
        # In memory first: pyarrow would close the file, which must be synced before.
        content = io.BytesIO()
        pq.write_table(table, content, compression="zstd")
        file.write(content.getbuffer())

    try:
        write_file(path, fill)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise InputError(
                f"the disk is full: '{path}' could not be written and nothing was left there; make room and start "
                "again (finished layers and results are kept)"
            ) from error
        raise


def _rows_name(key: str) -> str:
    return f"rows/{key}.parquet"


def _layers_name(result: Result, convention: str) -> str:
    return f"layers/{result.key}-{digest_of({'convention': convention})[:8]}.parquet"
