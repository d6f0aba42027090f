"""A shard as a folder of clips with `metadata.parquet` beside them, as `datasets` reads a videofolder."""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyarrow ships no types; nothing of it is unknown outside the folders' Arrow modules.
from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
from reelsweep.tasks.export.clips import Tick, copy_clip
from reelsweep.tasks.export.place import Place
from reelsweep.tasks.export.plan import ExportPlan
from reelsweep.tasks.export.record import Kept
from reelsweep.tasks.export.shards import Sample, Shard
from reelsweep.tasks.export.threads import in_threads
from reelsweep.tasks.export.written import put_bytes

METADATA = "metadata.parquet"


def folder_of(shard: Shard) -> str:
    """`train/000000`: `datasets` knows a split by its folder."""
    return f"{shard.split}/{shard.index:06d}"


def write_folder(plan: ExportPlan, shard: Shard, place: Place, tick: Tick) -> list[Kept]:
    """Write the clips, then the table that names them."""
    folder = folder_of(shard)

    def copy(sample: Sample) -> Kept:
        name = f"{folder}/{sample.name}"
        place.put(name, lambda target: copy_clip(plan.source.place, sample, target))
        tick(1)
        return Kept(name=name, size_bytes=sample.size_bytes, sha256=sample.sha256)

    return [
        *in_threads(copy, shard.samples),
        put_bytes(place, f"{folder}/{METADATA}", to_parquet(plan.table(shard))),
    ]


def to_parquet(table: pa.Table) -> bytes:
    """The same bytes for the same rows."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", store_schema=False)
    return buffer.getvalue()
