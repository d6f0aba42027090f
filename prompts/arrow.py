"""Columns kept in Arrow: a million rows in the memory of their text.

Used by `delimited` and `typed`; the only module here that speaks to pyarrow.
"""

# pyarrow ships no types: what it returns is Any here and has a type again where it leaves this module.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from reelsweep.prompts.records import Record, plain
from reelsweep.prompts.request import Json

BATCH_ROWS = 4096
Batch = Any
"""A pyarrow.RecordBatch."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class ArrowRecords:
    """Rows in Arrow record batches, Python values one part of a batch at a time."""

    batches: tuple[Batch, ...]

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self.batches)

    def __iter__(self) -> Iterator[Record]:
        for batch in self.batches:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                part = batch.slice(start, BATCH_ROWS)
                yield from zip(*(_values(column) for column in part.columns), strict=True)


def _values(column: Any) -> list[Json]:
    values: list[Json] = column.to_pylist(maps_as_pydicts="strict")
    if _is_text(column.type) or pa.types.is_integer(column.type):
        return values
    return [plain(value, keep_nulls=False) for value in values]


def text_batch(columns: Iterable[Sequence[str]]) -> Batch:
    """Cells of text, column by column, as one batch."""
    arrays = [pa.array(cells, type=pa.large_string()) for cells in columns]
    return pa.RecordBatch.from_arrays(arrays, names=[str(index) for index in range(len(arrays))])


def columns_with_nul(batch: Batch) -> list[int]:
    """The columns of text in which a cell holds a NUL character: asked of Arrow, not cell by cell."""
    columns = enumerate(batch.columns)
    return [index for index, column in columns if _is_text(column.type) and _has_nul(column)]


def _is_text(kind: Any) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _has_nul(column: Any) -> bool:
    return bool(pc.any(pc.match_substring(column, "\0")).as_py())


def read_parquet_batches(
    data: bytes, keep: Callable[[str], bool]
) -> tuple[tuple[str, ...], tuple[Batch, ...]]:
    """The names and batches of the columns to keep. ValueError for what is no whole Parquet file."""
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from None
    kept = [index for index, name in enumerate(table.column_names) if keep(name)]
    names = tuple(str(table.column_names[index]) for index in kept)
    table = pa.Table.from_arrays([_as_written(table.column(index)) for index in kept], names=list(names))
    return names, tuple(table.to_batches())


def _as_written(column: Any) -> Any:
    """A `float32` 0.7 as 0.7, not as the double 0.699999988 beside it."""
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        return pc.cast(pc.cast(pc.cast(column, pa.float32()), pa.string()), pa.float64())
    return column


def series_values(series: Any) -> tuple[Json, ...]:
    """The cells of a pandas Series that has a dtype of its own (not `object`)."""
    array = _as_written(pa.array(series, from_pandas=True))
    return tuple(plain(value, keep_nulls=False) for value in array.to_pylist())
