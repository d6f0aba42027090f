"""Other people's programs read what we wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from reelsweep.prompts.errors import OutError
from reelsweep.tasks.manifest import read_attempts, read_manifest
from reelsweep.tasks.manifest.columns import MANIFEST, Kind
from reelsweep.tasks.manifest.write import publish

PANDAS = {
    Kind.STRING: "string",
    Kind.INTEGER: "Int64",
    Kind.NUMBER: "float64",
    Kind.BOOLEAN: "boolean",
    Kind.INSTANT: "datetime64[us, UTC]",
}
DUCKDB = {
    Kind.STRING: "VARCHAR",
    Kind.INTEGER: "BIGINT",
    Kind.NUMBER: "DOUBLE",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.INSTANT: "TIMESTAMP WITH TIME ZONE",
}
POLARS = {
    Kind.STRING: pl.String(),
    Kind.INTEGER: pl.Int64(),
    Kind.NUMBER: pl.Float64(),
    Kind.BOOLEAN: pl.Boolean(),
    Kind.INSTANT: pl.Datetime("us", "UTC"),
}


@pytest.fixture(scope="module")
def out(make: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips, one refusal, one row that was never sent."""
    folder = tmp_path_factory.mktemp("out")
    lines = [make.line(i, plan={"seed": 2**63 - 1 if i == 0 else None}) for i in range(3)]
    lines += [make.failure(3, "refused", "blocked", transcript="a3.sse")]
    lines += [make.line(4, attempt=None, status="planned", started_at=None)]
    for line in lines[:3]:
        path = folder / line.attempt.results[0].file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"clip %d" % line.plan.ordinal)
    publish(folder, lines, make.attempts(lines), {"table": "boats.csv"})
    return folder


def test_pandas_reads_the_declared_types(out: Path) -> None:
    """Integers stay integers beside nulls, booleans booleans, instants UTC, with plain `read_parquet`."""
    frame = pd.read_parquet(out / "manifest.parquet")
    for column in MANIFEST:
        assert str(frame[column.name].dtype) == PANDAS[column.kind], column.name
    assert frame["seed"].tolist()[:2] == [2**63 - 1, pd.NA]
    assert frame["created_at"][0] == pd.Timestamp("2026-03-01T12:00:00Z")
    assert isinstance(frame.index, pd.RangeIndex)


def test_duckdb_reads_the_declared_types(out: Path) -> None:
    """SQL sees the declared types, and an instant is the instant."""
    described = duckdb.sql(f"DESCRIBE SELECT * FROM '{out}/manifest.parquet'").fetchall()
    types = {name: kind for name, kind, *_ in described}
    for column in MANIFEST:
        assert types[column.name] == DUCKDB[column.kind], column.name
    query = f"SELECT seed, epoch_us(created_at) FROM '{out}/manifest.parquet' LIMIT 1"
    assert duckdb.sql(query).fetchall() == [(2**63 - 1, 1772366400_000_000)]


def test_polars_reads_the_declared_types(out: Path) -> None:
    """Polars sees the declared types."""
    frame = pl.read_parquet(out / "manifest.parquet")
    for column in MANIFEST:
        assert frame.schema[column.name] == POLARS[column.kind], column.name
    assert frame["created_at"][0] == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_frame_has_absolute_paths(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`read_manifest` of a relative folder gives paths that open from anywhere, else null."""
    monkeypatch.chdir(out.parent)
    frame = read_manifest(out.name)
    monkeypatch.chdir("/")
    assert [Path(name).read_bytes() for name in frame["file_name"][:3]] == [b"clip 0", b"clip 1", b"clip 2"]
    assert frame["file_name"][3:].isna().all()
    assert str(frame["file_name"].dtype) == "string"
    assert len(frame) == 5


def test_the_attempts_have_absolute_transcripts(out: Path) -> None:
    """`read_attempts` names the kept transcripts by paths that open."""
    frame = read_attempts(out)
    assert frame["transcript"].dropna().tolist() == [str(out / "transcripts" / "a3.sse")]
    assert len(frame) == 4


def test_a_folder_without_a_manifest_is_one_clear_error(tmp_path: Path) -> None:
    """Reading where nothing was published names the file and the remedy."""
    with pytest.raises(OutError, match=r"has no manifest\.parquet"):
        read_manifest(tmp_path)


LOAD = """
import json, sys
import datasets
clips = datasets.load_dataset("videofolder", data_dir=sys.argv[1], cache_dir=sys.argv[2], split="train")
clips = clips.cast_column("video", datasets.Video(decode=False))
rows = [[row["video"]["path"], row["prompt_id"], row["meta_label"]] for row in clips]
print(json.dumps([clips.column_names[0], rows]))
"""


def test_datasets_loads_the_folder_as_it_is(out: Path, tmp_path: Path) -> None:
    """One line of `datasets`, offline, gives every clip with its prompt and its labels."""
    (out / "videos" / ".part").mkdir(exist_ok=True)
    (out / "videos" / ".part" / "a-0.mp4").write_bytes(b"half")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(out), str(tmp_path / "cache")],
        env={"PATH": "", "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, rows = json.loads(done.stdout)
    assert first == "video"
    assert [(Path(path).read_bytes(), name, label) for path, name, label in rows] == [
        (b"clip 0", "p0", "boat"),
        (b"clip 1", "p1", "boat"),
        (b"clip 2", "p2", "boat"),
    ]
