"""Tables in an HDF5 group, column by column: text, whole numbers, numbers, truth values, and what is missing."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import h5py
import numpy as np
import pandas as pd
from pandas.api import types

from engine.errors import InputError

_KINDS = {"int": "iu", "float": "f", "bool": "u"}  # type of a column -> kinds of numpy dtype in the file
_OBJECTS = {
    "string": "text",
    "empty": "text",
    "integer": "int",
    "floating": "float",
    "mixed-integer-float": "float",
    "boolean": "bool",
}


def escape(name: str) -> str:
    """A name as a link of an HDF5 group, where '/' and a lone '.' mean something else: percent-encoded."""
    return re.sub(r"[%/]|^\.$", lambda found: f"%{ord(found.group()):02X}", name)


def unescape(link: str) -> str:
    """The name that ``escape`` was given."""
    return unquote(link)


def write_text(group: h5py.Group, link: str, entries: Iterable[str]) -> None:
    """A dataset of UTF-8 text, each entry padded to the longest."""
    try:
        encoded = [entry.encode() for entry in entries]
    except UnicodeEncodeError as error:
        raise InputError(f"'{link}' of {group.name} holds text that cannot be stored: {error}") from error
    if any(b"\0" in entry for entry in encoded):
        raise InputError(f"'{link}' of {group.name} holds text that cannot be stored: it contains a null character")
    group.create_dataset(link, data=np.array(encoded, h5py.string_dtype("utf-8", max([1, *map(len, encoded)]))))


def write_text_attribute(group: h5py.Group, name: str, text: str) -> None:
    """A UTF-8 attribute of fixed length."""
    # Text of variable length lies in a heap that has no checksum; the library loops for ever on a damaged one.
    encoded = text.encode()
    group.attrs[name] = np.array(encoded, h5py.string_dtype("utf-8", max(1, len(encoded))))


def read_text_attribute(group: h5py.Group, name: str) -> str:
    """An attribute that holds text. KeyError where there is none."""
    text = group.attrs[name]
    return text.decode() if isinstance(text, bytes) else str(text)


def read_text(dataset: h5py.Dataset) -> list[str]:
    """The entries of a dataset of text."""
    if h5py.check_string_dtype(dataset.dtype) is None or dataset.ndim != 1:
        raise InputError(f"{dataset.name} holds {dataset.dtype} of shape {dataset.shape}, wanted a list of text")
    return list(dataset.asstr()[:])


def write_table(group: h5py.Group, table: pd.DataFrame) -> None:
    """The index as text ``id``, each column under ``columns``, where it has no entry under ``missing``."""
    write_text(group, "id", (str(entry) for entry in table.index))
    if table.index.name is not None:
        write_text_attribute(group, "id_name", str(table.index.name))
    columns, gaps = group.create_group("columns", track_order=True), group.create_group("missing")
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise InputError(f"column '{twice[0]}' stands twice in the table {group.name}; column names must differ")
    for name in table.columns:
        if not isinstance(name, str) or not name or "\0" in name:
            raise InputError(f"column name {name!r} of the table {group.name} cannot be stored; use text")
        kind, values = _plain(table[name], f"column '{name}' of the table {group.name}")
        if kind == "text":
            write_text(columns, escape(name), values)
        else:
            columns.create_dataset(escape(name), data=values)
        write_text_attribute(columns[escape(name)], "type", kind)
        missing = table[name].isna().to_numpy()
        if kind != "float" and missing.any():
            gaps.create_dataset(escape(name), data=missing.astype(np.uint8))


def read_table(group: h5py.Group) -> pd.DataFrame:
    """The table that ``write_table`` was given.

    Columns come back as plain numpy or pandas text columns; whole numbers and truth values with missing entries
    as pandas' nullable ones; categories as what they stand for.

    Raises:
        InputError, KeyError: the group does not hold a table.
    """
    ids = read_text(group["id"])
    columns, gaps = group["columns"], group["missing"]
    table: dict[str, Any] = {}
    for link in columns:
        missing = gaps[link][:].astype(bool) if link in gaps else None
        for part in (columns[link], gaps.get(link)):
            if part is not None and part.shape != (len(ids),):
                raise InputError(f"{part.name} has shape {part.shape}, but {group.name} has {len(ids)} ids")
        table[unescape(link)] = _read_column(columns[link], missing)
    name = read_text_attribute(group, "id_name") if "id_name" in group.attrs else None
    return pd.DataFrame(table, index=pd.Index(ids, dtype="str", name=name))


def _plain(column: pd.Series, where: str) -> tuple[str, Any]:
    """The type of a column and its entries as they are stored; missing ones are "", 0 or NaN."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.dtype.categories.dtype)
    dtype = column.dtype
    if types.is_bool_dtype(dtype):
        kind = "bool"
    elif types.is_integer_dtype(dtype):
        kind = "int"
    elif types.is_float_dtype(dtype):
        kind = "float"
    else:
        content = types.infer_dtype(column, skipna=True)
        kind = _OBJECTS.get(content, "")
        if not kind:
            raise InputError(f"{where} holds {content} ({dtype}); wanted text, whole numbers, numbers or truth values")
    if kind == "text":
        return kind, column.astype(object).where(column.notna(), "").tolist()
    plain: Any = getattr(dtype, "numpy_dtype", dtype)  # nullable columns name the dtype of their values
    stored = np.dtype(plain)
    if kind == "bool":
        return kind, column.to_numpy(bool, na_value=False).astype(np.uint8)
    if kind == "int":
        try:
            return kind, column.fillna(0).to_numpy(np.int64 if stored.kind == "O" else stored)
        except OverflowError as error:
            raise InputError(f"{where} holds whole numbers beyond 64 bits; store them as text") from error
    return kind, column.to_numpy(stored if stored in (np.float16, np.float32) else np.float64, na_value=np.nan)


def _read_column(dataset: h5py.Dataset, missing: np.ndarray | None) -> Any:
    kind = read_text_attribute(dataset, "type")
    if kind == "text":
        text = pd.Series(read_text(dataset), dtype="str")
        return (text if missing is None else text.mask(missing)).array
    if dataset.dtype.kind not in _KINDS.get(kind, ""):
        raise InputError(f"{dataset.name} holds {dataset.dtype} and calls it {kind!r}")
    values = dataset[:]
    if kind == "bool":
        values = values.astype(bool)
    if missing is None or kind == "float":
        return values
    return (pd.arrays.BooleanArray if kind == "bool" else pd.arrays.IntegerArray)(values, missing)
