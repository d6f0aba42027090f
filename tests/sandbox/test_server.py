"""The process: loopback only, controlled by its token, gone when its parent is gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reelsweep.prompts.errors import SettingsError, TroubleError
from reelsweep.tasks.sandbox.delivery import parse_range
from reelsweep.tasks.sandbox.recent import Recent
from reelsweep.tasks.sandbox.script import Script
from reelsweep.tasks.sandbox.server import SandboxServer, serve

Sandbox = Callable[..., Any]

_PARENT = """
import sys, time
from reelsweep.tasks.sandbox.server import SandboxServer
server = SandboxServer()
server.start()
print(server.pid, server.base_url, flush=True)
sys.stdin.read()
"""


def is_served(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    """Ask often; whether it came true in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        os.sched_yield()
    return True


def test_it_ends_when_its_parent_is_killed() -> None:
    """SIGKILL of the parent leaves no sandbox behind."""
    parent = subprocess.Popen(
        (sys.executable, "-c", _PARENT), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    base_url = parent.stdout.readline().split()[1]
    port = int(base_url.rpartition(":")[2].removesuffix("/v1"))
    assert is_served(port)
    parent.kill()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    assert until(lambda: not is_served(port))


def test_it_is_in_no_terminal_group(shared_server: SandboxServer) -> None:
    """Ctrl-C in the parent's terminal does not reach it: what is paid for may finish."""
    assert os.getpgid(shared_server.pid) != os.getpgid(0)


def test_serve_ends_by_interrupt() -> None:
    """In the foreground, one interrupt ends it without a traceback."""
    code = (
        "from reelsweep.tasks.sandbox.server import serve; serve(on_ready=lambda url: print(url, flush=True))"
    )
    process = subprocess.Popen(
        (sys.executable, "-c", code), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    port = int(process.stdout.readline().strip().rpartition(":")[2].removesuffix("/v1"))
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert connection.recv(64).startswith(b"HTTP/1.1 200")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com", "::"])
def test_it_serves_loopback_only(host: str) -> None:
    """Any other address is refused before a socket is opened."""
    with pytest.raises(SettingsError, match="loopback only"):
        serve(host)


def test_a_port_in_use_is_one_error(shared_server: SandboxServer) -> None:
    """A second sandbox on the same port says so, also from its own process."""
    port = int(shared_server.base_url.rpartition(":")[2].removesuffix("/v1"))
    with pytest.raises(SettingsError, match=f"port {port}"):
        SandboxServer(port=port).start()


def test_a_bill_in_use_is_one_error(tmp_path: Path) -> None:
    """The reason crosses the process border."""
    with SandboxServer(bill=tmp_path / "bill.jsonl"), pytest.raises(SettingsError, match="another sandbox"):
        SandboxServer(bill=tmp_path / "bill.jsonl").start()


def test_what_is_not_started_says_so() -> None:
    """Asking a sandbox that does not run is an error with a remedy."""
    with pytest.raises(TroubleError, match="not running"):
        SandboxServer().control(Script())


def test_the_key_is_in_no_argument_and_no_variable(shared_server: SandboxServer) -> None:
    """Other processes of the machine cannot read it: it went by the pipe."""
    seen = (
        Path(f"/proc/{shared_server.pid}/cmdline").read_bytes()
        + Path(f"/proc/{shared_server.pid}/environ").read_bytes()
    )
    assert b"sk-sandbox-tests" not in seen


def test_the_script_needs_the_token(sandbox: Sandbox) -> None:
    """Without the control token nobody changes the behaviour; a bad script is refused with it."""
    caller = sandbox()
    assert caller.send("POST", "/script", b"{}").status == 403
    assert caller.send("POST", "/script", b"{}", X_Sandbox_Token="guess").status == 403
    assert caller.post().status == 200


def test_paths_and_methods_that_do_not_exist_are_error_objects(sandbox: Sandbox) -> None:
    """404 and 405 have the body an API client expects."""
    caller = sandbox()
    assert caller.get("/nowhere").json()["error"]["type"] == "invalid_request_error"
    assert caller.send("GET", "/v1/chat/completions").status == 405
    assert caller.get("/files/unknown.mp4").status == 404


def test_the_key_guards_what_costs_and_not_the_files(sandbox: Sandbox) -> None:
    """Without the key no POST, no bill; a file is fetched without it, as from a signed URL."""
    caller = sandbox()
    assert caller.post(auth="wrong").status == 401
    assert caller.send("GET", "/bill").status == 401
    assert caller.get(caller.video_url()).status == 200


def test_a_large_body_is_answered_and_not_reset(sandbox: Sandbox) -> None:
    """A wrong key with a body of megabytes is a 401 that arrives, and the right one an answer."""
    caller = sandbox()
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 8_000_000}"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "a fox"}, image]}]
    assert caller.post(messages=messages, auth="wrong").status == 401
    assert caller.post(messages=messages).status == 200


def test_too_many_jobs_at_a_time_are_throttled(sandbox: Sandbox) -> None:
    """Above `max_running` the answer is 429, and the POST is not on the bill."""
    caller = sandbox(max_running=1, duration_s=30)
    assert caller.post("[[fault=cut_first]]").ended == "cut"
    before = len(caller.server.bill())
    heard = caller.post("another")
    assert (heard.status, heard.json()["error"]["code"]) == (429, "too_many_concurrent_tasks")
    assert len(caller.server.bill()) == before


def test_unknown_models_are_refused_when_told(sandbox: Sandbox) -> None:
    """A strict sandbox knows its models, also by dialect."""
    caller = sandbox(unknown_models="refuse")
    assert caller.post(model="no-such-model").json()["error"]["code"] == "model_not_found"
    assert caller.post(model="sora-2-quoted").status == 200


def test_a_client_that_leaves_does_not_stop_the_job(sandbox: Sandbox) -> None:
    """The job ends and is billed although nobody listens any more."""
    caller = sandbox(duration_s=0.2)
    body = json.dumps(
        {"model": "sora-2", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    ).encode()
    port = int(caller.origin.rpartition(":")[2])
    before = len(caller.server.bill())
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-sandbox-tests\r\n"
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        connection.recv(10)
    assert until(lambda: caller.server.bill()[before].ended == "completed")


def test_ranges_and_validators_work(sandbox: Sandbox) -> None:
    """Parts, suffixes, HEAD, a stale If-Range and an impossible range are answered as HTTP says."""
    caller = sandbox()
    url = caller.video_url(seed=1)
    whole = caller.get(url)
    size, etag = len(whole.body), whole.headers["etag"]
    assert caller.get(url, Range="bytes=5-9").body == whole.body[5:10]
    assert caller.get(url, Range="bytes=-7").body == whole.body[-7:]
    assert caller.get(url, Range="bytes=5-", If_Range=etag).body == whole.body[5:]
    assert caller.get(url, Range="bytes=5-", If_Range='"stale"').body == whole.body
    beyond = caller.get(url, Range=f"bytes={size}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    head = caller.send("HEAD", url.removeprefix(caller.origin))
    assert (head.body, head.headers["content-length"], head.headers["etag"]) == (b"", str(size), etag)


@settings(deadline=None)
@given(st.integers(1, 1000), st.integers(0, 1200), st.integers(0, 1200))
def test_a_range_lies_within_the_file(size: int, first: int, last: int) -> None:
    """Every range that is answered lies inside the file and begins where it was asked."""
    span = parse_range(f"bytes={first}-{last}", size)
    assert (span is None) == (last < first)
    if span is not None:
        assert list(span) == [at for at in range(size) if first <= at <= last]


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_range_header_can_be_read(header: str) -> None:
    """A header that is no single byte range is ignored, never a crash."""
    span = parse_range(header, 100)
    assert span is None or set(span) <= set(range(100))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=40)), max_size=60))
def test_what_is_kept_stays_within_bounds(puts: list[tuple[int, bytes]]) -> None:
    """The table holds the latest entries and never more than its capacity, but for a single one."""
    table = Recent[int, bytes](100, weigh=len)
    for key, value in puts:
        table.put(key, value)
        kept = [found for found in (table.get(each) for each in range(10)) if found is not None]
        assert table.get(key) == value
        assert sum(map(len, kept)) <= 100 or len(table) == 1
