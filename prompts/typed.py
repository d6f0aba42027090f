"""Parquet, JSONL and DataFrames: cells that already have types, kept exact.

Before `table`. Integers keep 64 bits, a missing value is absent, `float32` is read as it is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reelsweep.prompts.arrow import ArrowRecords, columns_with_nul, read_parquet_batches, series_values
from reelsweep.prompts.errors import MAX_PROBLEMS, Problem, TableError
from reelsweep.prompts.jsontext import check_text, parse_json
from reelsweep.prompts.records import ColumnRecords, LineRecords, Records, plain
from reelsweep.prompts.request import Json

if TYPE_CHECKING:
    import pandas as pd

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The columns and rows of a typed table."""

    columns: tuple[str, ...]
    records: Records


def read_parquet(name: str, data: bytes) -> Typed:
    """The columns and rows of a Parquet file; TableError where it is none."""
    try:
        columns, batches = read_parquet_batches(data, lambda column: not _PANDAS_INDEX.fullmatch(column))
    except ValueError as error:
        problem = Problem(row=None, column=None, message=f"not a whole Parquet file ({str(error)[:200]})")
        raise TableError(name, (problem,)) from None
    records = ArrowRecords(batches)
    if any(map(columns_with_nul, batches)):
        _refuse_unsendable(name, columns, records)
    return Typed(columns=columns, records=records)


def _refuse_unsendable(name: str, columns: tuple[str, ...], records: Records) -> None:
    problems: list[Problem] = []
    for number, record in enumerate(records, 1):
        for column, cell in zip(columns, record, strict=True):
            try:
                check_text(cell if isinstance(cell, str) else "")
            except ValueError as error:
                problems.append(Problem(row=number, column=column, message=str(error)))
    if problems:
        raise TableError(name, tuple(problems[:MAX_PROBLEMS]))


def read_lines(name: str, data: bytes) -> Typed:
    """The columns (in order of appearance) and rows of a JSONL file: one object a line, lines end in LF.

    Raises TableError that names every row that is not an object.
    """
    lines = tuple(line for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip())
    columns: dict[str, None] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, 1):
        try:
            columns.update(dict.fromkeys(_object(line)))
        except ValueError as error:
            problems.append(Problem(row=number, column=None, message=_reason(error)))
            if len(problems) >= MAX_PROBLEMS:
                break
    if problems:
        raise TableError(name, tuple(problems))
    names = tuple(columns)
    return Typed(columns=names, records=LineRecords(lines, names, _object))


def _object(line: bytes) -> dict[str, Json]:
    value = parse_json(line.decode())
    if not isinstance(value, dict):
        raise ValueError(f"got {line[:40].decode(errors='replace')!r}, expected a JSON object")
    return value


def _reason(error: ValueError) -> str:
    return "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)


def read_frame(name: str, frame: pd.DataFrame) -> Typed:
    """The columns and rows of a DataFrame; its index is not a column."""
    columns = tuple(str(column) for column in frame.columns)
    records = ColumnRecords(tuple(_cells(frame.iloc[:, index]) for index in range(len(columns))))
    _refuse_unsendable(name, columns, records)
    return Typed(columns=columns, records=records)


def _cells(series: pd.Series[Any]) -> tuple[Json, ...]:
    return tuple(map(_cell, series)) if series.dtype == object else series_values(series)


def _cell(value: Any) -> Json:
    """One cell of an object column: numpy scalars and arrays become Python's, NA and NaT absent."""
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return None if type(value).__name__ in ("NAType", "NaTType") else plain(value)
