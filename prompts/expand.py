"""Rows times axes times seeds times samples: the cells of a plan, lazily, always in the same order.

After `rows`, inside `plan`. Pure. Rows are outermost, then the axes (the last turns fastest), the seeds,
the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from reelsweep.prompts.candidates import candidates
from reelsweep.prompts.cells import as_text
from reelsweep.prompts.lineage import Lineage
from reelsweep.prompts.payload import Additions, build_payload, opening
from reelsweep.prompts.records import Record, Records, Table
from reelsweep.prompts.request import Json
from reelsweep.prompts.rows import Problems, PromptRow, RowReader


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
    candidate_idx: int
    """Which generation of this row under these axes, from 0."""


def expand(
    records: Records,
    reader: RowReader,
    combinations: Callable[[], Iterable[Combination]],
    additions: Additions,
    problems: Problems,
    only: Sequence[int] | None = None,
    *,
    num_candidates: int = 0,
) -> Iterator[Cell]:
    """Every cell of a table in order. Rows with problems are noted and passed over.

    Rows that ask for fewer generations than `num_candidates` get fresh ones, see `candidates`.
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
                yield from _row_cells(row, record, combination, additions, num_candidates)
            except ValueError as error:
                problems.add(row_idx, "follows" if row.follows else "prompt_template", str(error))


def _row_cells(
    row: PromptRow, record: Record, combination: Combination, additions: Additions, num_candidates: int
) -> Iterator[Cell]:
    if row.follows is not None:
        yield from _follower_cells(row, record, combination, additions)
        return
    found = enumerate(candidates(row.prompt_id, row.seeds, row.samples, num_candidates))
    for seed, group in groupby(found, key=lambda candidate: candidate[1][0]):
        payload = build_payload(row, seed, opening(row, seed), additions)
        for idx, (_, sample_idx) in group:
            yield Cell(row, record, combination.axes, seed, sample_idx, payload, None, idx)


def _follower_cells(
    row: PromptRow, record: Record, combination: Combination, additions: Additions
) -> Iterator[Cell]:
    """Each sample follows its own parent, so each has messages of its own."""
    lineage = combination.lineage
    heir = lineage.row(row) if lineage is not None else None
    if lineage is None or heir is None:
        return
    for idx, (seed, sample_idx) in enumerate(candidates(heir.prompt_id, heir.seeds, heir.samples)):
        said = lineage.conversation(heir, seed, sample_idx)
        payload = build_payload(heir, seed, said.messages, additions)
        yield Cell(heir, record, combination.axes, seed, sample_idx, payload, said.parent, idx)


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
