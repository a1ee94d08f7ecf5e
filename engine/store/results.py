"""Results: one key per model x recording x metric, kept for good as Parquet data sets that any reader opens.

Below the output folder, in ``store``: ``rows/KEY.parquet``, every target x layer x split, raw; and
``layers/KEY-CONVENTION.parquet``, one row per layer x region, corrected by one convention. The files of a folder have
one schema, so each folder is one table. docs/results.md describes the columns; ``SCHEMA`` is their version.
They are read together by :mod:`engine.store.index`.
"""

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import DISK_FULL, InputError
from engine.store.atomic import write_file
from engine.store.identity import key as digest_of

SCHEMA = "1"
NUMBERS, WORDS = pa.map_(pa.string(), pa.float64()), pa.map_(pa.string(), pa.string())
ROWS = pa.schema(
    [
        ("key", pa.string()),
        ("model", pa.string()),
        ("recording", pa.string()),
        ("metric", pa.string()),
        ("region", pa.string()),
        ("subject", pa.string()),
        ("neuroid", pa.string()),
        ("layer", pa.string()),
        ("depth", pa.int32()),
        ("split", pa.int32()),
        ("score", pa.float64()),
        ("selection", pa.float64()),
        ("ceiling", pa.float64()),
        ("details", NUMBERS),
        ("labels", WORDS),
    ]
)
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
_FIXED = [field.name for field in ROWS if field.type not in (NUMBERS, WORDS)]
_LAYER_COLUMNS = ("metric", "region", "layer", "depth", "chosen", "score", "low", "high", "ceiling", "ceiled")
_COUNTS = {"targets": "n", "targets_with_ceiling": "n_ceiling"}
_ABOUT = b"corticalign"  # key of this program's metadata in the files


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
    _write(_rows_path(store, result.key), _packed(result, rows))


def load_rows(store: Path, result: Result, say: Callable[[str], None] = lambda sentence: None) -> pd.DataFrame | None:
    """The rows kept under the result's key with the columns and types they had, or None where there are none.

    A file whose checksum fails is reported through ``say`` and removed, so that its result is computed again.
    """
    path = _rows_path(store, result.key)
    try:
        table = pq.ParquetFile(path).read()
        about = json.loads(table.schema.metadata[_ABOUT])
        if about["key"] != result.key or about.pop("digest") != _digest(table, about):
            raise ValueError("its checksum fails")
        return _unpacked(table, about["columns"])
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, IndexError) as error:
        say(f"the result '{path}' is damaged ({str(error).splitlines()[0]}); it is removed and computed again")
        path.unlink(missing_ok=True)
        return None


def save_layers(
    store: Path, result: Result, layers: pd.DataFrame, best: pd.DataFrame, *, measure: str, convention: str
) -> None:
    """Writes :func:`layers_table`. InputError where the disk is full."""
    table = layers_table(result, layers, best, measure=measure, convention=convention)
    _write(_layers_path(store, result, convention), table)


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
        "beside": _map(both, beside, NUMBERS),
    }
    for name in (*_LAYER_COLUMNS, *_COUNTS, "best"):
        own = both[name] if name in both else pd.Series([None] * len(both), dtype=object)
        if name == "chosen":
            own = pd.Series([_votes(each) for each in own], dtype=object)
        field = LAYERS.field(_COUNTS.get(name, name))
        columns[field.name] = pa.array(own.tolist(), field.type, from_pandas=pa.types.is_integer(field.type))
    about = {"schema": SCHEMA, "key": result.key, "convention": convention}
    return pa.table([columns[field.name] for field in LAYERS], LAYERS.with_metadata(_metadata(about)))


def has_layers(store: Path, result: Result, convention: str) -> bool:
    """Whether the small table is there."""
    return _layers_path(store, result, convention).is_file()


def _packed(result: Result, rows: pd.DataFrame) -> pa.Table:
    """One schema for all metrics and recordings: columns that not all have become maps."""
    extra = [name for name in rows if name not in _FIXED]
    numbers = [str(name) for name in extra if rows[name].dtype.kind in "fiu"]
    words = [str(name) for name in extra if name not in numbers]
    columns: list[Any] = []
    for field in ROWS:
        if field.name in ("key", "model"):
            columns.append(pa.array([getattr(result, field.name)] * len(rows), field.type))
        elif field.type == NUMBERS:
            columns.append(_map(rows, numbers, NUMBERS))
        elif field.type == WORDS:
            columns.append(_map(rows, words, WORDS))
        elif field.name not in rows:
            columns.append(pa.nulls(len(rows), field.type))
        elif field.type == pa.string():
            columns.append(pa.array(_words(rows[field.name]), field.type))
        else:
            columns.append(pa.array(rows[field.name].to_numpy(), field.type))
    about = {
        "schema": SCHEMA,
        "key": result.key,
        "parts": result.parts,
        "columns": [[str(name), str(dtype)] for name, dtype in rows.dtypes.items()],
    }
    table = pa.table(columns, ROWS)
    about = json.loads(json.dumps(about, default=str))  # as it will be read
    return table.replace_schema_metadata(_metadata({**about, "digest": _digest(table, about)}))


def _unpacked(table: pa.Table, columns: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """The frame that was packed. Text comes back as text, whatever objects it was made of."""
    found: dict[str, Any] = {name: table[name].to_numpy() for name in _FIXED if name not in ("key", "model")}
    for place in ("details", "labels"):
        column = table[place].combine_chunks()
        # Every row has the same names in the same order.
        names = column.keys[: len(column.keys) // max(len(column), 1)].to_pylist()
        items = column.items.to_numpy(zero_copy_only=False).reshape(len(column), -1)
        found |= {name: items[:, at] for at, name in enumerate(names)}
    return pd.DataFrame({name: _typed(found[name], dtype) for name, dtype in columns})


def _typed(values: np.ndarray, dtype: str) -> Any:
    if dtype == "bool":
        return values == "True"
    series = pd.Series(values)
    return series if dtype in ("object", "str") else series.astype(pd.api.types.pandas_dtype(dtype))


def _map(frame: pd.DataFrame, names: Sequence[str], kind: pa.MapType) -> pa.Array:
    """One map per row, with these columns as its entries."""
    count = len(frame)
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * len(names))
    keys = pa.array(list(names) * count, pa.string())
    if kind == NUMBERS:
        values = pa.array(frame[list(names)].to_numpy(np.float64, na_value=np.nan).ravel(), pa.float64())
    else:
        each = [_words(frame[name]) for name in names]
        values = pa.array([word for row in zip(*each, strict=True) for word in row], pa.string())
    return pa.MapArray.from_arrays(offsets, keys, values)


def _words(column: pd.Series) -> list[str | None]:
    return [None if absent else str(value) for value, absent in zip(column, column.isna(), strict=True)]


def _votes(chosen: object) -> str | None:
    return ", ".join(f"{layer} {count}x" for layer, count in chosen.items()) if isinstance(chosen, Mapping) else None


def _metadata(about: Mapping[str, object]) -> dict[bytes, bytes]:
    return {_ABOUT: json.dumps(about, sort_keys=True, default=str).encode()}


def _digest(table: pa.Table, about: Mapping[str, object]) -> str:
    """SHA-256 of content and description: Parquet's own checksums leave out a file's end, which says where they are."""
    sha = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for column in table.combine_chunks().columns:
        flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        for part in [flat.keys, flat.items] if pa.types.is_map(flat.type) else [flat]:
            if pa.types.is_string(part.type):
                encoded = part.dictionary_encode()
                sha.update("\0".join(encoded.dictionary.to_pylist()).encode())
                part = encoded.indices.fill_null(-1)
            sha.update(np.ascontiguousarray(part.to_numpy(zero_copy_only=False)).tobytes())
    return sha.hexdigest()


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


def _rows_path(store: Path, key: str) -> Path:
    return store / "rows" / f"{key}.parquet"


def _layers_path(store: Path, result: Result, convention: str) -> Path:
    return store / "layers" / f"{result.key}-{digest_of({'convention': convention})[:8]}.parquet"
