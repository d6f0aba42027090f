"""A shard as a tar file, as `webdataset` reads it: per sample a clip and a JSON document of the same key.

Byte-identical for the same samples: headers hold a fixed time, owner and mode, and names are ordered.
"""

from __future__ import annotations

import io
import tarfile
from typing import BinaryIO

from reelsweep.tasks.export.clips import Hashing, Tick, check_hash
from reelsweep.tasks.export.columns import FILE_NAME
from reelsweep.tasks.export.documents import document
from reelsweep.tasks.export.place import Place, in_reading
from reelsweep.tasks.export.plan import ExportPlan
from reelsweep.tasks.export.record import Kept
from reelsweep.tasks.export.shards import Sample, Shard
from reelsweep.tasks.export.written import put_hashed


def tar_of(shard: Shard) -> str:
    """`train-000000.tar`."""
    return f"{shard.name}.tar"


def write_tar(plan: ExportPlan, shard: Shard, place: Place, tick: Tick) -> list[Kept]:
    """Write the shard's one file."""

    def write(target: BinaryIO) -> None:
        with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for sample, carried in plan.documents(shard):
                del carried[FILE_NAME]
                _add_document(tar, f"{sample.key}.json", document(carried))
                _add_clip(tar, plan.source.place, sample)
                tick(1)

    return [put_hashed(place, tar_of(shard), write)]


def _add_document(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_header(name, len(content)), io.BytesIO(content))


def _add_clip(tar: tarfile.TarFile, place: Place, sample: Sample) -> None:
    with in_reading(f"{place}, {sample.source}"), place.open(sample.source) as file:
        source = Hashing(file)
        tar.addfile(_header(sample.name, sample.size_bytes), source)
        check_hash(place, sample, source.sha256 if not source.read(1) else "")


def _header(name: str, size_bytes: int) -> tarfile.TarInfo:
    """A header that says name and size; the rest is TarInfo's own: time 0, owner 0, mode 0644."""
    header = tarfile.TarInfo(name)
    header.size = size_bytes
    return header
