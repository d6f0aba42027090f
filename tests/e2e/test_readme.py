"""Every command of the README's first pages runs as it stands, in an empty folder, in order."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reelsweep.flows.server import ServerInUse

_BLOCK = re.compile(r"^```(?P<language>bash|python) (?P<name>[a-z-]+)\n(?P<code>.*?)^```", re.S | re.M)


def blocks(project: Path) -> dict[str, str]:
    """The README's blocks that have a name."""
    return {found["name"]: found["code"] for found in _BLOCK.finditer((project / "README.md").read_text())}


@pytest.fixture(scope="session")
def folder(prefect: ServerInUse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One empty folder for all blocks, as a reader would have."""
    return tmp_path_factory.mktemp("readme")


def run(folder: Path, code: str, interpreter: list[str]) -> str:
    """Run one block; its output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        [*interpreter, code],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


BASH = ["bash", "-euo", "pipefail", "-c"]


@pytest.fixture(scope="session")
def first_minute(project: Path, folder: Path) -> str:
    """What the first block prints."""
    return run(folder, blocks(project)["first"], BASH)


@pytest.mark.xdist_group("readme")
def test_the_first_minute_works(first_minute: str, folder: Path) -> None:
    """Plan, run, run again: sixteen clips, and the second run buys nothing."""
    out = first_minute
    assert '"posts": 0' in out
    assert "16 success" in out
    assert len(list((folder / "runs/sandbox/example/videos").glob("*/*.mp4"))) == 16


@pytest.mark.xdist_group("readme")
@pytest.mark.usefixtures("first_minute")
def test_the_queries_work(project: Path, folder: Path) -> None:
    """Five questions to the manifest, with DuckDB, pandas and polars."""
    out = run(folder, blocks(project)["queries"], [sys.executable, "-c"])
    assert "success" in out
    assert "p50%" in out


@pytest.mark.xdist_group("readme")
@pytest.mark.usefixtures("first_minute")
def test_clips_are_made_again(project: Path, folder: Path) -> None:
    """The sandbox honours seeds, and what is made again comes back bit by bit."""
    out = run(folder, blocks(project)["again"], BASH)
    assert "seed honoured\n  d(A, A') = 0.000, d(A, B) = 0.469\n" in out
    assert "  bit-identical       4    51% to 100%\n" in out


@pytest.mark.xdist_group("readme")
@pytest.mark.usefixtures("first_minute")
def test_a_dataset_is_handed_over(project: Path, folder: Path) -> None:
    """Verified, exported, verified again, and loaded with one line."""
    out = run(folder, blocks(project)["dataset"], BASH)
    assert out.count("everything is there, as written, and nothing else") == 2
    assert "num_rows: " in out
    assert (folder / "clips" / "README.md").read_text().startswith("---\nlicense: cc-by-4.0\n")


@pytest.mark.xdist_group("readme")
def test_a_table_of_ones_own_grows(project: Path, folder: Path) -> None:
    """Two prompts times three seeds, then a seed more: eight clips in all, and a gallery of them."""
    run(folder, blocks(project)["own"], BASH)
    assert len(list((folder / "runs/sandbox/mine/videos").glob("*/*.mp4"))) == 8
    page = folder / "runs/sandbox/mine/index.html"
    assert run(folder, blocks(project)["gallery"], BASH).strip() == page.as_uri()
    assert "<title>mine · Reelsweep</title>" in page.read_text()
    assert len(list((folder / "runs/sandbox/mine/gallery/posters").glob("*/*.jpg"))) == 8


@pytest.mark.xdist_group("readme")
def test_rejected_clips_are_made_up_for(project: Path, folder: Path) -> None:
    """The plan says least and most; the manifest holds what was accepted and every reject."""
    out = run(folder, blocks(project)["accept"], BASH)
    assert "6; at most 12, where clips are rejected" in out
    told = pd.read_parquet(folder / "runs/sandbox/clips/manifest.parquet")
    assert told.groupby("prompt_id")["accepted"].agg(["sum", "size"]).to_numpy().tolist() == [[3, 3], [0, 6]]


@pytest.mark.xdist_group("readme")
def test_a_sweep_file_is_planned_as_shown_and_run(project: Path, folder: Path) -> None:
    """The grid is the one the README shows below the command."""
    out = run(folder, blocks(project)["sweep"], BASH)
    shown = re.search(r"^axis size .*?generations$", (project / "README.md").read_text(), re.S | re.M)
    assert shown is not None
    assert " ".join(shown[0].split()) in " ".join(out.split())
    assert len(list((folder / "runs/styles/videos").glob("*/*.mp4"))) == 8


@pytest.mark.xdist_group("readme")
def test_a_killed_run_goes_on_and_the_bill_has_each_clip_once(project: Path, folder: Path) -> None:
    """kill -9 in the middle, the same command again: one line on the bill for each clip."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    out = run(folder, blocks(project)["killed"].replace("8777", str(port)), BASH)
    assert out.split()[-1] == "16"


@pytest.mark.usefixtures("prefect")
def test_tables_and_results_live_in_a_bucket(bucket: Any, project: Path, tmp_path: Path) -> None:
    """Clips, tables and page are there, the table's sha256 is kept, and no clip is left on this machine."""
    table = b"prompt,seed\na fox,1\na hare,2\n"
    bucket.put("prompts.csv", table)
    code = (
        blocks(project)["bucket"].replace("my-bucket", bucket.name).replace("pip install", "pip --version #")
    )
    out = run(tmp_path, code, BASH)
    assert "2 files" in out
    objects = bucket.objects("clips/")
    assert {f"clips/{name}" for name in ("reelsweep.json", "index.html", "attempts.parquet")} <= set(objects)
    facts = pq.read_metadata(pa.BufferReader(objects["clips/manifest.parquet"])).metadata
    assert facts[b"reelsweep.table_sha256"].decode() == hashlib.sha256(table).hexdigest()
    assert not list((tmp_path / "home").rglob("*.mp4"))
