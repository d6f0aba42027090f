"""Parquet files that readers can change over between, and what is left of them at rest."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reelsweep.tasks.manifest.beside import replace_durably
from reelsweep.tasks.manifest.columns import MANIFEST
from reelsweep.tasks.manifest.regions import Region, live_region, successor_start
from reelsweep.tasks.manifest.rows import manifest_rows
from reelsweep.tasks.manifest.settle import is_settled, settle
from reelsweep.tasks.manifest.sink import GROUP_ROWS, Sink


def write(path: Path, make: Any, successes: int, rows: int = 200) -> bytes:
    """Publish one more version of the file at `path`."""
    with Sink(path, MANIFEST) as sink:
        for ordinal in range(rows):
            done = {} if ordinal < successes else {"status": "planned", "attempt": None}
            for row in manifest_rows(make.line(ordinal, **done)):
                sink.add(row)
        sink.finish({"successes": str(successes)})
    replace_durably(path)
    return path.read_bytes()


def pages(content: bytes, region: Region | None) -> bytes:
    assert region is not None
    return content[region.start : region.end]


def test_a_successor_keeps_its_predecessors_pages(make: Any, tmp_path: Path) -> None:
    """A footer is good for the next file too: its pages are in it, byte for byte, where they were."""
    path = tmp_path / "m.parquet"
    versions = [(write(path, make, count), live_region(path)) for count in (0, 1, 60, 120, 200, 200)]
    for (old, region), (new, _) in pairwise(versions):
        assert pages(new, region) == pages(old, region)


def test_every_version_reads_as_itself(make: Any, tmp_path: Path) -> None:
    """Pages kept for others are in nobody's way: each library sees the newest rows only."""
    path = tmp_path / "m.parquet"
    for count in (0, 1, 60, 120, 200):
        write(path, make, count)
        assert pq.read_table(path)["status"].to_pylist().count("success") == count
        assert pl.read_parquet(path).filter(pl.col("status") == "success").height == count
        query = f"SELECT count(*) FILTER (status = 'success'), count(*) FROM '{path}'"
        assert duckdb.sql(query).fetchall() == [(count, 200)]


def test_a_file_does_not_grow_with_its_versions(make: Any, tmp_path: Path) -> None:
    """Forty replacements take the disk of two, and the length of a few."""
    path = tmp_path / "m.parquet"
    single = len(write(path, make, 100))
    for count in range(60, 100):
        write(path, make, count)
    assert path.stat().st_blocks * 512 <= 3 * single
    assert path.stat().st_size <= 6 * single + 512 * 1024


@pytest.mark.parametrize("versions", [1, 2, 3, 4, 5])
def test_a_settled_file_is_what_a_first_writing_gives(make: Any, tmp_path: Path, versions: int) -> None:
    """However often a file was replaced, at rest its bytes are those of its rows and facts."""
    fresh = write(tmp_path / "fresh.parquet", make, 150)
    path = tmp_path / "m.parquet"
    for count in range(150 - versions + 1, 151):
        write(path, make, count)
    assert is_settled(path) == (versions == 1)
    settle([path], 0)
    assert is_settled(path)
    assert path.read_bytes() == fresh
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_a_column_that_comes_late_spoils_no_kept_page(make: Any, tmp_path: Path) -> None:
    """Rows that are written again under wider columns leave the predecessor's pages where they were."""
    path = tmp_path / "m.parquet"
    old = write(path, make, 100)
    kept = live_region(path)
    row = next(manifest_rows(make.line(0)))
    with Sink(path, MANIFEST) as sink:
        for _ in range(GROUP_ROWS + 1):
            sink.add(row)
        sink.add({**row, "param_late": 1, "params": '{"late":1,"temperature":0.5}'})
        sink.finish({})
    replace_durably(path)
    assert pages(path.read_bytes(), kept) == pages(old, kept)
    assert pq.read_table(path)["param_late"].to_pylist() == [None] * (GROUP_ROWS + 1) + [1]


def test_a_file_that_outgrows_its_place_is_whole(make: Any, tmp_path: Path) -> None:
    """Where the new pages need the place of the old ones the old are given up, never the new."""
    path = tmp_path / "m.parquet"
    for rows in (10, 10, 4_000, 5):
        write(path, make, rows, rows)
        assert pq.read_table(path)["status"].to_pylist() == ["success"] * rows
    settle([path], 0)
    assert pq.read_metadata(path).num_rows == 5


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not a parquet file at all", b"PAR1\0\0\0\0PAR1"])
def test_a_damaged_file_is_replaced(make: Any, tmp_path: Path, content: bytes) -> None:
    """What stands in the file's place and cannot be read is nothing to keep."""
    path = tmp_path / "m.parquet"
    path.write_bytes(content)
    assert live_region(path) is None
    write(path, make, 3, 3)
    assert is_settled(path)


def test_an_empty_file_is_settled(make: Any, tmp_path: Path) -> None:
    """A table without rows has no pages to keep or to move."""
    path = tmp_path / "m.parquet"
    write(path, make, 0, 0)
    assert (live_region(path), is_settled(path)) == (None, True)
    settle([path, tmp_path / "missing.parquet"], 0)


@given(start=st.integers(4, 10**10), size=st.integers(1, 10**9))
def test_a_successor_begins_outside_the_old_pages(start: int, size: int) -> None:
    """The new place is the start of the file or behind the old pages, and the low place has room to grow."""
    old = Region(start, start + size)
    begin = successor_start(old)
    assert begin == 0 or begin >= old.end
    if begin == 0:
        assert old.start >= 1.5 * size
