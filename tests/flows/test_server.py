"""The Prefect server of a run: it keeps task runs, dies with the run, and is not missed if it dies first."""

from __future__ import annotations

import asyncio
import http.server
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from reelsweep.flows.orchestration.loss import (
    Loss,
    caused_by_loss,
    drain_events,
    prepared_for_loss,
    server_lost,
    watched,
)
from reelsweep.flows.orchestration.spawn import ServerProcess, server_environment
from reelsweep.flows.server import prefect_server
from reelsweep.prompts.errors import TroubleError

PATIENCE_S = 120.0

Start = Callable[[str], subprocess.Popen[str]]

RUN = """
import asyncio, os, signal, sys, time
from pathlib import Path
from reelsweep.flows.reporting.display import SilentDisplay
from reelsweep.flows.reporting.lines import LineDisplay
from reelsweep.flows.reporting.logs import logging_to
from reelsweep.flows.orchestration.loss import caused_by_loss, quiet_exit, server_lost
from reelsweep.flows.server import prefect_server
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

def say(*words):
    print(*words, flush=True)

@task(cache_policy=NO_CACHE, persist_result=False)
async def one(number):
    return None

@flow(persist_result=False)
async def many(count, kill=None):
    numbers = iter(range(count))
    async def worker():
        for number in numbers:
            if kill is not None and number == count // 2:
                say("killed")
                os.kill(kill, signal.SIGKILL)
            await one(number, return_state=True)
    await asyncio.gather(*(worker() for _ in range(16)))
    say("made", count)
"""

KEEP = """
with prefect_server() as server, logging_to(LineDisplay(sys.stderr)):
    say(server.kind, server.process.pid, os.environ["PREFECT_API_URL"] == server.url)
    server.wait_ready()
    asyncio.run(many(300))
    over = time.monotonic()
say("ended", time.monotonic() - over, "PREFECT_API_URL" in os.environ)
"""

LOSE = """
with prefect_server() as server, logging_to(LineDisplay(sys.stderr)):
    server.wait_ready()
    try:
        asyncio.run(many(300, kill=server.process.pid))
    except Exception as error:
        say("raised", caused_by_loss(error))
    say("lost", server.lost)
quiet_exit(7, timeout_s=5)
sys.exit(7)
"""

WAIT = """
with prefect_server() as server:
    server.wait_ready()
    try:
        say("ready", server.process.pid)
        sys.stdin.read()
    except KeyboardInterrupt:
        say("interrupted", server_lost(server.url))
    sys.stdin.read()
"""

HANG = """
import threading
say("said")
threading.Thread(target=threading.Event().wait).start()
sys.stdout.write("kept")
quiet_exit(5, timeout_s=0.1)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PREFECT_HOME of this module's own, migrated by whichever test comes first."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(autouse=True)
def undisturbed() -> Generator[None]:
    """No server is configured and nobody listens to Prefect, whatever other tests of this process hold."""
    events = logging.getLogger("prefect.events.clients")
    filters, events.filters[:] = events.filters[:], []
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield
    events.filters[:] = filters


@pytest.fixture
def start(home: Path) -> Generator[Start]:
    """Starts a run in a process of its own, with no Prefect server configured."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    started: list[subprocess.Popen[str]] = []

    def start(program: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN + program],
            env={**environment, "PREFECT_HOME": str(home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=home,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[list[str], str]:
    """Its lines of output and its stderr."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return out.splitlines(), err


def test_a_quick_runs_task_runs_are_kept(start: Start, home: Path) -> None:
    """Of 300 quick task runs nearly all are recorded, the end takes seconds, stderr is empty, no orphan."""
    process = start(KEEP)
    lines, err = finish(process)
    assert (process.returncode, err) == (0, "")
    kind, pid, exported = lines[0].split()
    assert (kind, exported) == ("embedded", "True")
    assert lines[1] == "made 300"
    _, closing_s, still_exported = lines[2].split()
    assert float(closing_s) < 10
    assert still_exported == "False"
    assert not psutil.pid_exists(int(pid))
    with sqlite3.connect(home / "prefect.db") as database:
        (kept,) = database.execute("select count(*) from task_run where state_name = 'Completed'").fetchone()
        (events,) = database.execute("select count(*) from events").fetchone()
    database.close()
    assert 270 <= kept <= 300
    assert events == 0


def test_a_server_lost_in_mid_run_costs_one_line(start: Start) -> None:
    """Every task ends, the process ends within 30 s with its own exit code, and stderr has one line."""
    process = start(LOSE)
    assert process.stdout is not None
    assert process.stdout.readline() == "killed\n"
    began = time.monotonic()
    lines, err = finish(process)
    assert time.monotonic() - began < 30
    assert process.returncode == 7
    assert lines == ["made 300", "raised True", "lost True"]
    assert len(err.splitlines()) == 1
    assert "the run goes on without it" in err


def test_ctrl_c_does_not_reach_the_server_and_a_killed_run_leaves_none(start: Start) -> None:
    """After Ctrl-C at the terminal the server still answers; after SIGKILL of the run it is soon gone."""
    process = start(WAIT)
    assert process.stdout is not None
    ready, pid = process.stdout.readline().split()
    assert ready == "ready"
    server = psutil.Process(int(pid))
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.readline() == "interrupted False\n"
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    server.wait(timeout=PATIENCE_S / 4)


def test_a_hanging_thread_does_not_hold_the_process(start: Start) -> None:
    """quiet_exit ends a process whose threads do not, with its code and its output."""
    process = start(HANG)
    lines, err = finish(process)
    assert (process.returncode, lines, err) == (5, ["said", "kept"], "")


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Where PREFECT_HOME is a file, waiting for the server ends at once with its last words."""
    home = tmp_path / "file"
    home.write_text("not a folder")
    lost: list[int] = []
    process = ServerProcess(home, lost.append)
    try:
        with pytest.raises(TroubleError, match=r"did not start: .*File exists"):
            process.wait_ready(PATIENCE_S)
    finally:
        process.stop()
    assert lost == []


def test_a_run_that_ends_before_its_server_is_up_does_not_wait_for_it(home: Path) -> None:
    """A table error found while the server starts is not held up by it."""
    with prefect_server(home) as server:
        assert server.process is not None
        assert server.process.exit_code is None
    assert server.process.exit_code == 0, "it had to be killed"


def test_runs_begun_together_are_recorded_at_once(home: Path) -> None:
    """None is answered 503, after which Prefect's client would wait two seconds and more."""

    async def begin(url: str, number: int) -> list[int]:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, limits=limits) as client:
            flow = (await client.post("/flows/", json={"name": "bulk"})).json()["id"]
            asked = {"flow_id": flow, "state": {"type": "PENDING"}}
            made = [client.post("/flow_runs/", json={**asked, "name": str(idx)}) for idx in range(number)]
            return [answer.status_code for answer in await asyncio.gather(*made)]

    with prefect_server(home) as server:
        server.wait_ready()
        assert asyncio.run(begin(server.url, 12)) == [201] * 12


class Api(http.server.BaseHTTPRequestHandler):
    """A server that answers like a Prefect API asked for its health."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(status: int = 200, port: int = 0) -> Iterator[str]:
    """Such a server on loopback; its API's address."""
    handler = type("Handler", (Api,), {"status": status})
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/api"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def silent_socket() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api"


def closed_port() -> int:
    """A port nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def test_a_server_is_lost_when_nothing_or_only_an_error_answers() -> None:
    """Refused, silent and 5xx are a loss; an answer, even that the path is unknown, is none."""
    with serving() as url:
        assert not server_lost(url)
        assert not server_lost(f"{url}/elsewhere")
    assert server_lost(url)
    with serving(503) as url:
        assert server_lost(url)
    with silent_socket() as url:
        assert server_lost(url, timeout_s=0.05)


@pytest.fixture
def heard() -> Generator[Callable[[str], bool]]:
    """Waits until the server's logger has said something."""
    said: list[str] = []
    changed = threading.Condition()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with changed:
                said.append(record.getMessage())
                changed.notify_all()

    def wait_for(text: str) -> bool:
        with changed:
            return changed.wait_for(lambda: any(text in each for each in said), PATIENCE_S / 4)

    listener = Listener()
    logging.getLogger("reelsweep.server").addHandler(listener)
    yield wait_for
    logging.getLogger("reelsweep.server").removeHandler(listener)


def test_a_configured_server_is_used_as_it_is() -> None:
    """With PREFECT_API_URL set no server is started, and the one in use is named."""
    children = psutil.Process().children()
    with serving() as url, temporary_settings({"api.url": url}), prefect_server() as server:
        assert (server.kind, server.url, server.process, server.lost) == ("configured", url, None, False)
        assert url in str(server)
        server.wait_ready()
        assert psutil.Process().children() == children


def test_prefect_cloud_is_named_and_left_alone() -> None:
    """Prefect Cloud is recognised by its address, and asked nothing."""
    cloud = get_current_settings().cloud.api_url
    with temporary_settings({"api.url": f"{cloud}/accounts/a/workspaces/w"}), prefect_server() as server:
        assert server.kind == "cloud"
        assert str(server).startswith("Prefect Cloud at ")


def test_a_configured_server_may_go_and_come_back(heard: Callable[[str], bool]) -> None:
    """One line when it is lost, then no call is repeated; one when it is back, then all is as before."""
    with temporary_settings({"client.max_retries": 4}) as settings, prepared_for_loss(settings) as loss:
        with serving() as url:
            port = int(url.split(":")[2].split("/")[0])
            watching = watched(loss, url, retry_s=0.02)
            watching.__enter__()
            logging.getLogger("prefect.events.clients").warning("Unable to connect")
            assert heard("takes no events")
        logging.getLogger("prefect.events.clients").warning("Unable to connect")
        assert heard("does not answer; the run goes on without it")
        assert (loss.happened, settings.client.max_retries) == (True, 0)
        with serving(port=port):
            assert heard("answers again")
            assert (loss.happened, settings.client.max_retries) == (False, 4)
        watching.__exit__(None, None, None)


def test_a_server_that_never_answered_is_not_judged(heard: Callable[[str], bool]) -> None:
    """Where only Prefect's own client knows the way, a missing answer is not called a loss."""
    with temporary_settings({"client.max_retries": 4}) as settings, prepared_for_loss(settings) as loss:
        with watched(loss, f"http://127.0.0.1:{closed_port()}/api"):
            loss.suspected.set()
            assert heard("takes no events")
        assert (loss.happened, settings.client.max_retries) == (False, 4)


def test_a_loss_is_taken_back_with_the_block() -> None:
    """Settings and loggers are after the block what they were before it."""
    run_logger = logging.getLogger("prefect.flow_runs")
    before = list(run_logger.filters)
    with temporary_settings({"client.max_retries": 4}) as settings:
        with prepared_for_loss(settings) as loss:
            loss.is_final()
            assert settings.logging.to_api.enabled is False
            assert run_logger.filters != before
        assert settings.client.max_retries == 4
        assert settings.logging.to_api.enabled is True
    assert run_logger.filters == before
    assert isinstance(loss, Loss)


def test_draining_works_inside_and_outside_a_loop() -> None:
    """Nothing to send is sent at once, whether or not an event loop runs here."""

    async def inside() -> bool:
        return drain_events(5.0)

    assert drain_events(5.0)
    assert asyncio.run(inside())


def test_only_a_server_that_does_not_answer_is_a_loss() -> None:
    """A flow's own error is never taken for the server's."""
    assert not caused_by_loss(ValueError("connection"))
    assert not caused_by_loss(OSError("disk full"))


def test_the_users_settings_stand_above_ours_but_not_above_what_must_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A variable of the user's changes a default; telemetry stays off and the API is never another's."""
    monkeypatch.setenv("PREFECT_SERVER_LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "true")
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example.com/api")
    environment = server_environment(tmp_path)
    assert environment["PREFECT_SERVER_LOGGING_LEVEL"] == "DEBUG"
    assert environment["PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED"] == "false"
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert environment["PREFECT_HOME"] == str(tmp_path)
    assert "PREFECT_API_URL" not in environment
