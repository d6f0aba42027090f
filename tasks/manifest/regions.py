"""Where the pages of a Parquet file lie, and where its successor's may.

Below `parquet.py`. A rename is not enough for readers that open a file twice. DuckDB reads the footer, closes
the file, and opens the path again for the pages (seen in its system calls): a file renamed over it in between
gives it old offsets and new bytes. Measured with readers that never pause: of 447 plain replacements 19 made
one fail ("TProtocolException: Invalid data"); so built, none of 815, in 98,000 reads.

So a successor keeps its predecessor's pages where they were and puts its own beside them: a footer is good
for one more file than its own. Pages change between a low place (at the start, as in any Parquet file) and a
high one behind it; the space between is a hole that takes no disk. What is dead for two files is not kept.
A settled file has its pages low and nothing else, so the same rows give the same bytes.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

MAGIC = b"PAR1"
_COPY_BYTES = 2**20
_SPARE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes `start` to `end` of a file, which hold the pages its footer speaks of."""

    start: int
    end: int

    @property
    def is_low(self) -> bool:
        """Whether the pages follow the magic at the start."""
        return self.start == len(MAGIC)


def live_region(path: Path) -> Region | None:
    """Where the pages of the file at `path` lie; None when there is no such file, or no page in it."""
    try:
        footer = pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):
        return None
    chunks = [
        footer.row_group(group).column(column)
        for group in range(footer.num_row_groups)
        for column in range(footer.num_columns)
    ]
    if not chunks:
        return None
    starts = [chunk.dictionary_page_offset or chunk.data_page_offset for chunk in chunks]
    ends = [start + chunk.total_compressed_size for start, chunk in zip(starts, chunks, strict=True)]
    return Region(min(starts), max(ends))


def successor_start(old: Region | None) -> int:
    """Where to begin the file that replaces one whose pages lie in `old`.

    Low where there is room for some growth, else high with room for a few times its size below.
    """
    if old is None:
        return 0
    size_bytes = old.end - old.start
    fits_below = old.start >= size_bytes + size_bytes // 2 + _SPARE_BYTES // 4
    return 0 if fits_below else max(old.end, 4 * size_bytes + _SPARE_BYTES)


def writer_at(file: BinaryIO, start: int, schema: pa.Schema) -> pq.ParquetWriter:
    """A Parquet writer into `file` whose pages begin at `start` (0: as in any Parquet file, after the magic).

    Arrow counts the bytes it wrote and does not ask the file where it is, and it begins with the magic at
    its zero; so it writes `start` bytes into nothing first.
    """
    file.seek(start)
    sink = pa.PythonFile(_Swallow(file, start), mode="w")
    writer = pq.ParquetWriter(sink, schema, compression="zstd", compression_level=1)
    left = start - len(MAGIC)
    while left > 0:
        left -= sink.write(bytes(min(left, _COPY_BYTES)))
    return writer


class _Swallow:
    """A file that takes the first `left` bytes for written and passes on the rest."""

    closed = False

    def __init__(self, file: BinaryIO, left: int) -> None:
        self._file = file
        self._left = left

    def write(self, piece: bytes) -> int:
        swallowed = min(self._left, len(piece))
        self._left -= swallowed
        self._file.write(piece[swallowed:])
        return len(piece)

    def flush(self) -> None:
        self._file.flush()


def copy_region(source: Path, target: BinaryIO, region: Region) -> None:
    """Copy `region` of one file to the same place in another."""
    target.seek(region.start)
    with source.open("rb") as file:
        file.seek(region.start)
        left = region.end - region.start
        while left and (piece := file.read(min(left, _COPY_BYTES))):
            left -= target.write(piece)
