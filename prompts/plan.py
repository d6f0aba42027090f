"""The plan: every generation a table asks for, named by its fingerprint before anything is sent.

Last of `prompts`, before the ledger. Making it reads the whole table once, so that all problems are known
and all fingerprints with them (52 bytes each are kept); its specs are made anew whenever they are asked for.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reelsweep.prompts.census import DIGEST_BYTES, Census
from reelsweep.prompts.errors import SettingsError, TableError
from reelsweep.prompts.expand import Cell
from reelsweep.prompts.images import ImageDesk, ImageLoader, LoadedImage
from reelsweep.prompts.messages import image_hashes, prompt_text
from reelsweep.prompts.records import Record, Table
from reelsweep.prompts.request import GenerationSpec
from reelsweep.prompts.rows import Problems
from reelsweep.prompts.settings import Overrides, PlanSettings, find_overrides
from reelsweep.prompts.source import Source
from reelsweep.prompts.sweep import Sweep
from reelsweep.prompts.told import TOLD_BYTES, params_of
from reelsweep.prompts.uses import (
    ColumnUse,
    check_carried,
    check_fragments,
    check_header,
    sort_columns,
)
from reelsweep.prompts.wording import count

__all__ = ["ColumnUse", "LoadedImage", "Plan", "PlanSettings", "make_plan"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Everything a table asks for, in order."""

    table: Table
    settings: PlanSettings
    plan_hash: str
    """sha256 over what is asked, in order: prompt ids, samples, outputs, fingerprints."""
    num_rows: int
    """Rows of the table that ask for something."""
    num_shared: int
    """Cells whose request came earlier in the plan: bought once."""
    columns: ColumnUse
    sweep: Sweep
    """The axes of `--sweep` and `--grid`."""
    warnings: tuple[str, ...]
    repeated: frozenset[str] = field(repr=False)
    """The fingerprints that come more than once."""
    models: frozenset[str]
    """Every model that is asked."""
    firsts: array[int] = field(repr=False)
    """Where the generations of each row and combination of axes begin: they stand together."""
    _source: Source = field(repr=False)
    _digests: bytes = field(repr=False)
    _told: bytes = field(repr=False)
    _rows: array[int] = field(repr=False)
    """The row of each generation, ascending."""

    def __len__(self) -> int:
        return len(self._digests) // DIGEST_BYTES

    def specs(self) -> Iterator[GenerationSpec]:
        """Every generation in order, made one at a time; the same each time."""
        return self._specs(enumerate(self._source.cells()))

    def specs_at(self, ordinals: Sequence[int]) -> Iterator[GenerationSpec]:
        """The generations at these places, which ascend; rows without one are not even read."""
        return self._specs(self._cells_at(ordinals))

    def fingerprints(self) -> Iterator[str]:
        """The request_fingerprint of every generation in order, without making one."""
        return map(self._fingerprint, range(len(self)))

    def told(self, ordinal: int) -> str:
        """What the manifest tells of the generation at this place, as a hash (`told_digest`), hex."""
        return self._told[ordinal * TOLD_BYTES : (ordinal + 1) * TOLD_BYTES].hex()

    def _specs(self, cells: Iterable[tuple[int, Cell]]) -> Iterator[GenerationSpec]:
        record: Record | None = None
        meta: Mapping[str, str | None] = {}
        for ordinal, cell in cells:
            if cell.record is not record:
                record, meta = cell.record, self._source.meta(cell.record)
            yield _spec(ordinal, cell, self._fingerprint(ordinal), meta)

    def _cells_at(self, ordinals: Sequence[int]) -> Iterator[tuple[int, Cell]]:
        rows = bytearray(self._rows[-1] + 1 if self._rows else 0)
        for ordinal in ordinals:
            rows[self._rows[ordinal]] = True
        wanted = iter(ordinals)
        at, next_at, row_idx = -1, next(wanted, None), -1
        for cell in self._source.cells(rows):
            at = at + 1 if cell.row.row_idx == row_idx else bisect_left(self._rows, cell.row.row_idx)
            row_idx = cell.row.row_idx
            if at == next_at:
                yield at, cell
                next_at = next(wanted, None)

    def _fingerprint(self, ordinal: int) -> str:
        return self._digests[ordinal * DIGEST_BYTES : (ordinal + 1) * DIGEST_BYTES].hex()


def make_plan(table: Table, settings: PlanSettings, *, load_image: ImageLoader | None = None) -> Plan:
    """The plan of a table under the settings.

    Raises TableError with every problem of the table (a reference `load_image` complains about is one of
    them), SettingsError for an option that is wrong, UsageError for more generations than can be meant.
    """
    problems = Problems(table)
    overrides = find_overrides(settings)
    fragments = [axis.name for axis in overrides.sweep.fragments]
    names = [name for name in (*table.columns, *overrides.options) if name not in fragments]
    check_fragments(fragments, names, table.columns, problems)
    check_header(table.columns, overrides.options, problems)
    if settings.num_candidates and "follows" in names:
        raise SettingsError("--accept: rows that follow others are made as often as those.", "Leave it out.")
    source = Source(table, settings, overrides, ImageDesk(load_image), problems)
    census = Census(source.meta)
    for cell in source.cells():
        census.add(cell, problems)
    use = sort_columns(names, source.template_names)
    if len(census.digests) or "prompt_template" not in names:
        check_carried(use, overrides.sweep.names, problems)
    census.check_outputs(problems)
    if found := problems.sorted():
        raise TableError(table.name, found)
    num_shared, repeated = census.find_repeated()
    return Plan(
        table=table,
        settings=settings,
        plan_hash=census.plan_hash(),
        num_rows=census.num_rows,
        num_shared=num_shared,
        columns=use,
        sweep=overrides.sweep,
        warnings=tuple(_warnings(table, settings, overrides, source.num_empty, num_shared)),
        _source=source,
        repeated=repeated,
        models=frozenset(census.models),
        firsts=census.firsts,
        _digests=bytes(census.digests),
        _told=bytes(census.told),
        _rows=census.rows,
    )


def _spec(ordinal: int, cell: Cell, fingerprint: str, meta: Mapping[str, str | None]) -> GenerationSpec:
    row = cell.row
    messages = cell.payload["messages"]
    said = messages if isinstance(messages, list) else []
    return GenerationSpec(
        ordinal=ordinal,
        prompt_id=row.prompt_id,
        row_idx=row.row_idx,
        sample_idx=cell.sample_idx,
        output=row.output,
        model=row.model,
        payload=cell.payload,
        request_fingerprint=fingerprint,
        prompt=prompt_text(said) if row.text is None else row.text,
        seed=cell.seed,
        params=params_of(cell),
        meta=meta,
        images=image_hashes(said) if row.images or cell.parent else (),
        follows=cell.parent,
    )


def _warnings(
    table: Table, settings: PlanSettings, overrides: Overrides, num_empty: int, num_shared: int
) -> Iterator[str]:
    for name, option in overrides.options.items():
        if num_cells := _count_cells(table, name):
            yield f"{option} replaces the `{name}` cell of {count(num_cells, 'row')}."
    if settings.model and (num_cells := _count_cells(table, "model")):
        yield f"--model leaves {count(num_cells, 'row')} with a model as it is; --set model=… replaces it."
    if num_empty:
        yield f"{count(num_empty, 'empty row')} passed over."
    if num_shared:
        yield (
            f"{count(num_shared, 'generation')} asked for already by an earlier row: bought once."
            " Several results of one request are bought with `samples`."
        )


def _count_cells(table: Table, name: str) -> int:
    if name not in table.columns:
        return 0
    index = table.columns.index(name)
    return sum(record[index] is not None and record[index] != "" for record in table.records)
