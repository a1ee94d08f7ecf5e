"""The small tables of all results, read as one.

``index.parquet`` repeats the files of ``layers`` in one, for speed only: it may be deleted at any time.
"""

import contextlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.store.atomic import write_file
from engine.store.packing import SCHEMA
from engine.store.results import DAMAGED, LAYERS, read

_TEXT = [field.name for field in LAYERS if field.type == pa.string()]
_STALE = 100  # files that the index may lack before it is written anew; each costs about a millisecond to open


def read_layers(store: Path, say: Callable[[str], None] = lambda sentence: None) -> pa.Table:
    """Every row of ``layers``: the schema LAYERS, its text as dictionaries.

    Opening a file costs about a millisecond, so most are read from the index, which is brought up to date where it
    lacks many. Damaged files are reported through ``say`` and left out.
    """
    folder = store / "layers"
    names: list[str] = []
    with contextlib.suppress(FileNotFoundError):  # nothing was stored yet
        names = sorted(name for name in os.listdir(folder) if name.endswith(".parquet") and not name.startswith("."))
    known = read_index(store)
    indexed = set(known["file"].unique().to_pylist())
    new = [name for name in names if name not in indexed]
    whole = known
    if new:
        whole = pa.concat_tables([known, index_of(_read_each(folder, new, say))]).unify_dictionaries()
    if gone := indexed - set(names):
        whole = whole.filter(pc.invert(pc.is_in(whole["file"], pa.array(sorted(gone)))))
    if len(new) > _STALE:
        with contextlib.suppress(OSError):  # a store that may only be read, or a full disk: only slower
            write_index(store, whole)
    return whole.drop_columns(["file"])


def index_of(tables: Iterable[tuple[str, pa.Table]]) -> pa.Table:
    """Small tables under each other, with the names of their files; text as dictionaries."""
    parts = [LAYERS.empty_table().append_column("file", pa.array([], pa.string()))]
    for name, table in tables:
        parts.append(table.replace_schema_metadata().append_column("file", pa.array([name] * len(table))))
    whole = pa.concat_tables(parts).combine_chunks()
    for name in [*_TEXT, "file"]:
        whole = whole.set_column(whole.column_names.index(name), name, whole[name].dictionary_encode())
    return whole


def read_index(store: Path) -> pa.Table:
    """The index; empty where there is none of this version of the schema, or it is damaged."""
    empty = index_of([])
    try:
        # ParquetFile, not read_table: that one would import all of pyarrow.dataset.
        table = pq.ParquetFile(
            store / "index.parquet",
            read_dictionary=[*_TEXT, "file"],
            memory_map=True,
            page_checksum_verification=True,
        ).read()
    except (OSError, pa.ArrowException):
        return empty
    table = table.replace_schema_metadata()
    return table if table.schema == empty.schema else empty


def write_index(store: Path, index: pa.Table) -> None:
    """Replaces the index. Two writers leave one or the other: what it lacks is read from the files."""
    content = io.BytesIO()
    pq.write_table(index, content, compression="zstd", write_page_checksum=True)
    write_file(store / "index.parquet", lambda file: file.write(content.getbuffer()))


def _read_each(folder: Path, names: Sequence[str], say: Callable[[str], None]) -> Iterator[tuple[str, pa.Table]]:
    for name in names:
        try:
            table, _ = read(folder / name)
            if not table.schema.equals(LAYERS):
                raise ValueError(f"its schema is not version {SCHEMA}")
        except FileNotFoundError:
            continue
        except DAMAGED as error:
            say(f"left out: '{folder / name}' ({str(error).splitlines()[0]}); remove it and run its job again")
            continue
        yield name, table
