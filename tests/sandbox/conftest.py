"""One sandbox process for all tests here, and a client that shows what went over the wire, byte by byte."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer

KEY = "sk-sandbox-tests"
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Heard:
    """One response as it came: `ended` is complete, cut or reset."""

    status: int
    headers: dict[str, str]
    body: bytes
    ended: str

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The JSON of every well-formed `data:` line."""
        found = []
        for line in self.text.splitlines():
            if line.startswith("data: {"):
                try:
                    found.append(json.loads(line[6:]))
                except ValueError:
                    continue
        return found

    @property
    def content(self) -> str:
        return "".join(
            choice["delta"].get("content") or ""
            for event in self.events
            for choice in event.get("choices", ())
        )


@dataclass(frozen=True)
class Caller:
    """A client made of a socket."""

    server: SandboxServer

    @property
    def origin(self) -> str:
        return self.server.base_url.removesuffix("/v1")

    def send(self, method: str, target: str, body: bytes = b"", **headers: str) -> Heard:
        host, port = self.origin.removeprefix("http://").split(":")
        lines = {"Host": f"{host}:{port}", "Connection": "close", "Content-Length": str(len(body))}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in lines.items()
        )
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_S) as connection:
            connection.sendall(head.encode() + b"\r\n" + body)
            return listen(connection, head_only=method == "HEAD")

    def post(self, prompt: str = "a cat", *, key: str | None = None, auth: str = KEY, **fields: Any) -> Heard:
        asked = {
            "model": "sora-2",
            "stream": True,
            "messages": [{"role": "user", "content": prompt}],
            **fields,
        }
        headers = {"Authorization": f"Bearer {auth}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency_Key"] = key
        return self.send("POST", "/v1/chat/completions", json.dumps(asked).encode(), **headers)

    def get(self, url: str, **headers: str) -> Heard:
        """GET an absolute or relative address of the sandbox; the key goes to `/v1/` only."""
        target = url.removeprefix(self.origin)
        if target.startswith("/v1/"):
            headers["Authorization"] = f"Bearer {KEY}"
        return self.send("GET", target, **headers)

    def video_url(self, prompt: str = "a cat", **fields: Any) -> str:
        return find_urls(self.post(prompt, **fields).content)[0]


def find_urls(text: str) -> list[str]:
    """Addresses of clips in a text, in order, each once."""
    return list(dict.fromkeys(re.findall(r"(?:http://[\d.:]+)?/(?:v1/)?files/[^\s()<>'\"]+", text)))


def listen(connection: socket.socket, *, head_only: bool = False) -> Heard:
    raw, ended = bytearray(), "complete"
    try:
        while piece := connection.recv(65_536):
            raw += piece
    except ConnectionResetError:
        ended = "reset"
    head, _, body = bytes(raw).partition(b"\r\n\r\n")
    if not head:
        return Heard(0, {}, b"", ended if ended == "reset" else "cut")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    whole = True
    if headers.get("transfer-encoding") == "chunked":
        body, whole = _dechunk(body)
    elif not head_only:
        whole = len(body) == int(headers.get("content-length", "0"))
    return Heard(int(first.split()[1]), headers, body, ended if ended == "reset" or whole else "cut")


def _dechunk(data: bytes) -> tuple[bytes, bool]:
    """The body in the chunks, and whether the last chunk is there."""
    body = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return body, True
        body, data = body + rest[:length], rest[length + 2 :]
    return body, False


@pytest.fixture(scope="session")
def shared_server() -> Iterator[SandboxServer]:
    """The process, started once."""
    with SandboxServer(key=KEY) as server:
        yield server


@pytest.fixture
def sandbox(shared_server: SandboxServer) -> Callable[..., Caller]:
    """Make the sandbox behave: `sandbox(dialect="task")` gives a caller."""

    def behave(**settings: Any) -> Caller:
        shared_server.control(Script(**{"duration_s": 0.02, "size": "64x36", "seconds": 0.5, **settings}))
        return Caller(shared_server)

    return behave
