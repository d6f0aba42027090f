"""A machine that fails under a run: one clear message, the right exit code, nothing lost or bought twice."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from reelsweep.flows.server import ServerInUse
from reelsweep.tasks.manifest.read import read_manifest
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

ROWS = [{"prompt": "one", "seed": 1}, {"prompt": "two", "seed": 2}, {"prompt": "three", "seed": 3}]

Ended = tuple[int, dict[str, Any], str]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that anybody may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture
def command(prefect: ServerInUse, sandbox: SandboxServer, folder: Path) -> Callable[..., Ended]:
    """Runs the command line in `folder`: exit code, object on stdout, stderr without a traceback."""
    (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))

    def run(*arguments: str, **how: Any) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-m", "reelsweep.flows.cli", *arguments, "--json"],
            cwd=folder,
            env={**os.environ, "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            **how,
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended.returncode, json.loads(ended.stdout), ended.stderr

    return run


def words(sandbox: SandboxServer, *more: str) -> Sequence[str]:
    """The words of `reelsweep run`."""
    return ("run", "table.jsonl", "--gateway", sandbox.base_url, "--out", "out", "--yes", *more)


def test_a_full_disk_stops_the_run_and_loses_nothing(
    command: Callable[..., Ended], sandbox: SandboxServer, folder: Path
) -> None:
    """No more is bought than what can be kept; with space again the paid clips come without a POST."""
    sandbox.control(Script(clip_bytes=3_000_000))
    before = len(sandbox.bill())
    limit = (2_000_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    code, told, err = command(
        *words(sandbox), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    bought = len(sandbox.bill()) - before
    assert (code, bought) == (1, 1)
    assert "File too large" in err
    assert "then run the same command again" in err
    assert "success" not in told["counts"]
    code, told, _ = command(*words(sandbox))
    assert (code, told["counts"], told["posts"]) == (0, {"success": 3}, 2)
    assert len(sandbox.bill()) - before == 3


def test_a_damaged_ledger_is_made_anew_and_buys_nothing_again(
    command: Callable[..., Ended], sandbox: SandboxServer, folder: Path
) -> None:
    """The message names the remedy; after it the same command sends nothing."""
    command(*words(sandbox))
    before = len(sandbox.bill())
    ledger = folder / "out" / "ledger.db"
    ledger.write_bytes(b"\0" * 100 + ledger.read_bytes()[100:])
    code, told, _ = command(*words(sandbox))
    assert code == 1
    assert "the file is damaged" in told["error"]
    remedy = shlex.split(told["remedy"].split("`")[1])
    assert remedy == ["reelsweep", "reconcile", str(folder / "out"), "--rebuild"]
    ledger.replace(folder / "damaged.db")
    assert command(*remedy[1:])[0] == 0
    code, told, _ = command(*words(sandbox))
    assert (code, told["counts"], len(sandbox.bill()) - before) == (0, {"success": 3}, 0)


def obey_permissions() -> None:
    """In the child: no more than others may do, also where the tests run as root (capabilities(7))."""
    drop_from_bounding_set, dac_override = 24, 1
    ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


def test_a_folder_that_cannot_be_written_to_is_said_before_anything_is_sent(
    command: Callable[..., Ended], sandbox: SandboxServer, folder: Path
) -> None:
    """A read-only output folder: exit without a POST, one line with the folder and a remedy."""
    before = len(sandbox.bill())
    out = folder / "out"
    out.mkdir(mode=0o555)
    code, told, _ = command(*words(sandbox), preexec_fn=obey_permissions)
    assert code in (1, 2)
    assert str(out) in told["error"]
    assert told["remedy"]
    assert len(sandbox.bill()) == before


def test_where_the_ledger_cannot_be_read_the_files_tell(
    command: Callable[..., Ended], sandbox: SandboxServer, folder: Path
) -> None:
    """A log that only a writer could read, in a folder that nobody may write to: it is said which it is."""
    command(*words(sandbox))
    out = folder / "out"
    known = command("status", "out")[1]
    (out / "ledger.db-wal").write_bytes(b"\0" * 64)
    out.chmod(0o555)
    try:
        code, told, _ = command("status", "out", preexec_fn=obey_permissions)
    finally:
        out.chmod(0o755)
    assert (code, told["source"]) == (0, "files")
    assert "as its files were last published" in told["note"]
    assert {name: told[name] for name in ("counts", "posts", "cost_usd")} == {
        "counts": {"success": 3},
        "posts": 3,
        "cost_usd": known["cost_usd"],
    }


def test_a_manifest_deleted_by_hand_comes_back(
    command: Callable[..., Ended], sandbox: SandboxServer, folder: Path
) -> None:
    """The ledger knows everything; the next run writes the files again and sends nothing."""
    command(*words(sandbox))
    before = read_manifest(folder / "out")
    for path in (folder / "out").glob("*.parquet"):
        path.unlink()
    code, told, _ = command(*words(sandbox))
    assert (code, told["posts"]) == (0, 0)
    assert read_manifest(folder / "out")["sha256"].equals(before["sha256"])
