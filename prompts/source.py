"""A table under its settings: the cells it asks for, and what each carries, as often as wanted.

Used by `plan`. Pure but for the image loader it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from reelsweep.prompts.cells import as_text
from reelsweep.prompts.columns import BODY_PREFIX, BY_NAME
from reelsweep.prompts.expand import Cell, Combination, expand, find_lineage
from reelsweep.prompts.images import ImageDesk
from reelsweep.prompts.lineage import Lineage
from reelsweep.prompts.payload import Additions
from reelsweep.prompts.records import Record, Table
from reelsweep.prompts.request import Json
from reelsweep.prompts.rows import Defaults, Problems, RowReader
from reelsweep.prompts.settings import DEFAULT_MODEL, Overrides, PlanSettings
from reelsweep.prompts.uses import meta_name

MOST_KEPT = 10_000
"""Combinations that are kept; more are made anew for every row, so that they take no memory."""


class Source:
    """Where a plan's cells come from."""

    def __init__(
        self, table: Table, settings: PlanSettings, overrides: Overrides, desk: ImageDesk, problems: Problems
    ) -> None:
        self._table = table
        self._problems = problems
        self._additions = Additions(body=settings.extra_body, url_query=settings.url_query)
        self._overrides = overrides
        self._num_candidates = settings.num_candidates
        self._reader = RowReader(
            table.columns,
            overrides.fixed,
            sweep=overrides.sweep,
            defaults=Defaults(output=settings.output, model=settings.model or DEFAULT_MODEL),
            desk=desk,
            problems=problems,
            decimal_comma=table.decimal_comma,
        )
        follows = "follows" in (*table.columns, *overrides.fixed)
        is_small = overrides.sweep.num_crossed <= MOST_KEPT
        self._kept = list(self._make_combinations(follows=follows)) if follows or is_small else None
        self._meta = [
            (meta_name(name), index)
            for index, name in enumerate(table.columns)
            if name not in overrides.options and not _is_known(name)
        ]

    def _make_combinations(self, *, follows: bool) -> Iterator[Combination]:
        """Every combination, with its lineage where rows follow others."""
        for axes in self._overrides.sweep.cells():
            yield Combination(axes=axes, lineage=self._find_lineage(axes) if follows else None)

    def _find_lineage(self, axes: Mapping[str, str]) -> Lineage:
        fixed = self._overrides.fixed
        return find_lineage(self._table, fixed, self._reader, axes, self._additions, self._problems)

    def _combinations(self) -> Iterable[Combination]:
        return self._make_combinations(follows=False) if self._kept is None else self._kept

    def cells(self, only: Sequence[int] | None = None) -> Iterator[Cell]:
        """Every cell in order; with `only`, those of the rows whose place in it holds no 0."""
        records = self._table.records
        return expand(
            records,
            self._reader,
            self._combinations,
            self._additions,
            self._problems,
            only,
            num_candidates=self._num_candidates,
        )

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
        return frozenset(self._reader.template_names)

    @property
    def num_empty(self) -> int:
        """Rows without a cell, of those read so far."""
        return self._reader.num_empty


def _carried(cell: Json) -> str | None:
    return None if cell is None or cell == "" else as_text(cell)


def _is_known(name: str) -> bool:
    return name in BY_NAME or name.startswith(BODY_PREFIX)
