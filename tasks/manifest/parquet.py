"""One Parquet file on its way to the disk, and back out of it by row groups.

Below `sink.py` and `metadata.py`: the only place that says how our files are compressed, placed and closed.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyarrow ships no types; nothing of it is unknown outside this folder's Arrow modules.
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from reelsweep.tasks.manifest.beside import beside, sync
from reelsweep.tasks.manifest.regions import (
    MAGIC,
    Region,
    copy_region,
    live_region,
    successor_start,
    writer_at,
)

FACT = "reelsweep."
"""Prefix of the run's facts in the key-value metadata."""


class Writer:
    """The neighbour of `path`, open for row groups until `finish`; it keeps what readers of `path` need."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._old = live_region(path)
        self._file = beside(path).open("wb")
        if self._old is not None:
            self._file.write(MAGIC)
            copy_region(path, self._file, self._old)
        self._parquet = writer_at(self._file, successor_start(self._old), schema)

    def write(self, table: pa.Table) -> None:
        """Append one row group."""
        self._parquet.write_table(table, row_group_size=max(1, len(table)))

    def finish(self, facts: Mapping[str, str]) -> None:
        """Write the footer with `facts` in its key-value metadata and bring the file to the disk."""
        self._parquet.add_key_value_metadata({FACT + key: facts[key] for key in sorted(facts)})
        self._end_behind(self._old)
        self._parquet.close()
        self._file.flush()
        sync(self._file.fileno())

    def _end_behind(self, old: Region | None) -> None:
        """Go where the footer belongs: behind all pages, old and new."""
        here = self._file.tell()
        if old is not None and here <= old.start:
            self._file.seek(old.end)
        elif old is not None and here < old.end:  # it grew over the old pages: they are given up
            self._file.truncate()

    def close(self) -> None:
        """End the file, so that its row groups can be read."""
        self._end_behind(self._old)
        self._parquet.close()
        self._file.close()

    def drop(self) -> None:
        """Let go of the file, finished or of no use; its last error is of no use either."""
        with suppress(OSError):
            self._parquet.close()
        with suppress(OSError):
            self._file.close()


def read_groups(parquet: pq.ParquetFile, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The row groups of a Parquet file, one at a time.

    In the caller's thread: Arrow's own keep what they took (10 MB more in a run of 1,000 rows).
    """
    for group in range(parquet.num_row_groups):
        yield parquet.read_row_group(group, columns=columns, use_threads=False)
