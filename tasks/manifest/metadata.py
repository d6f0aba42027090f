"""`metadata.parquet`: the clips of a manifest, in the shape `datasets` loads as a video folder.

After the manifest's file is written, before it is renamed.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyarrow ships no types; nothing of it is unknown outside this folder's Arrow modules.
from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq
from reelsweep.tasks.manifest.beside import beside
from reelsweep.tasks.manifest.columns import META, METADATA, PARAM, Column
from reelsweep.tasks.manifest.parquet import Writer, read_groups
from reelsweep.tasks.manifest.schema import arrow_schema
from reelsweep.tasks.storage.out import Out

_TAKEN_FOR_FILES = ("_file_name", "_file_names")
"""`datasets` opens columns that end so as videos; carried columns named so stay in the manifest only."""


def write_metadata(storage: Out, manifest: tuple[Column, ...], facts: Mapping[str, str]) -> None:
    """Write the neighbour of `metadata.parquet` from the neighbour of `manifest.parquet`.

    A row is a success whose file is there, so that whoever loads the folder never misses one.
    """
    out = storage.desk
    schema = arrow_schema(metadata_columns(manifest))
    names = [*schema.names, "status"]
    with pq.ParquetFile(beside(out / "manifest.parquet")) as manifest_file:
        writer = Writer(out / "metadata.parquet", schema)
        try:
            for table in read_groups(manifest_file, names):
                clips = _clips(table, storage)
                if len(clips):
                    writer.write(clips.select(schema.names).cast(schema))
            writer.finish(facts)
        finally:
            writer.drop()


def metadata_columns(manifest: tuple[Column, ...]) -> tuple[Column, ...]:
    """The declared columns, then those the table brought along."""
    brought = (column for column in manifest if column.name.startswith((PARAM, META)))
    return (*METADATA, *(column for column in brought if not column.name.endswith(_TAKEN_FOR_FILES)))


def _clips(table: pa.Table, storage: Out) -> pa.Table:
    rows = zip(table["status"].to_pylist(), table["file_name"].to_pylist(), strict=True)
    there = [status == "success" and bool(name) and storage.has_clip(name) for status, name in rows]
    return table.filter(pa.array(there, pa.bool_()))
