"""The same sweep from two clean checkouts: the same fingerprints, files and manifest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from reelsweep.flows.server import ServerInUse
from reelsweep.tasks.sandbox.server import SandboxServer

TABLE = """prompt_id,prompt_template,seconds,subject,meta_shelf
kite,A {{ subject }} over dunes,0.5,red kite,Ä
boat,A {{ subject }} in the rain,0.5,paper boat,B
"""
SWEEP = """
axes:
  size: choice(96x64, 64x64)
fragments:
  style: [in oil, in ink]
seeds: {values: 0-1, mode: derived}
"""
PLACES: tuple[Mapping[str, str], ...] = (
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "2", "TZ": "America/Los_Angeles", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "0"},
)
TIMES_AND_IDS = (
    *("run_id", "gateway_task_id", "created_at", "started_at", "first_event_at", "completed_at"),
    *("generation_s", "download_s"),
)


def checked_out(project: Path, place: Path) -> Path:
    """The packages as a checkout of their own has them."""
    for package in ("prompts", "tasks", "flows"):
        away = shutil.ignore_patterns("__pycache__")
        shutil.copytree(project / package, place / "checkout" / "reelsweep" / package, ignore=away)
    (place / "table.csv").write_text(TABLE)
    (place / "sweep.yaml").write_text(SWEEP)
    return place / "checkout"


def origin(code: Path) -> Path:
    """Where a process with this checkout takes its modules from."""
    ask = "import importlib.util as u; print(u.find_spec('reelsweep.prompts.plan').origin)"
    environment = {**os.environ, "PYTHONPATH": str(code)}
    return Path(subprocess.check_output([sys.executable, "-c", ask], env=environment, text=True).strip())


def start(project: Path, place: Path, gateway: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """The command, in a folder, a locale, a time zone and a process of its own."""
    code = checked_out(project, place)
    line = ["run", "table.csv", "--sweep", "sweep.yaml", "--gateway", gateway, "--out", "out", "--yes"]
    return subprocess.Popen(
        [sys.executable, "-m", "reelsweep.flows.cli", *line],
        cwd=place,
        env={**os.environ, **environment, "PYTHONPATH": str(code)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def files(out: Path) -> list[str]:
    """The clips by name; a name is the hash of the bytes."""
    return sorted(str(path.relative_to(out)) for path in out.glob("videos/*/*.mp4"))


def table(out: Path, name: str) -> pd.DataFrame:
    """A table of an OUT without times and ids; an answer's link to its clip is an id too."""
    frame = pd.read_parquet(out / name)
    if "text" in frame:
        frame["text"] = frame["text"].str.replace(r"http\S+", "LINK", regex=True)
    return frame.drop(columns=[column for column in TIMES_AND_IDS if column in frame])


def test_two_checkouts_make_the_same(
    prefect: ServerInUse, sandbox: SandboxServer, project: Path, tmp_path: Path
) -> None:
    """Sixteen cells: another folder, hash seed, locale and time zone change nothing but times and ids."""
    places = [tmp_path / name for name in ("one", "other")]
    for place in places:
        place.mkdir()
    going = [start(project, place, sandbox.base_url, env) for place, env in zip(places, PLACES, strict=True)]
    said = [process.communicate(timeout=240)[1] for process in going]
    assert [process.returncode for process in going] == [0, 0], said
    assert all(place in origin(place / "checkout").parents for place in places)
    outs = [place / "out" for place in places]
    assert len(files(outs[0])) == 16
    assert files(outs[0]) == files(outs[1])
    for name in ("manifest.parquet", "plan.parquet", "metadata.parquet"):
        pd.testing.assert_frame_equal(table(outs[0], name), table(outs[1], name))
