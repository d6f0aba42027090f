"""`reproduction.parquet`: the pairs of an OUT, replaced whole. I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from reelsweep.tasks.manifest.beside import in_trouble, replace_durably, sync_folder
from reelsweep.tasks.manifest.settle import settle
from reelsweep.tasks.manifest.sink import Sink
from reelsweep.tasks.reproduction.columns import REPRODUCTION
from reelsweep.tasks.reproduction.pairs import Pair

NAME = "reproduction.parquet"


def write_pairs(out: Path, pairs: Iterable[Pair], facts: Mapping[str, str]) -> Path:
    """Write the file; the caller holds OUT's lock. Raises TroubleError, and the old one stays."""
    path = out / NAME
    with in_trouble(out):
        with Sink(path, REPRODUCTION) as sink:
            for pair in pairs:
                sink.add(pair.row())
            sink.finish(facts)
        replace_durably(path)
        sync_folder(out)
        settle([path])
    return path
