"""Rows of scores as Arrow tables of one schema, and back with the columns and types they had.

Columns that not all metrics and recordings have become maps; what is needed to give the frame back, and a digest of
content and description, stand in the table's metadata.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

SCHEMA = "1"
ABOUT = b"corticalign"  # key of this program's metadata in the files
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
_FIXED = [field.name for field in ROWS if field.type not in (NUMBERS, WORDS)]


def packed(key: str, model: str, parts: Mapping[str, object], rows: pd.DataFrame) -> pa.Table:
    """The rows of a result of this key and model. ``parts`` is what the key is made of."""
    extra = [name for name in rows if name not in _FIXED]
    numbers = [str(name) for name in extra if rows[name].dtype.kind in "fiu"]
    words = [str(name) for name in extra if name not in numbers]
    columns: list[Any] = []
    for field in ROWS:
        if field.name in ("key", "model"):
            columns.append(pa.array([{"key": key, "model": model}[field.name]] * len(rows), field.type))
        elif field.type == NUMBERS:
            columns.append(as_map(rows, numbers, NUMBERS))
        elif field.type == WORDS:
            columns.append(as_map(rows, words, WORDS))
        elif field.name not in rows:
            columns.append(pa.nulls(len(rows), field.type))
        elif field.type == pa.string():
            columns.append(pa.array(_words(rows[field.name]), field.type))
        else:
            columns.append(pa.array(rows[field.name].to_numpy(), field.type))
    about = {
        "schema": SCHEMA,
        "key": key,
        "parts": parts,
        "columns": [[str(name), str(dtype)] for name, dtype in rows.dtypes.items()],
    }
    return sealed(pa.table(columns, ROWS), about)


def unpacked(table: pa.Table, columns: Sequence[tuple[str, str]]) -> pd.DataFrame:
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


def as_map(frame: pd.DataFrame, names: Sequence[str], kind: pa.MapType) -> pa.Array:
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


def sealed(table: pa.Table, about: Mapping[str, object]) -> pa.Table:
    """The table with its description, and a digest of both."""
    about = json.loads(json.dumps(about, default=str))  # as it will be read
    whole = {**about, "digest": _digest(table, about)}
    return table.replace_schema_metadata({ABOUT: json.dumps(whole, sort_keys=True).encode()})


def opened(table: pa.Table) -> dict[str, Any]:
    """The description of a sealed table. ValueError or KeyError where it is damaged, or no such table."""
    about: dict[str, Any] = json.loads(table.schema.metadata[ABOUT])
    if about.pop("digest") != _digest(table, about):
        raise ValueError("its checksum fails")
    return about


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
