"""OUTs made by hand, as a run leaves them: a manifest, the files beside it, and clips of any bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from reelsweep.tasks.export.places import open_place
from reelsweep.tasks.export.plan import ExportPlan, plan_export
from reelsweep.tasks.export.recipe import Recipe
from reelsweep.tasks.export.source import read_source
from reelsweep.tasks.export.write import Exported, write_export
from reelsweep.tasks.manifest.beside import replace_durably
from reelsweep.tasks.manifest.columns import ATTEMPTS, MANIFEST, METADATA, PLAN, Column
from reelsweep.tasks.manifest.sink import Sink

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FACTS = {"out_id": "0" * 32, "table": "tables/boats.csv", "table_sha256": "a" * 64, "gateway_kind": "real"}


def digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@dataclass
class Out:
    """An OUT under construction: `add` rows, then `write`."""

    path: Path
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    follows: dict[int, int] = field(default_factory=dict[int, int])

    def add(self, clip: bytes | None = None, **cells: Any) -> dict[str, Any]:
        """A row; a success with a clip of its own unless `cells` say otherwise."""
        number = len(self.rows)
        row: dict[str, Any] = {
            "run_id": "run-1",
            "prompt_id": f"p{number}",
            "prompt": f"A paper boat, take {number}",
            "sample_idx": 0,
            "choice_idx": 0,
            "in_plan": True,
            "shared": False,
            "request_fingerprint": digest("request", number),
            "gateway": "https://video.example.com/v1",
            "output": "video",
            "model": "sora-2",
            "served_model": "sora-2-2026",
            "seed": number,
            "seed_honoured": "unknown",
            "params": "{}",
            "status": "success",
            "num_attempts": 1,
            "num_purchases": 1,
            "cost_usd": 0.8,
            "created_at": NOON + timedelta(seconds=number),
            "completed_at": NOON + timedelta(hours=1),
        }
        row |= cells
        if row["status"] == "success" and row["output"] == "video" and "file_name" not in cells:
            row |= self.store(f"clip {number}".encode() * 50 if clip is None else clip)
            row |= {"width": 64, "height": 48, "duration_s": 0.5, "fps": 8.0, "has_audio": False}
            row |= {name: cells[name] for name in cells if name in row}
        self.rows.append(row)
        return row

    def store(self, clip: bytes) -> dict[str, Any]:
        """Keep a clip under its hash; the cells that speak of it."""
        sha256 = hashlib.sha256(clip).hexdigest()
        name = f"videos/{sha256[:2]}/{sha256}.mp4"
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_bytes(clip)
        return {"file_name": name, "sha256": sha256, "size_bytes": len(clip), "frames_sha256": digest(sha256)}

    def clip(self, number: int) -> Path:
        """The file of a row's clip."""
        return self.path / self.rows[number]["file_name"]

    def write(self, *, ended: bool = True) -> Out:
        """The files of a run that has ended."""
        self.path.mkdir(parents=True, exist_ok=True)
        plan = [
            {
                **row,
                "row_key": digest("row", number),
                "ordinal": number,
                "n": 1,
                "follows": self._parent(number),
            }
            for number, row in enumerate(self.rows)
        ]
        names = {column.name for column in PLAN}
        self._sink("manifest.parquet", MANIFEST, self.rows)
        in_plan = [{name: row[name] for name in row if name in names} for row in plan]
        self._sink("plan.parquet", PLAN, in_plan)
        self._sink("attempts.parquet", ATTEMPTS, [])
        self._sink("metadata.parquet", METADATA, [])
        (self.path / "index.html").write_text("<!doctype html>")
        (self.path / "reelsweep.json").write_text(json.dumps({"ended": ended}))
        return self

    def _sink(self, name: str, columns: tuple[Column, ...], rows: list[dict[str, Any]]) -> None:
        with Sink(self.path / name, columns) as sink:
            for row in rows:
                sink.add(row)
            sink.finish(FACTS)
        replace_durably(self.path / name)

    def _parent(self, number: int) -> str | None:
        parent = self.follows.get(number)
        return None if parent is None else self.rows[parent]["request_fingerprint"]


@pytest.fixture(scope="session")
def new_out() -> type[Out]:
    """Makes an OUT at a path."""
    return Out


@pytest.fixture
def out(tmp_path: Path) -> Out:
    """An empty OUT."""
    return Out(tmp_path / "out")


def silent(_what: str, _number: int) -> Callable[[int], None]:
    return lambda _done: None


class Export:
    """Plans and writes exports of an OUT."""

    @staticmethod
    def plan(out: Out, **recipe: Any) -> ExportPlan:
        return plan_export(read_source(open_place(out.path)), Recipe(**{"format": "videofolder", **recipe}))

    @classmethod
    def to(cls, dest: Path | str, out: Out, **recipe: Any) -> Exported:
        return write_export(cls.plan(out, **recipe), open_place(dest), silent)


@pytest.fixture(scope="session")
def export() -> type[Export]:
    """`export.plan(out, **recipe)`, `export.to(dest, out, **recipe)`."""
    return Export


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder, by name."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return read
