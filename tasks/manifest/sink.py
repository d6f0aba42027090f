"""One Parquet file, written row by row in batches of bounded size.

Between rows and `write.py`. Memory holds one batch, however long the table is. The columns a table brings
along are found on the way: a batch that needs a wider column rewrites what was written before it, so the
file depends on the rows alone. (Nearly every table shows all its columns in the first batch.)
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyarrow ships no types; nothing of it is unknown outside this folder's Arrow modules.
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from reelsweep.tasks.manifest.beside import beside
from reelsweep.tasks.manifest.cells import Kinds, cell, widen
from reelsweep.tasks.manifest.columns import META, PARAM, STRING, Column
from reelsweep.tasks.manifest.parquet import Writer, read_groups
from reelsweep.tasks.manifest.rows import Row
from reelsweep.tasks.manifest.schema import arrow_schema

CHUNK_ROWS = 256
"""Rows that wait as dicts, then become Arrow: few enough to stay in the processor's cache."""
GROUP_ROWS = 16_384
GROUP_CHARS = 32 * 2**20
"""Characters in one row group's long columns: megabyte prompts make small groups."""
_LONG = ("prompt", "messages", "text", "tool_calls", "params")


class Sink:
    """Rows on their way into `path`: `add` them, `finish`; the caller renames (`replace_durably`)."""

    def __init__(self, path: Path, columns: tuple[Column, ...]) -> None:
        self.path = path
        self.num_rows = 0
        self._declared = columns
        self._names = frozenset(column.name for column in columns)
        self._long = [name for name in _LONG if name in self._names]
        self._kinds: Kinds = {}
        self._chunk: list[Row] = []
        self._group: list[pa.Table] = []
        self._chars = 0
        self._writer: Writer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.drop()

    def add(self, row: Row) -> None:
        """Take one row."""
        self._chunk.append(row)
        self.num_rows += 1
        self._chars += sum([len(row.get(name) or "") for name in self._long])
        full = self._chars >= GROUP_CHARS or self.num_rows % GROUP_ROWS == 0
        if full or len(self._chunk) == CHUNK_ROWS:
            self._end_chunk()
        if full:
            self._end_group()

    def finish(self, facts: Mapping[str, str]) -> None:
        """Write what is left, the facts and the footer; the neighbour is then whole and on the disk."""
        self._end_chunk()
        self._end_group()
        self._writer_now().finish(facts)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The declared columns with those the rows brought along, as far as known."""
        return with_brought(self._declared, self._kinds)

    def _end_chunk(self) -> None:
        brought = {name: self._values(name) for name in self._names_brought()}
        kinds = {name: widen(self._kinds.get(name), values) for name, values in brought.items()}
        if kinds != self._kinds:
            self._kinds = kinds
            self._widen()
        typed = {name: [cell(value, kinds[name]) for value in values] for name, values in brought.items()}
        schema = arrow_schema(self.columns)
        arrays = [_array(typed.get(name) or self._values(name), kind) for name, kind in _types(schema)]
        self._group.append(pa.Table.from_arrays(arrays, schema=schema))
        self._chunk = []

    def _end_group(self) -> None:
        group = pa.concat_tables(self._group)
        if len(group):
            self._writer_now().write(group)
        self._group, self._chars = [], 0

    def _writer_now(self) -> Writer:
        if self._writer is None:
            self._writer = Writer(self.path, arrow_schema(self.columns))
        return self._writer

    def _names_brought(self) -> list[str]:
        return sorted(set(self._kinds).union(*self._chunk) - self._names)

    def _values(self, name: str) -> list[Any]:
        return [row.get(name) for row in self._chunk]

    def _widen(self) -> None:
        """Bring what was taken before under the wider columns."""
        schema = arrow_schema(self.columns)
        self._group = [_widened(table, schema, self._kinds) for table in self._group]
        if self._writer is None:
            return
        self._writer.close()
        with pq.ParquetFile(beside(self.path)) as narrow:
            beside(self.path).unlink()  # stays readable while it is open
            self._writer = Writer(self.path, schema)
            for table in read_groups(narrow):
                self._writer.write(_widened(table, schema, self._kinds))


def with_brought(columns: tuple[Column, ...], kinds: Kinds) -> tuple[Column, ...]:
    """The declared columns with `param_` ones behind `params` (or last) and `meta_` ones last."""
    brought = [Column(name, kind or STRING, "") for name, kind in sorted(kinds.items())]
    params = tuple(column for column in brought if column.name.startswith(PARAM))
    metas = tuple(column for column in brought if column.name.startswith(META))
    names = [column.name for column in columns]
    behind = names.index("params") + 1 if "params" in names else len(columns)
    return (*columns[:behind], *params, *columns[behind:], *metas)


def _types(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in schema]


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can say it, UTF-8 cannot
        return pa.array([value and value.encode("utf-8", "replace").decode() for value in values], kind)


def _widened(table: pa.Table, schema: pa.Schema, kinds: Kinds) -> pa.Table:
    """`table` under a wider schema; parameters are taken from `params`, which holds them exactly."""
    params = [json.loads(text) for text in table["params"].to_pylist()]

    def column(field: pa.Field) -> pa.Array | pa.ChunkedArray:
        if field.name.startswith(PARAM):
            name = field.name.removeprefix(PARAM)
            return pa.array([cell(row.get(name), kinds[field.name]) for row in params], field.type)
        known = field.name in table.column_names
        return table[field.name] if known else pa.nulls(len(table), field.type)

    return pa.Table.from_arrays([column(field) for field in schema], schema=schema)
