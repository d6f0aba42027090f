"""Runs of the command line as processes of their own, and what they used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from reelsweep.flows.server import ServerInUse, prefect_server

CLI = (sys.executable, "-m", "reelsweep.flows.cli")
SAMPLE_S = 0.25


@dataclass
class Usage:
    """What one command used: its own CPU, its children's, and its tree's memory over time."""

    summary: dict[str, Any] = field(default_factory=dict)
    own_cpu_s: float = 0.0
    children_cpu_s: float = 0.0
    memory: list[tuple[float, int]] = field(default_factory=list)
    """(seconds since the start, bytes resident in the process and its children)."""
    own_memory: list[tuple[float, int]] = field(default_factory=list)


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInUse]:
    """One Prefect server in a process of its own, used by every command."""
    with prefect_server(tmp_path_factory.mktemp("prefect-bench")) as server:
        server.wait_ready()
        yield server


@pytest.fixture
def use(tmp_path: Path) -> Callable[..., Usage]:
    """Runs `reelsweep` with these arguments and watches what its processes use."""

    def run(*arguments: str) -> Usage:
        process = subprocess.Popen(
            [*CLI, *arguments, "--json"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        usage, children = Usage(), dict[int, float]()
        watching = threading.Thread(target=_watch, args=(process, usage, children))
        watching.start()
        assert process.stdout is not None
        with process.stdout:
            said = process.stdout.read()
        _, _, spent = os.wait4(process.pid, 0)
        process.returncode = 0
        watching.join()
        usage.summary = json.loads(said)
        usage.children_cpu_s = sum(children.values())
        usage.own_cpu_s = spent.ru_utime + spent.ru_stime - usage.children_cpu_s
        return usage

    return run


def _watch(process: subprocess.Popen[bytes], usage: Usage, children: dict[int, float]) -> None:
    started, own = time.monotonic(), psutil.Process(process.pid)
    while process.returncode is None:
        try:
            tree = own.children(recursive=True)
            sizes = [own.memory_info().rss, *(_measure(child, children) for child in tree)]
        except psutil.Error:
            return
        now = time.monotonic() - started
        usage.own_memory.append((now, sizes[0]))
        usage.memory.append((now, sum(sizes)))
        time.sleep(SAMPLE_S)


def _measure(child: psutil.Process, children: dict[int, float]) -> int:
    try:
        times = child.cpu_times()
        children[child.pid] = times.user + times.system
        return child.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a figure past pytest's capture."""

    def say(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}")

    return say


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[[str, Sequence[int]], Path]:
    """A CSV table with one row for each seed."""

    def write(name: str, seeds: Sequence[int]) -> Path:
        path = tmp_path / name
        rows = (f"a fox in the snow number {seed} of many,{seed}\n" for seed in seeds)
        path.write_text("prompt,seed\n" + "".join(rows))
        return path

    return write
