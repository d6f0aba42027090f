"""Rows on their way into one Parquet file."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from itertools import repeat
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from reelsweep.tasks.manifest.beside import beside, replace_durably
from reelsweep.tasks.manifest.columns import MANIFEST
from reelsweep.tasks.manifest.rows import manifest_rows, params_json
from reelsweep.tasks.manifest.sink import CHUNK_ROWS, GROUP_ROWS, Sink
from reelsweep.tasks.manifest.write import publish


def written(path: Path, rows: list[dict[str, Any]]) -> pq.ParquetFile:
    with Sink(path, MANIFEST) as sink:
        for row in rows:
            sink.add(row)
        sink.finish({})
    replace_durably(path)
    return pq.ParquetFile(path)


def rows_with(make: Any, params: list[dict[str, Any]]) -> list[dict[str, Any]]:
    base = next(manifest_rows(make.line(plan={"params": {}, "meta": {}})))
    return [
        {**base, "params": params_json(each), **{f"param_{name}": value for name, value in each.items()}}
        for each in params
    ]


@pytest.mark.parametrize("late", [CHUNK_ROWS + 1, GROUP_ROWS + 1], ids=["same group", "next group"])
def test_a_column_that_comes_late_is_there_from_the_start(make: Any, tmp_path: Path, late: int) -> None:
    """A parameter first seen after rows were written is null in those and typed by all values."""
    rows = rows_with(make, [{"steps": 1}] * late + [{"steps": 0.5, "style": "noir"}])
    table = written(tmp_path / "m.parquet", rows).read()
    assert str(table["param_steps"].type) == "double"
    assert table["param_steps"].to_pylist() == [1.0] * late + [0.5]
    assert table["param_style"].to_pylist() == [None] * late + ["noir"]
    assert table["prompt"].null_count == 0


def test_a_conflict_of_types_becomes_text_exactly(make: Any, tmp_path: Path) -> None:
    """Values written as numbers before a word came read as they stood in the table, big integers too."""
    rows = rows_with(make, [{"x": 2**62 + 1}] * (GROUP_ROWS + 1) + [{"x": 0.25}, {"x": "auto"}, {"x": True}])
    values = written(tmp_path / "m.parquet", rows).read()["param_x"].to_pylist()
    assert set(values[:-3]) == {str(2**62 + 1)}
    assert values[-3:] == ["0.25", "auto", "true"]


def test_brought_columns_stand_behind_params_and_last(make: Any, tmp_path: Path) -> None:
    """`param_` columns follow `params`, `meta_` columns end the table, both sorted."""
    line = make.line(plan={"params": {"b": 1, "a": 2}, "meta": {"z": "1", "y": None}})
    names = written(tmp_path / "m.parquet", list(manifest_rows(line))).schema_arrow.names
    assert names[names.index("params") :][:4] == ["params", "param_a", "param_b", "status"]
    assert names[-3:] == ["code_version", "meta_y", "meta_z"]


def test_megabyte_prompts_make_small_row_groups(make: Any, tmp_path: Path) -> None:
    """A row group of long prompts ends by its size, not by its number of rows."""
    row = {**next(manifest_rows(make.line())), "prompt": "x" * 2**20}
    groups = written(tmp_path / "m.parquet", [row] * 80).metadata
    assert groups.num_row_groups == 3


def test_half_a_surrogate_pair_does_not_stop_the_manifest(make: Any, tmp_path: Path) -> None:
    """Text that UTF-8 cannot hold is written with a question mark in its place."""
    row = {**next(manifest_rows(make.line())), "text": "a\ud800b"}
    assert written(tmp_path / "m.parquet", [row]).read()["text"].to_pylist() == ["a?b"]


def test_no_rows_make_a_table_with_columns(tmp_path: Path) -> None:
    """An empty manifest can be queried."""
    file = written(tmp_path / "m.parquet", [])
    assert (file.metadata.num_rows, file.schema_arrow.names[0]) == (0, "run_id")


def test_nothing_but_the_neighbour_is_touched_before_the_end(make: Any, tmp_path: Path) -> None:
    """Until it is replaced, the old file is the file."""
    path = tmp_path / "m.parquet"
    path.write_bytes(b"old")
    with Sink(path, MANIFEST) as sink:
        sink.add(next(manifest_rows(make.line())))
        sink.finish({})
    assert path.read_bytes() == b"old"
    assert beside(path).is_file()


MEASURE = """
import resource, sys
from itertools import repeat
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import make_line
from reelsweep.tasks.manifest.write import publish
line = make_line()
publish(Path(sys.argv[2]), repeat(line, int(sys.argv[3])), repeat(line.attempt, int(sys.argv[3])), {})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """Three groups of rows need about the memory of one."""
    here = str(Path(__file__).parent)
    peak_mb = [
        int(
            subprocess.run(
                [sys.executable, "-c", MEASURE, here, str(tmp_path / str(rows)), str(rows)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for rows in (GROUP_ROWS, 3 * GROUP_ROWS)
    ]
    assert peak_mb[1] - peak_mb[0] < 60, peak_mb


def test_few_rows_are_held_at_a_time(make: Any, tmp_path: Path) -> None:
    """A row takes some kilobytes: a thousand of them would be what a run grows by at its end."""
    line = make.line()
    publish(tmp_path, [line], [], {})
    tracemalloc.start()
    try:
        publish(tmp_path, repeat(line, 3_000), [], {})
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1.5 * 2**20
