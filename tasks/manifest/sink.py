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
from reelsweep.tasks.manifest.beside import beside
from reelsweep.tasks.manifest.cells import Kinds, cell, widen
from reelsweep.tasks.manifest.columns import META, PARAM, STRING, Column
from reelsweep.tasks.manifest.parquet import Writer, read_groups
from reelsweep.tasks.manifest.rows import Row
from reelsweep.tasks.manifest.schema import arrow_schema

BATCH_ROWS = 16_384
BATCH_CHARS = 32 * 2**20
"""Characters of one batch's long columns: megabyte prompts make small batches."""
_LONG = ("prompt", "messages", "text", "tool_calls", "params")


class Sink:
    """Rows on their way into `path`: `add` them, `finish`; the caller renames (`replace_durably`)."""

    def __init__(self, path: Path, columns: tuple[Column, ...]) -> None:
        self.path = path
        self.num_rows = 0
        self._columns = columns
        self._declared = frozenset(column.name for column in columns)
        self._kinds: Kinds = {}
        self._batch: list[Row] = []
        self._chars = 0
        self._writer: Writer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, row: Row) -> None:
        """Take one row."""
        self._batch.append(row)
        self.num_rows += 1
        for name in _LONG:
            self._chars += len(row.get(name) or "")
        if len(self._batch) >= BATCH_ROWS or self._chars >= BATCH_CHARS:
            self._flush()

    def finish(self, facts: Mapping[str, str]) -> None:
        """Write what is left, the facts and the footer; the neighbour is then whole and on the disk."""
        self._flush()
        self._writer_now().finish(facts)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The declared columns with those the rows brought along, as far as known."""
        return with_brought(self._columns, self._kinds)

    def _flush(self) -> None:
        names = sorted({*self._kinds, *set[str]().union(*self._batch)} - self._declared)
        kinds = {name: widen(self._kinds.get(name), self._raw(name)) for name in names}
        if kinds != self._kinds:
            self._kinds = kinds
            if self._writer is not None:
                self._rewrite()
        if self._batch:
            self._writer_now().write(self._table())
        self._batch, self._chars = [], 0

    def _writer_now(self) -> Writer:
        if self._writer is None:
            self._writer = Writer(self.path, arrow_schema(self.columns))
        return self._writer

    def _table(self) -> pa.Table:
        schema = arrow_schema(self.columns)
        arrays = [pa.array(self._values(field.name), field.type) for field in schema]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _values(self, name: str) -> list[Any]:
        if name in self._kinds:
            kind = self._kinds[name]
            return [cell(value, kind) for value in self._raw(name)]
        return self._raw(name)

    def _raw(self, name: str) -> list[Any]:
        return [row.get(name) for row in self._batch]

    def _rewrite(self) -> None:
        """Write the rows of the finished batches again, under the wider columns."""
        assert self._writer is not None
        self._writer.close()
        old = self.path.with_name(f".{self.path.name}.narrow")
        beside(self.path).replace(old)
        self._writer = Writer(self.path, arrow_schema(self.columns))
        for table in read_groups(old):
            self._writer.write(_widened(table, arrow_schema(self.columns), self._kinds))
        old.unlink()


def with_brought(columns: tuple[Column, ...], kinds: Kinds) -> tuple[Column, ...]:
    """The declared columns with `param_` ones behind `params` (or last) and `meta_` ones last."""
    brought = [Column(name, kind or STRING, "") for name, kind in sorted(kinds.items())]
    params = tuple(column for column in brought if column.name.startswith(PARAM))
    metas = tuple(column for column in brought if column.name.startswith(META))
    names = [column.name for column in columns]
    behind = names.index("params") + 1 if "params" in names else len(columns)
    return (*columns[:behind], *params, *columns[behind:], *metas)


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
