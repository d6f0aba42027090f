"""Files at rest: the pages of the last publication and nothing else.

After the last publication of a run. While files are replaced in quick succession each keeps its
predecessor's pages (`regions.py`); here those are let go, in two steps that every reader survives.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from reelsweep.tasks.manifest.beside import beside, replace_durably, sync, sync_folder
from reelsweep.tasks.manifest.parquet import FACT, Writer, read_groups
from reelsweep.tasks.manifest.regions import MAGIC, copy_region, live_region

SETTLE_S = 0.25
"""Between two replacements: far longer than a reader takes from the footer to the pages."""


def settle(
    paths: Iterable[Path], pause_s: float = SETTLE_S, replaced: Callable[[str], None] = lambda _name: None
) -> None:
    """Bring every Parquet file of `paths` to what a first writing would have given, byte for byte.

    `replaced` is told the name of a file after each step.
    """
    waiting = [path for path in paths if not is_settled(path)]
    high = [path for path in waiting if (region := live_region(path)) and not region.is_low]
    for step, files in ((_lower, high), (_trim, waiting)):
        if files:
            time.sleep(pause_s)
        for path in files:
            step(path)
            replace_durably(path)
            sync_folder(path.parent)
            replaced(path.name)


def is_settled(path: Path) -> bool:
    """Whether the file holds its magic, its pages, its footer and no more."""
    region = live_region(path)
    return region is None or (region.is_low and path.stat().st_size == region.end + len(_footer(path)))


def _lower(path: Path) -> None:
    """Write the neighbour of `path`: its pages low, and high as well for who reads them now."""
    with pq.ParquetFile(path) as parquet:
        stored = {key.decode(): value.decode() for key, value in parquet.metadata.metadata.items()}
        schema = _plain(parquet.schema_arrow)
        writer = Writer(path, schema)
        try:
            for table in read_groups(parquet):
                writer.write(table.cast(schema))
            writer.finish({key.removeprefix(FACT): stored[key] for key in stored if key.startswith(FACT)})
        finally:
            writer.drop()


def _trim(path: Path) -> None:
    """Write the neighbour of `path`, whose pages lie low, with nothing else in it."""
    region = live_region(path)
    assert region is not None and region.is_low
    with beside(path).open("wb") as file:
        file.write(MAGIC)
        copy_region(path, file, region)
        file.write(_footer(path))
        file.flush()
        sync(file.fileno())


def _footer(path: Path) -> bytes:
    """The footer with its length and the closing magic (Parquet file format, "File Format")."""
    tail_bytes = 8
    with path.open("rb") as file:
        file.seek(-tail_bytes, 2)
        size_bytes = int.from_bytes(file.read(4), "little")
        file.seek(-tail_bytes - size_bytes, 2)
        return file.read()


def _plain(schema: pa.Schema) -> pa.Schema:
    """The schema a file was written with, less what reading adds."""
    fields = [pa.field(field.name, field.type, nullable=field.nullable) for field in schema]
    return pa.schema(fields, metadata={"pandas": schema.metadata[b"pandas"]})
