"""The key is in no file, log, parameter or exception, whatever goes wrong and whoever says it back."""

from __future__ import annotations

import base64
import http.server
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pytest
from reelsweep.tasks.sandbox.faults import FAULTS
from reelsweep.tasks.sandbox.server import SandboxServer

PATIENCE_S = 240.0
KEY = 'sk-Kq7/Vx+9"w=Zt3'
SPELLINGS = (
    KEY,
    quote(KEY, safe=""),
    quote(KEY),
    json.dumps(KEY)[1:-1],
    base64.b64encode(KEY.encode()).decode(),
)
STOPPING = ("401", "402", "403", "403_model", "quota", "quota_403")
"""Faults that end a run; a second run meets them all at once."""
SECONDS = {"silence": 30}
"""How long a fault lasts that must outlast the patience of a run on a busy machine."""

Write = Callable[[Sequence[Mapping[str, Any]]], Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PREFECT_HOME of these tests' own."""
    return tmp_path_factory.mktemp("prefect-secrets")


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    """`reelsweep run` with the key in a variable and with a Prefect server of its own, logging everything."""

    def run(table: Path, base_url: str, *options: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API")}
        profile = tmp_path / "profile.yaml"
        profile.write_text(json.dumps({"base_url": base_url, "long_backoff_s": 0.1}))
        return subprocess.run(
            [sys.executable, "-m", "reelsweep.flows.cli", "run", str(table), "--gateway", str(profile),
             "--api-key-env", "THE_KEY", "--yes", "--out", "out", "--canary", "0", *options],
            cwd=tmp_path,
            env={**kept, "PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "DEBUG", "THE_KEY": KEY},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )  # fmt: skip

    return run


def leaks(*folders: Path) -> list[str]:
    """Files that hold a spelling of the key."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(text.encode() in path.read_bytes() for text in SPELLINGS)]


def says_key(ended: subprocess.CompletedProcess[str]) -> bool:
    """Whether a spelling of the key is in the output."""
    return any(text in ended.stdout + ended.stderr for text in SPELLINGS)


def test_no_fault_brings_the_key_to_light(run: Run, write_table: Write, home: Path, tmp_path: Path) -> None:
    """Every fault of a gateway that demands the key: nothing in OUT, PREFECT_HOME or the output holds it."""
    faults = [name for name in FAULTS if name not in STOPPING]
    good = [{"prompt": f"a kite {number}"} for number in range(2 * len(faults))]
    bad = [
        {"prompt": f"a kite [[fault={name} s={SECONDS.get(name, 1)} retry_after=1 times=1]]"}
        for name in faults
    ]
    # two good rows to a bad one keep the breaker quiet
    table = write_table(list(chain.from_iterable(zip(bad, good[::2], good[1::2], strict=True))))
    options = ("--idle-timeout", "12", "--stream-timeout", "15s", "--max-attempts", "2", "--concurrency", "8")
    with SandboxServer(key=KEY) as sandbox:
        ended = run(table, sandbox.base_url, *options)
        assert ended.returncode == 1, ended.stderr
        assert "planned" not in statuses(tmp_path), "the run stopped before it met every fault"
        assert len(sandbox.bill()) >= len(good)
        stopping = [{"prompt": f"a kite [[fault={name}]]"} for name in STOPPING]
        stopped = run(write_table([*good[:1], *stopping]), sandbox.base_url, "--concurrency", "6")
        assert stopped.returncode == 3, stopped.stderr
    assert not says_key(ended)
    assert not says_key(stopped)
    assert leaks(tmp_path, home) == []
    assert parameters(home), "the parameters were not looked at"


def statuses(folder: Path) -> set[str]:
    """The statuses in the manifest."""
    return set(pd.read_parquet(folder / "out" / "manifest.parquet")["status"])


def parameters(home: Path) -> str:
    """What the server stored as parameters of flow runs."""
    with sqlite3.connect(home / "prefect.db") as database:
        found = database.execute("select parameters from flow_run").fetchall()
    database.close()
    return "".join(text for (text,) in found)


class Parrot(http.server.BaseHTTPRequestHandler):
    """A gateway that says the key back wherever it can: by the prompt, in an error, a stream or a header."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        key = self.headers["authorization"].removeprefix("Bearer ")
        match body["messages"][-1]["content"]:
            case "status 401":
                self.answer(401, "application/json", json.dumps({"error": {"message": f"{key} is wrong"}}))
            case "status 400":
                self.answer(
                    400, "application/json", json.dumps({"error": {"message": f"got {key}", "code": key}})
                )
            case "status 500":
                self.answer(500, "text/html", f"<p>Authorization: Bearer {key}</p>")
            case "redirect":
                self.answer(302, "text/plain", "", location=f"http://127.0.0.1:1/?key={quote(key, safe='')}")
            case "video":
                self.answer(
                    200,
                    "text/event-stream",
                    stream(f"![v](http://127.0.0.1:1/v.mp4?key={quote(key, safe='')})"),
                )
            case _:
                self.answer(200, "text/event-stream", stream(f"I can not, {key}: content policy"))

    def answer(self, status: int, content_type: str, text: str, **headers: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(content)))
        self.send_header("x-request-id", self.headers["authorization"])
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def stream(text: str) -> str:
    """One chunk, an end, and `[DONE]`."""
    chunks = [{"delta": {"content": text}}, {"delta": {}, "finish_reason": "stop"}]
    lines = [json.dumps({"id": "c", "model": "m", "choices": [{"index": 0, **chunk}]}) for chunk in chunks]
    return "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"])


@pytest.fixture
def parrot() -> Iterator[str]:
    """Such a gateway on loopback; its base URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Parrot) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def test_a_gateway_that_says_the_key_back_is_not_quoted(
    run: Run, write_table: Write, parrot: str, home: Path, tmp_path: Path
) -> None:
    """In errors, streams, headers, redirects and addresses the key is hidden before anything is kept."""
    prompts = ("status 400", "status 500", "redirect", "video", "refusal")
    rows = [{"prompt": prompt} for prompt in prompts]
    ended = run(write_table(rows), parrot, "--max-attempts", "1", "--download-timeout", "3s")
    assert "Traceback" not in ended.stderr, ended.stderr
    assert ended.returncode == 1, ended.stderr
    stopped = run(write_table([*rows, {"prompt": "status 401"}]), parrot, "--json")
    assert stopped.returncode == 3, stopped.stderr
    assert "REMOVED is wrong" in stopped.stderr
    assert not says_key(ended)
    assert not says_key(stopped)
    assert leaks(tmp_path, home) == []
