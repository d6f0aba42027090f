"""A gateway that becomes another one in the middle of a run: said, emitted, paused at, stopped at."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import pandas as pd
import pytest
from reelsweep.flows.execution.drift import MOST_TOLD
from reelsweep.flows.execution.progress import DISPLAY
from reelsweep.flows.reporting.lines import LineDisplay
from reelsweep.tasks.sandbox.script import Script

CLI = (sys.executable, "-m", "reelsweep.flows.cli")
PATIENCE_S = 60.0


@pytest.fixture
def drift(sandbox) -> Callable[[int], None]:
    """Lets the sandbox drift after every so many results, from now on."""

    def begin(every: int) -> None:
        sandbox.control(Script(fingerprint="drifting", drift_every=every, duration_s=0.02))

    return begin


@pytest.fixture
def frame():
    """Prompts whose clips are small."""

    def make(count):
        return pd.DataFrame({"prompt": [f"prompt {index}" for index in range(count)], "size": "64x64"})

    return make


class Log:
    """What is said on stderr."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        self.lines += text.splitlines()

    def flush(self) -> None:
        """Nothing waits."""

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.lines if line.startswith("warning: ")]


@pytest.fixture
def log():
    """Collects what a run says."""
    said = Log()
    token = DISPLAY.set(LineDisplay(said))  # type: ignore[arg-type]
    yield said
    DISPLAY.reset(token)


async def test_each_new_stratum_is_said_once_and_stands_in_its_rows(make, drift, frame, log):
    """Answers come in any order, but a stratum is news once; the summary counts the rows of each."""
    drift(4)
    summary = await make(frame(12), seeds="1", concurrency=4)
    assert len(log.warnings) == 2
    assert all("sora-2 is now answered by sora-2@fp_sandbox_1_" in line for line in log.warnings)
    table = summary.frame()
    assert list(table["stratum"]) == list(table["served_model"] + "@" + table["system_fingerprint"])
    assert summary.strata == {"sora-2": table["stratum"].value_counts().to_dict()}
    assert sum(summary.strata["sora-2"].values()) == 12


async def test_a_gateway_without_a_fingerprint_never_drifts(make, sandbox, frame, log):
    """The served model is all there is, and it stays."""
    sandbox.control(Script(fingerprint="absent", duration_s=0.02))
    summary = await make(frame(3), seeds="1", on_drift="stop")
    assert (summary.exit_code, log.warnings) == (0, [])
    assert summary.strata == {"sora-2": {"sora-2@?": 3}}


async def test_a_stop_holds_also_in_the_runs_after_it(make, drift, frame, log):
    """Exit 3 and the remedy; a later run is stopped by its first result, until it is told to warn only."""
    drift(4)
    first = await make(frame(10), seeds="1", concurrency=1, on_drift="stop")
    assert (first.exit_code, first.stop_reason, first.posts) == (3, "drift", 5)
    assert "--on-drift warn goes on" in str(first.stopped)
    again = await make(frame(10), seeds="1", concurrency=1, on_drift="stop")
    assert (again.exit_code, again.posts) == (3, 1)
    last = await make(frame(10), seeds="1", concurrency=1)
    assert (last.exit_code, last.counts) == (0, {"success": 10})
    assert len(log.warnings) == len(last.strata["sora-2"]) - 1  # once each, over all three runs


async def test_nobody_to_ask_is_a_no(make, drift, frame, log):
    """Without a terminal and without a Prefect server that outlives the run, a pause is a stop."""
    drift(3)
    summary = await make(frame(6), seeds="1", concurrency=1, on_drift="pause")
    assert (summary.exit_code, summary.stop_reason, summary.posts) == (3, "drift", 4)
    assert any("nobody can be asked" in line for line in log.warnings)


async def test_a_mark_that_is_new_each_time_is_not_told_for_ever(make, drift, frame, log):
    """Some gateways send a random one: it is told so often, and counted on."""
    drift(1)
    summary = await make(frame(MOST_TOLD + 3), seeds="1")
    assert len(log.warnings) == MOST_TOLD - 1
    assert log.warnings[-1].endswith("Later ones are counted, not told.")
    assert len(summary.strata["sora-2"]) == MOST_TOLD + 3


@pytest.fixture
def command(sandbox, drift, tmp_path) -> list[str]:
    """Six generations whose third is another stratum than the two before."""
    drift(2)
    (tmp_path / "t.csv").write_text("prompt,size,seed\na,64x64,0-5\n")
    port = sandbox.base_url.split(":")[2].split("/")[0]
    options = ("--gateway", f"sandbox:{port}", "--concurrency", "1", "--on-drift", "pause", "--out", "out")
    return [*CLI, "run", "t.csv", *options]


def test_at_a_terminal_a_person_is_asked(prefect, sandbox, command, tmp_path):
    """Nothing is sent while the question stands; `y` goes on until the next change, anything else stops."""
    known = len(sandbox.bill())
    terminal = Terminal(command, tmp_path)
    terminal.read_until("y and Enter go on")
    assert len(sandbox.bill()) == known + 3
    terminal.write("y\n")
    terminal.read_until("y and Enter go on")
    assert len(sandbox.bill()) == known + 5
    terminal.write("no\n")
    assert terminal.end() == 3, terminal.seen
    assert len(sandbox.bill()) == known + 5


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, command: list[str], folder: Any) -> None:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execv(command[0], command)
        self.seen = ""

    def read_until(self, text: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            assert time.monotonic() < until, self.seen
            self._read(until - time.monotonic())
        self.seen = self.seen.partition(text)[2]

    def write(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def end(self) -> int:
        """The exit code, once the command has ended."""
        until = time.monotonic() + PATIENCE_S
        while self._read(until - time.monotonic()):
            assert time.monotonic() < until, self.seen
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self, wait_s: float) -> bool:
        if not select.select([self._terminal], [], [], max(0, wait_s))[0]:
            return True
        try:
            read = os.read(self._terminal, 4096)
        except OSError:  # the other side is closed
            return False
        self.seen += read.decode("utf-8", "replace").replace("\n", " ").replace("\r", "")
        return bool(read)


async def test_without_a_terminal_the_flow_run_is_paused_and_resumed_on_prefects_page(
    prefect, sandbox, command, tmp_path
):
    """Resume goes on, and the run ends as if nothing had been."""
    sandbox.control(Script(fingerprint="drifting", drift_every=3, duration_s=0.02))
    known = len(sandbox.bill())
    process = subprocess.Popen(
        [*command, "--json"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        async with httpx.AsyncClient(base_url=prefect.url, trust_env=False) as client:
            run = await poll(client, "/flow_runs/filter", PAUSED)
            assert len(sandbox.bill()) == known + 4
            resumed = await client.post(f"/flow_runs/{run['id']}/resume", json={})
            assert resumed.json()["status"] == "ACCEPT"
        out, _ = await asyncio.to_thread(process.communicate, timeout=PATIENCE_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    summary = json.loads(out)
    assert summary["counts"] == {"success": 6}


PAUSED = {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}}


async def poll(client: httpx.AsyncClient, path: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The first that the server finds, as soon as there is one."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = (await client.post(path, json=asked)).json()
        if found:
            return found[0]
        await asyncio.sleep(0.2)
    raise AssertionError(f"{path} found nothing")
