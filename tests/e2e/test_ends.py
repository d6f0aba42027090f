"""How a run ends before its plan is done: Ctrl-C, SIGTERM, and a Prefect server that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from reelsweep.flows.server import ServerInUse
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

PATIENCE_S = 120.0
SLOTS = 3

Start = Callable[..., "subprocess.Popen[str]"]
Write = Callable[[Sequence[Mapping[str, Any]]], Path]


@pytest.fixture
def start(sandbox: SandboxServer, write_table: Write, tmp_path: Path) -> Iterator[Start]:
    """Starts `reelsweep run` on nine rows against a sandbox that takes `duration_s` for each."""
    running: list[subprocess.Popen[str]] = []

    def begin(
        *options: str, duration_s: float, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        sandbox.control(Script(duration_s=duration_s))
        table = write_table([{"prompt": f"kite {number}"} for number in range(9)])
        process = subprocess.Popen(
            [sys.executable, "-m", "reelsweep.flows.cli", "run", str(table), "--gateway", sandbox.base_url,
             "--out", "out", "--concurrency", str(SLOTS), "--canary", "0", "--yes", "--json", *options],
            cwd=tmp_path,
            env=dict(os.environ if env is None else env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def billed(sandbox: SandboxServer) -> Callable[[int], int]:
    """Waits until so many POSTs of this test were accepted; how many there are."""
    before = len(sandbox.bill())

    def wait(least: int) -> int:
        deadline = time.monotonic() + PATIENCE_S
        while (number := len(sandbox.bill()) - before) < least:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return number

    return wait


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The object on stdout; nothing else is there, and no traceback is on stderr."""
    out, err = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in err, err
    assert process.returncode is not None
    return {**json.loads(out), "err": err}


def statuses(folder: Path) -> Counter[str]:
    """The manifest's statuses."""
    return Counter(pd.read_parquet(folder / "out" / "manifest.parquet")["status"])


def test_ctrl_c_once_finishes_what_is_paid_for(
    prefect: ServerInUse, start: Start, billed: Callable[[int], int], tmp_path: Path
) -> None:
    """The open rows become clips, no other is sent, the exit code is 130."""
    process = start(duration_s=4.0)
    billed(SLOTS)
    process.send_signal(signal.SIGINT)
    document = ended(process)
    sent = document["posts"]
    assert (process.returncode, billed(0)) == (130, sent)
    assert SLOTS <= sent < 9
    assert statuses(tmp_path) == {"success": sent, "planned": 9 - sent}
    assert "stopping: Interrupted" in document["err"]
    assert document["err"].count("once more to cut off") == 1
    told = [line for line in document["err"].splitlines() if " of 9: " in line]
    assert told[-1].startswith(f"{sent} of 9: {sent} done"), "the last line has what ended meanwhile"


def test_ctrl_c_twice_cuts_off(
    prefect: ServerInUse, start: Start, billed: Callable[[int], int], tmp_path: Path
) -> None:
    """The open rows are `unknown`, at once; the next run holds them and sends the rest."""
    process = start(duration_s=60.0)
    assert process.stderr is not None
    billed(SLOTS)
    process.send_signal(signal.SIGINT)
    while "stopping" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    ended(process)
    assert time.monotonic() - began < 30
    assert (process.returncode, billed(0)) == (130, SLOTS)
    assert statuses(tmp_path) == {"unknown": SLOTS, "planned": 9 - SLOTS}
    again = start(duration_s=0.2)
    assert (ended(again)["posts"], again.returncode) == (9 - SLOTS, 1)
    assert statuses(tmp_path) == {"unknown": SLOTS, "success": 9 - SLOTS}


def test_sigterm_waits_no_longer_than_asked(
    prefect: ServerInUse, start: Start, billed: Callable[[int], int], tmp_path: Path
) -> None:
    """After `--drain-s` what is still open is cut off and `unknown`."""
    process = start("--drain-s", "0.5", duration_s=60.0)
    billed(SLOTS)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    ended(process)
    assert time.monotonic() - began < 30
    assert process.returncode == 130
    assert statuses(tmp_path) == {"unknown": SLOTS, "planned": 9 - SLOTS}


def test_a_session_that_is_closed_finishes_what_is_paid_for(
    prefect: ServerInUse, start: Start, billed: Callable[[int], int], tmp_path: Path
) -> None:
    """SIGHUP, as when an ssh connection drops: the open rows become clips, no other is sent."""
    process = start(duration_s=4.0)
    billed(SLOTS)
    process.send_signal(signal.SIGHUP)
    sent = ended(process)["posts"]
    assert (process.returncode, billed(0)) == (130, sent)
    assert SLOTS <= sent < 9
    assert statuses(tmp_path) == {"success": sent, "planned": 9 - sent}


def test_a_killed_prefect_server_costs_one_line(
    start: Start, billed: Callable[[int], int], tmp_path: Path
) -> None:
    """All rows finish, the manifest is whole, the exit code is 0, the process ends within 30 s."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API")}
    process = start(duration_s=1.0, env={**kept, "PREFECT_HOME": str(tmp_path / "prefect")})
    billed(1)
    server_of(process.pid).kill()
    billed(9)
    began = time.monotonic()
    document = ended(process)
    assert time.monotonic() - began < 30
    assert (process.returncode, document["counts"]) == (0, {"success": 9})
    assert statuses(tmp_path) == {"success": 9}
    assert len([line for line in document["err"].splitlines() if "warning" in line or "error" in line]) == 1


def server_of(pid: int) -> psutil.Process:
    """The embedded Prefect server of a run."""
    children = psutil.Process(pid).children()
    return next(child for child in children if any("embedded.py" in word for word in child.cmdline()))
