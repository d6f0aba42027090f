"""A table under its settings: the cells it asks for, and what each carries, as often as wanted.

Used by `plan`. Pure but for the image loader it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from reelsweep.prompts.cells import as_text
from reelsweep.prompts.columns import BODY_PREFIX, BY_NAME
from reelsweep.prompts.expand import Cell, Combination, expand, find_lineage
from reelsweep.prompts.images import ImageDesk
from reelsweep.prompts.payload import Additions
from reelsweep.prompts.records import Record, Table
from reelsweep.prompts.request import Json
from reelsweep.prompts.rows import Defaults, Problems, RowReader
from reelsweep.prompts.settings import DEFAULT_MODEL, Overrides, PlanSettings
from reelsweep.prompts.uses import meta_name


class Source:
    """Where a plan's cells come from."""

    def __init__(
        self, table: Table, settings: PlanSettings, overrides: Overrides, desk: ImageDesk, problems: Problems
    ) -> None:
        self._table = table
        self._problems = problems
        self._additions = Additions(body=settings.extra_body, url_query=settings.url_query)
        self._overrides = overrides
        defaults = Defaults(output=settings.output, model=settings.model or DEFAULT_MODEL)
        self._combinations = [self._combination(axes, defaults, desk) for axes in overrides.sweep.cells()]
        self._meta = [
            (meta_name(name), index)
            for index, name in enumerate(table.columns)
            if name not in overrides.options and not _is_known(name)
        ]

    def _combination(self, axes: Mapping[str, str], defaults: Defaults, desk: ImageDesk) -> Combination:
        fixed = {**self._overrides.fixed, **axes}
        reader = RowReader(
            self._table.columns,
            fixed,
            axes=self._overrides.sweep.names,
            defaults=defaults,
            desk=desk,
            problems=self._problems,
            decimal_comma=self._table.decimal_comma,
        )
        if "follows" not in (*self._table.columns, *fixed):
            return Combination(axes=axes, reader=reader)
        lineage = find_lineage(self._table, fixed, reader, self._additions, self._problems)
        return Combination(axes=axes, reader=reader, lineage=lineage)

    def cells(self, only: Sequence[int] | None = None) -> Iterator[Cell]:
        """Every cell in order; with `only`, those of the rows whose place in it holds no 0."""
        return expand(self._table.records, self._combinations, self._additions, self._problems, only)

    def meta(self, record: Record) -> dict[str, str | None]:
        """What a row carries to the manifest: its other columns, and what --set put into them."""
        carried = {name: _carried(record[index]) for name, index in self._meta}
        for name, cell in self._overrides.fixed.items():
            if not _is_known(name):
                carried[meta_name(name)] = cell or None
        return carried

    @property
    def template_names(self) -> frozenset[str]:
        """Columns and axes that templates have used."""
        return frozenset[str]().union(*(each.reader.template_names for each in self._combinations))

    @property
    def num_empty(self) -> int:
        """Rows without a cell, in the readings so far of the first combination."""
        return self._combinations[0].reader.num_empty


def _carried(cell: Json) -> str | None:
    return None if cell is None or cell == "" else as_text(cell)


def _is_known(name: str) -> bool:
    return name in BY_NAME or name.startswith(BODY_PREFIX)
