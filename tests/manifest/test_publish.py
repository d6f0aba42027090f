"""The files of an OUT, published as a whole."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.ledger.records import Line
from reelsweep.tasks.manifest import read_facts
from reelsweep.tasks.manifest.columns import ATTEMPTS, MANIFEST, METADATA, PLAN
from reelsweep.tasks.manifest.schema import arrow_schema
from reelsweep.tasks.manifest.sink import with_brought
from reelsweep.tasks.manifest.write import PARQUET, publish

FACTS = {"table": "boats.csv", "gateway": "sandbox@1", "out_id": "o1"}


def store(out: Path, lines: list[Line]) -> list[Line]:
    """Put a file where each result says there is one."""
    for line in lines:
        for result in line.attempt.results if line.attempt else ():
            if result.file_name:
                path = out / result.file_name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"clip")
    return lines


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in PARQUET}


@pytest.mark.parametrize(
    ("name", "columns"),
    [("manifest", MANIFEST), ("attempts", ATTEMPTS), ("plan", PLAN), ("metadata", METADATA)],
)
def test_what_is_written_is_what_is_declared(make: Any, tmp_path: Path, name: str, columns: Any) -> None:
    """Names, order, types and nullability of every file are those of `columns.py`."""
    lines = store(tmp_path, [make.line(i, plan={"params": {}, "meta": {}}) for i in range(3)])
    publish(tmp_path, lines, make.attempts(lines), FACTS)
    table = pq.read_table(tmp_path / f"{name}.parquet")
    assert table.schema.equals(arrow_schema(columns))
    assert len(table) == 3


def test_the_same_input_gives_the_same_bytes(make: Any, tmp_path: Path) -> None:
    """Publishing twice changes no byte of any file, in one folder or in two."""
    lines = make.lines(50)
    for out in (tmp_path / "a", tmp_path / "b"):
        store(out, lines)
        publish(out, lines, make.attempts(lines), dict(reversed(FACTS.items())))
    first = contents(tmp_path / "a")
    publish(tmp_path / "a", iter(lines), iter(make.attempts(lines)), FACTS, settle_s=0)
    assert contents(tmp_path / "a") == first == contents(tmp_path / "b")


def test_counts_and_money_are_those_of_the_lines(make: Any, tmp_path: Path) -> None:
    """What is returned, what the footer says and what SQL sums up agree."""
    gone = make.line(3, in_plan=False)
    lines = [
        make.line(0, plan={"n": 2}),
        make.failure(1, "refused", "no"),
        make.line(2, reserved_musd=123),
        gone,
    ]
    published = publish(tmp_path, lines, [], FACTS)
    assert published.rows == 5
    assert published.counts == {"success": 3, "failed": 1, "refused": 1}
    assert published.counts_in_plan == {"success": 2, "failed": 1, "refused": 1}
    assert (published.cost_musd, published.reserved_musd) == (2_400_000, 123)
    facts = read_facts(tmp_path)
    assert (facts["rows"], facts["count_success"], facts["cost_usd"]) == ("5", "3", "2.400000")
    assert facts["reserved_usd"] == "0.000123"
    assert FACTS.items() <= facts.items()
    total = duckdb.sql(f"SELECT round(sum(cost_usd), 2) FROM '{tmp_path}/manifest.parquet'").fetchall()
    assert total == [(2.4,)]


def test_metadata_names_only_files_that_are_there(make: Any, tmp_path: Path) -> None:
    """A clip that was deleted, a failure and a text are in the manifest and not in the video folder."""
    lines = store(tmp_path, make.lines(3))
    text = make.line(3, attempt=make.attempt(3, results=(make.result(3, file_name=None, text="hello"),)))
    missing = lines[1].attempt.results[0].file_name
    (tmp_path / missing).unlink()
    publish(tmp_path, [*lines, text, make.failure(4, "failed", "no")], [], FACTS)
    names = pq.read_table(tmp_path / "metadata.parquet")["file_name"].to_pylist()
    assert names == [lines[0].attempt.results[0].file_name, lines[2].attempt.results[0].file_name]
    assert pq.read_table(tmp_path / "manifest.parquet")["status"].to_pylist().count("success") == 4


def test_metadata_carries_labels_and_parameters(make: Any, tmp_path: Path) -> None:
    """What training wants beside the clip is there; a column the loader would open as a file is not."""
    meta = {"label": "boat", "source_file_name": "a.txt"}
    lines = store(tmp_path, [make.line(0, plan={"meta": meta})])
    publish(tmp_path, lines, [], FACTS)
    names = pq.read_schema(tmp_path / "metadata.parquet").names
    assert names[-2:] == ["param_temperature", "meta_label"]
    assert "meta_source_file_name" in pq.read_schema(tmp_path / "manifest.parquet").names


def test_brought_columns_are_typed_over_all_rows(make: Any, tmp_path: Path) -> None:
    """A parameter column has one type, found over all rows."""
    lines = [make.line(0, plan={"params": {"t": 1}}), make.line(1, plan={"params": {"t": 0.5, "on": True}})]
    publish(tmp_path, lines, [], FACTS)
    schema = pq.read_schema(tmp_path / "manifest.parquet")
    assert (str(schema.field("param_t").type), str(schema.field("param_on").type)) == ("double", "bool")
    assert schema.names == [
        column.name
        for column in with_brought(MANIFEST, {"param_t": None, "param_on": None, "meta_label": None})
    ]


def failing(lines: list[Line], error: Exception) -> Iterator[Line]:
    yield from lines
    raise error


def test_a_ledger_that_fails_in_the_middle_changes_nothing(make: Any, tmp_path: Path) -> None:
    """The old files stay whole, and nothing half-written is left beside them."""
    lines = make.lines(3)
    publish(tmp_path, lines, [], FACTS)
    before = contents(tmp_path)
    with pytest.raises(ZeroDivisionError):
        publish(tmp_path, failing(make.lines(5), ZeroDivisionError()), [], FACTS)
    with pytest.raises(ZeroDivisionError):
        publish(tmp_path, make.lines(5), failing(make.attempts(lines), ZeroDivisionError()), FACTS)  # type: ignore[arg-type]
    assert contents(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PARQUET)


def test_a_disk_that_says_no_is_one_clear_error(make: Any, tmp_path: Path) -> None:
    """A file that cannot be written ends in a TroubleError with a remedy; the others are as they were."""
    publish(tmp_path, make.lines(1), [], FACTS)
    before = contents(tmp_path)
    (tmp_path / ".metadata.parquet.part").mkdir()
    with pytest.raises(TroubleError, match=r"cannot write in .*; the files there are as they were") as caught:
        publish(tmp_path, make.lines(2), [], FACTS)
    assert caught.value.remedy
    assert contents(tmp_path) == before


def test_what_a_killed_run_left_is_overwritten(make: Any, tmp_path: Path) -> None:
    """Half a file under the neighbour's name neither disturbs a publication nor survives it."""
    for name in PARQUET:
        (tmp_path / f".{name}.part").write_bytes(b"PAR1 half")
    publish(tmp_path, make.lines(1), [], FACTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PARQUET)
    assert pq.read_metadata(tmp_path / "manifest.parquet").num_rows == 1


def planned(line: Line) -> Line:
    return replace(line, status="planned", attempt=None)


class Reader(threading.Thread):
    """DuckDB reading everything it can, without a pause, until `done`."""

    def __init__(self, out: Path) -> None:
        super().__init__()
        self.out = out
        self.done = threading.Event()
        self.successes: list[int] = []
        self.troubles: list[object] = []
        self._news = threading.Condition()
        self._begun = self._ended = 0

    def run(self) -> None:
        with duckdb.connect() as database:
            while not self.done.is_set():
                self._begun += 1
                try:
                    self.read(database)
                except Exception as error:  # any failure of the reader is what the test is about
                    self.troubles.append(error)
                with self._news:
                    self._ended = self._begun
                    self._news.notify_all()

    def read(self, database: duckdb.DuckDBPyConnection) -> None:
        statuses = database.execute(f"SELECT status, * FROM '{self.out}/manifest.parquet'").fetchall()
        self.successes.append(sum(row[0] == "success" for row in statuses))
        names = database.execute(f"SELECT file_name FROM '{self.out}/metadata.parquet'").fetchall()
        self.troubles.extend(name for (name,) in names if not (self.out / name).is_file())
        self.troubles.extend([] if len(statuses) == 24 else [f"{len(statuses)} rows"])

    def wait_for_a_new_read(self) -> None:
        """Until a read that began after this call has ended."""
        with self._news:
            wanted = self._begun + 1
            assert self._news.wait_for(lambda: self._ended >= wanted, timeout=60)


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the machine has one: hundreds of fsyncs cost nothing there."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


def test_a_reader_beside_the_writer_never_fails(make: Any, quick: Path) -> None:
    """DuckDB, reading without a pause through 200 publications, never fails, never sees `success` fall, and
    every file that metadata names is there; publications are as far apart as one read is long."""
    lines = store(quick, make.lines(24))
    waiting = [planned(line) for line in lines]
    publish(quick, waiting, [], FACTS)
    reader = Reader(quick)
    reader.start()
    for publication in range(1, 201):
        finished = len(lines) * publication // 200
        now = lines[:finished] + waiting[finished:]
        reader.wait_for_a_new_read()
        publish(quick, now, make.attempts(now), FACTS, settle_s=None)
    publish(quick, lines, make.attempts(lines), FACTS)
    reader.wait_for_a_new_read()
    reader.done.set()
    reader.join()
    assert reader.troubles == []
    assert len(reader.successes) >= 200
    assert reader.successes == sorted(reader.successes)
    assert set(reader.successes) >= set(range(20))
