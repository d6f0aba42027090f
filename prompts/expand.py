"""Rows times axes times seeds times samples: the cells of a plan, lazily, always in the same order.

After `rows`, inside `plan`. Pure. Rows are outermost, then the axes (the last turns fastest), the seeds,
the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from reelsweep.prompts.cells import as_text
from reelsweep.prompts.lineage import Lineage
from reelsweep.prompts.payload import Additions, build_payload, opening
from reelsweep.prompts.records import Record, Records, Table
from reelsweep.prompts.request import Json
from reelsweep.prompts.rows import Problems, PromptRow, RowReader

_NO_SEED: Sequence[None] = (None,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """One combination of the axes."""

    axes: Mapping[str, str]
    lineage: Lineage | None = None
    """Only where rows follow others."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One generation to be: everything but its place in the plan and its fingerprint."""

    row: PromptRow
    record: Record
    axes: Mapping[str, str]
    seed: int | None
    sample_idx: int
    payload: Mapping[str, Json]
    """The same object for all samples of a request."""
    parent: str | None
    """Fingerprint of the generation it follows."""


def expand(
    records: Records,
    reader: RowReader,
    combinations: Callable[[], Iterable[Combination]],
    additions: Additions,
    problems: Problems,
    only: Sequence[int] | None = None,
) -> Iterator[Cell]:
    """Every cell of a table in order. Rows with problems are noted and passed over.

    `only` picks rows: those whose place in it holds no 0; what lies beyond its end is not read.
    """
    for row_idx, record in enumerate(records if only is None else islice(records, len(only))):
        if problems.full:
            return
        if only is not None and not only[row_idx]:
            continue
        for combination in combinations():
            row = reader.read(row_idx, record, combination.axes)
            if row is None:
                continue
            try:
                yield from _row_cells(row, record, combination, additions)
            except ValueError as error:
                problems.add(row_idx, "follows" if row.follows else "prompt_template", str(error))


def _row_cells(
    row: PromptRow, record: Record, combination: Combination, additions: Additions
) -> Iterator[Cell]:
    if row.follows is not None:
        yield from _follower_cells(row, record, combination, additions)
        return
    for seed in row.seeds or _NO_SEED:
        payload = build_payload(row, seed, opening(row, seed), additions)
        for sample_idx in range(row.samples or 1):
            yield Cell(row, record, combination.axes, seed, sample_idx, payload, None)


def _follower_cells(
    row: PromptRow, record: Record, combination: Combination, additions: Additions
) -> Iterator[Cell]:
    """Each sample follows its own parent, so each has messages of its own."""
    lineage = combination.lineage
    heir = lineage.row(row) if lineage is not None else None
    if lineage is None or heir is None:
        return
    for seed in heir.seeds or _NO_SEED:
        for sample_idx in range(heir.samples or 1):
            said = lineage.conversation(heir, seed, sample_idx)
            payload = build_payload(heir, seed, said.messages, additions)
            yield Cell(heir, record, combination.axes, seed, sample_idx, payload, said.parent)


def find_lineage(
    table: Table,
    fixed: Mapping[str, str],
    reader: RowReader,
    axes: Mapping[str, str],
    additions: Additions,
    problems: Problems,
) -> Lineage:
    """The parents of a table's followers under one combination.

    One reading of the rows; those are kept that follow or are followed.
    """
    ids = _column_texts(table, fixed, "prompt_id")
    wanted = _column_texts(table, fixed, "follows")
    rows = (reader.read(row_idx, record, axes) for row_idx, record in enumerate(table.records))
    kept = [row for row in rows if row is not None and (row.follows or row.prompt_id in wanted)]
    return Lineage(kept, ids, additions, problems)


def _column_texts(table: Table, fixed: Mapping[str, str], name: str) -> frozenset[str]:
    if name in fixed:
        return frozenset({fixed[name]})
    if name not in table.columns:
        return frozenset()
    index = table.columns.index(name)
    return frozenset(as_text(cell) for record in table.records if (cell := record[index]) is not None)
