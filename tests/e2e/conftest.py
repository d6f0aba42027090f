"""The whole line against a real gateway process, with one Prefect server for all tests of a process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from reelsweep.flows.bulk import bulk
from reelsweep.flows.server import ServerInUse, prefect_server
from reelsweep.flows.summary import RunStopped, RunSummary
from reelsweep.tasks.sandbox.render import render_clip
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

CLI = (sys.executable, "-m", "reelsweep.flows.cli")


PREFECT_LEAKS = "ignore:unclosed <socket:ResourceWarning"
"""Prefect's synchronous client leaves a socket open each time a flow asks where results are stored.

As an error it would be raised where the collector runs, in the middle of a question to a ledger as well, and
what pytest keeps of it would hold that ledger's connection open.
"""


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
def make(prefect: ServerInUse, sandbox: SandboxServer, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`bulk` in this process against the sandbox; a stopped run gives its summary like any other."""

    async def run(table: Any, **options: Any) -> RunSummary:
        options = {"out": str(tmp_path / "out"), "gateway": sandbox.base_url, **options}
        try:
            return await bulk(table, **options)
        except RunStopped as stopped:
            return stopped.summary

    yield run
    gc.collect()  # Prefect's leaks are borne with in this folder only


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
    """Lets this process connect to loopback only, and resolves no name but those of the test's own.

    The list fills with what was tried beyond. `private.example.com` leads to a private address.
    """
    tried: list[str] = []
    loop_type = asyncio.BaseEventLoop
    connect = asyncio.selector_events.BaseSelectorEventLoop.sock_connect

    async def guarded(loop: Any, sock: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not ipaddress.ip_address(address[0]).is_loopback:
            tried.append(address[0])
            raise ConnectionRefusedError(address[0])
        await connect(loop, sock, address)

    async def resolve(_loop: Any, host: Any, port: Any, **_more: Any) -> list[Any]:
        known = {"localhost": "127.0.0.1", "0x7f000001": "127.0.0.1", "private.example.com": "10.0.0.7"}
        name = known.get(host, host)
        try:
            ipaddress.ip_address(name)
        except ValueError:
            tried.append(host)
            raise socket.gaierror(socket.EAI_NONAME, host) from None
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, port))]

    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", guarded)
    monkeypatch.setattr(loop_type, "getaddrinfo", resolve)
    return tried


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request that the gateway of the test's own received."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    at: float
    """Monotonic seconds."""

    @property
    def json(self) -> dict[str, Any]:
        """The body of a POST."""
        return json.loads(self.body)

    @property
    def prompt(self) -> str:
        """The last message, as text."""
        return self.json["messages"][-1]["content"]


@dataclass
class OwnGateway:
    """A gateway on loopback that answers what the test says and remembers what it was asked.

    `answer` returns the raw bytes of a response (`said` writes them); the connection closes behind them.
    """

    port: int = 0
    answer: Callable[[Asked], bytes] = lambda _asked: said(b"", status=404)
    asked: list[Asked] = field(default_factory=list[Asked])
    num_connections: int = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def posts(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.method == "POST"]

    @property
    def gets(self) -> list[str]:
        return [asked.path for asked in self.asked if asked.method == "GET"]

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, answer it, hang up."""
        self.num_connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)
            }
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, path, _ = head.split()
            asked = Asked(method=method, path=path, headers=headers, body=body, at=time.monotonic())
            self.asked.append(asked)
            writer.write(self.answer(asked))
            await writer.drain()
        writer.close()


def said(body: bytes, *, status: int = 200, content_type: str = "text/event-stream", **headers: str) -> bytes:
    """The raw bytes of a response that ends where its connection does."""
    fields = {"Content-Type": content_type, "Connection": "close"}
    fields |= {name.replace("_", "-"): text for name, text in headers.items()}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {text}" for name, text in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@pytest.fixture
async def own_gateway() -> AsyncIterator[OwnGateway]:
    """A gateway of the test's own; give it an `answer`."""
    gateway = OwnGateway()
    server = await asyncio.start_server(gateway.converse, "127.0.0.1", 0)
    gateway.port = server.sockets[0].getsockname()[1]
    yield gateway
    server.close()
    await server.wait_closed()


@pytest.fixture
def respond() -> Callable[..., bytes]:
    """Writes the raw bytes of a response: `respond(body, status=200, content_type=…, Header_Name=…)`."""
    return said


@pytest.fixture(scope="session")
def clip() -> bytes:
    """A whole MP4."""
    return render_clip("test", "a clip", 1)
