"""Which reader types the cells of a column, and the order in which columns are sent.

Between `columns` and `rows`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from reelsweep.prompts.cells import CellReader, as_point_number
from reelsweep.prompts.columns import COLUMNS, find_column


def check_fixed(name: str, cell: str) -> None:
    """Raises ValueError where a cell given by an option is not one for its column."""
    reader = find_reader(name, decimal_comma=False)
    if reader is not None and cell:
        reader(cell)


def find_reader(name: str, decimal_comma: bool) -> CellReader | None:
    """The reader of a column's cells, None where they are only carried."""
    try:
        column = find_column(name)
    except ValueError:  # a misused `body.` name: `plan` has complained about the column
        return None
    if column is None:
        return None
    if decimal_comma and column.type == "number":
        return lambda cell: column.read(as_point_number(cell))
    return column.read


def in_order(names: Iterable[str]) -> list[str]:
    """Columns as `columns` declares them, then the body fields by name: the order they are sent in."""
    declared = {column.name: index for index, column in enumerate(COLUMNS)}
    return sorted(names, key=lambda name: (declared.get(name, len(declared)), name))
