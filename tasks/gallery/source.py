"""The published files as encoded columns: what the gallery is made from.

Before `cells.py` and `record.py`; reads only.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyarrow ships no types; nothing of it is unknown outside this folder's Arrow module.
from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from reelsweep.tasks.gallery.axes import FIRST, LAST, PREFIXES
from reelsweep.tasks.gallery.cells import MAX_ROWS, NEEDED
from reelsweep.tasks.gallery.encoded import NONE, Columns, Encoded
from reelsweep.tasks.gallery.page import Figures
from reelsweep.tasks.gallery.record import ATTEMPT, Attempts, attempts_of

ASKED, GATEWAY = "request_fingerprint", "gateway"
BATCH = 1_000
"""Attempts that are looked through at once."""


def read_sheet(manifest: Path) -> Columns:
    """The columns that a sheet may show, of the first rows."""
    with pq.ParquetFile(manifest) as parquet:
        names = [name for name in parquet.schema_arrow.names if _is_wanted(name)]
        batch = next(parquet.iter_batches(MAX_ROWS, columns=names, use_threads=False), None)
        return {} if batch is None else _encoded(pa.Table.from_batches([batch]))


def read_records(manifest: Path, size: int) -> Iterator[Columns]:
    """All columns of the first rows, `size` rows at a time."""
    with pq.ParquetFile(manifest) as parquet:
        for first, batch in enumerate(parquet.iter_batches(size, use_threads=False)):
            if first * size >= MAX_ROWS:
                return
            yield _encoded(pa.Table.from_batches([batch]))


def read_attempts(attempts: Path, wanted: Collection[str]) -> Attempts:
    """The attempts that asked for one of the `wanted` fingerprints, by `asked_of`."""
    return attempts_of(_attempts(attempts, wanted)) if attempts.exists() else {}


def _attempts(attempts: Path, wanted: Collection[str]) -> Iterator[dict[str, Any]]:
    is_wanted = pc.field(ASKED).isin(pa.array(wanted, pa.string()))
    with pq.ParquetFile(attempts) as parquet:
        names = [name for name in parquet.schema_arrow.names if name in (ASKED, GATEWAY, *ATTEMPT)]
        for batch in parquet.iter_batches(BATCH, columns=names, use_threads=False):
            yield from pa.Table.from_batches([batch]).filter(is_wanted).to_pylist()


def add_up(facts: dict[str, str], columns: Columns) -> Figures:
    """The totals: rows and money of all rows, footage and pictures of those on the sheet."""
    counts = {name.removeprefix("count_"): int(facts[name]) for name in facts if name.startswith("count_")}
    looks, durations = columns.get("frames_sha256"), columns.get("duration_s")
    footage_s = sum(durations.at(row) or 0.0 for row in range(len(durations))) if durations else 0.0
    known = bool(columns) and bool(columns["cost_usd"].values)
    return Figures(
        counts=counts,
        num_distinct=len(looks.values) if looks else 0,
        footage_s=footage_s,
        cost_usd=float(facts.get("cost_usd", 0)) if known else None,
        reserved_usd=float(facts.get("reserved_usd", 0)),
    )


def _is_wanted(name: str) -> bool:
    if name in NEEDED or name in FIRST or name in LAST:
        return True
    return name.startswith(PREFIXES)


def _encoded(table: pa.Table) -> Columns:
    return {name: _column(table[name]) for name in table.column_names}


def _column(column: pa.ChunkedArray) -> Encoded:
    coded = column.combine_chunks().dictionary_encode()
    return Encoded(coded.dictionary.to_pylist(), coded.indices.fill_null(NONE).to_pylist())
