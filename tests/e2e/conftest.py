"""The whole line against a real gateway process, with one Prefect server for all tests of a process."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from reelsweep.flows.bulk import bulk
from reelsweep.flows.server import ServerInUse, prefect_server
from reelsweep.flows.summary import RunStopped, RunSummary
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

CLI = (sys.executable, "-m", "reelsweep.flows.cli")


PREFECT_LEAKS = "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
"""Prefect's synchronous client leaves a socket open each time a flow asks where results are stored."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of this folder live with Prefect's leaks; all other warnings are errors here too."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(PREFECT_LEAKS))


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInUse]:
    """One Prefect server; its address is in the environment, so commands started by tests use it too."""
    with prefect_server(tmp_path_factory.mktemp("prefect-e2e")) as server:
        server.wait_ready()
        yield server


@pytest.fixture(scope="session")
def _sandbox_process() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def sandbox(_sandbox_process: SandboxServer) -> SandboxServer:
    """The sandbox, well-behaved again; `control(Script(...))` changes that, `bill()` is what it accepted."""
    _sandbox_process.control(Script())
    return _sandbox_process


@dataclass(frozen=True)
class Command:
    """One command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The object on stdout."""
        return json.loads(self.out)


@pytest.fixture
def reelsweep(prefect: ServerInUse, tmp_path: Path) -> Callable[..., Command]:
    """Runs the command line as a process of its own in an empty folder."""

    def run(*arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 120) -> Command:
        ended = subprocess.run(
            [*CLI, *arguments],
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        return Command(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def make(prefect: ServerInUse, sandbox: SandboxServer, tmp_path: Path) -> Callable[..., Any]:
    """`bulk` in this process against the sandbox; a stopped run gives its summary like any other."""

    async def run(table: Any, **options: Any) -> RunSummary:
        options = {"out": str(tmp_path / "out"), "gateway": sandbox.base_url, **options}
        try:
            return await bulk(table, **options)
        except RunStopped as stopped:
            return stopped.summary

    return run


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[[Sequence[Mapping[str, Any]]], Path]:
    """Writes rows as a JSON Lines table."""

    def write(rows: Sequence[Mapping[str, Any]], name: str = "table.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def write_profile(tmp_path: Path) -> Callable[..., str]:
    """Writes a gateway profile; what comes back is a value for `gateway`."""

    def write(**fields: Any) -> str:
        path = tmp_path / "profile.yaml"
        path.write_text(json.dumps(fields))
        return str(path)

    return write


@pytest.fixture
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lets this process connect to loopback only; the list fills with what was tried beyond."""
    tried: list[str] = []
    connect = asyncio.selector_events.BaseSelectorEventLoop.sock_connect

    async def guarded(loop: Any, sock: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "127.0.0.1"
        if not ipaddress.ip_address(host).is_loopback:
            tried.append(host)
            raise ConnectionRefusedError(host)
        await connect(loop, sock, address)

    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", guarded)
    return tried
