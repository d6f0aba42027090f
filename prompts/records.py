"""A table in memory: its name, its columns, one tuple of cells per row, read as often as wanted.

Filled by the readers of `table`, read by `rows`. `arrow` keeps those of big files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Protocol, cast

from reelsweep.prompts.errors import Problem
from reelsweep.prompts.request import Json

Record = tuple[Json, ...]
"""One row's cells in the order of the columns: text as written, or a typed value; None or "" is absent."""


class Records(Protocol):
    """The rows of a table, as often as wanted."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Record]: ...


@dataclass(frozen=True, slots=True, eq=False)
class ColumnRecords:
    """Rows in lists, one per column (a DataFrame's)."""

    columns: tuple[Sequence[Json], ...]

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def __iter__(self) -> Iterator[Record]:
        return zip(*self.columns, strict=True)


@dataclass(frozen=True, slots=True, eq=False)
class LineRecords:
    """Rows as the lines of a JSONL file, parsed anew each time."""

    lines: tuple[bytes, ...]
    names: tuple[str, ...]
    parse: Callable[[bytes], dict[str, Json]]

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[Record]:
        for line in self.lines:
            cells = self.parse(line)
            yield tuple(cells.get(name) for name in self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of several files that are one table."""

    name: str
    num_rows: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A table as it was read: names and cells, nothing decided.

    `folder` is where the images of its rows are, None where it came from no local file.
    `sha256` is that of the file as stored, or of a DataFrame's cells.
    """

    name: str
    stem: str
    folder: Path | None
    sha256: str
    columns: tuple[str, ...]
    records: Records
    decimal_comma: bool = False
    """Numbers may be written `0,7`, as Excel does in `;`-separated files."""
    parts: tuple[Part, ...] = ()
    """The files it consists of, where it is a folder or a pattern."""
    problems: tuple[Problem, ...] = ()
    """What was found wrong when these were put together."""

    def place(self, row_idx: int) -> tuple[str | None, int]:
        """The file among `parts` that a row is from, None for a single file, and its 1-based row there."""
        row = row_idx + 1
        for part in self.parts:
            if row <= part.num_rows:
                return part.name, row
            row -= part.num_rows
        return None, row

    def row_name(self, row_idx: int) -> str:
        """How messages call a row: `3`, or `b.csv:3`."""
        file, row = self.place(row_idx)
        return f"{file}:{row}" if file else str(row)


def plain(value: object, *, keep_nulls: bool = True) -> Json:
    """A cell from Arrow, pandas or numpy as a plain value: NaN is absent, an instant is its ISO text.

    Without `keep_nulls` the fields of an object that are null are left out: Parquet cannot tell them
    from absent ones.
    """
    match value:
        case None | bool():
            return value
        case str():
            return str(value)
        case int():
            return int(value)
        case float():
            return None if value != value else float(value)
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return value.decode()
        case dict():
            fields = cast(dict[object, object], value).items()
            kept = ((key, item) for key, item in fields if keep_nulls or item is not None)
            return {str(key): plain(item, keep_nulls=keep_nulls) for key, item in kept}
        case list() | tuple():
            return [plain(item, keep_nulls=keep_nulls) for item in cast(Sequence[object], value)]
        case _:
            return str(value)
