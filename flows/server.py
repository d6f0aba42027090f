"""The Prefect server a run talks to: the configured one, or one of our own for as long as the run lasts.

Before planning: it starts in the background, its address is known at once, and requests sent before it is
up wait in its socket. Prefect's own embedded server forgets most task runs at exit, outlives a killed
parent and dies of a Ctrl-C before the run has ended; this one does not.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from prefect.settings import PREFECT_CLOUD_API_URL, get_current_settings, temporary_settings

from reelsweep.flows import embedded
from reelsweep.flows.loss import drain_events, events_survive_loss, forget_events, server_lost
from reelsweep.prompts.errors import TroubleError

LOGGER = logging.getLogger("reelsweep.server")

DRAIN_S = 2.0
"""How long the last task runs may take to leave this process at the end."""
END_S = 2.0
"""How long the server may take to record them and end; then it is killed."""

SERVER_SETTINGS: Mapping[str, str] = {
    # one write per second for all task runs of that second, instead of one per event
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "5000",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    # three events per task run would stay in the user's database; the task runs themselves are recorded
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    "PREFECT_SERVER_EVENTS_STREAM_OUT_ENABLED": "false",
    # block types register themselves when a block is saved; the memo would hide that they were not
    "PREFECT_SERVER_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
    "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
}
"""Defaults of the embedded server, which a variable of the user's overrides."""

FIXED_SETTINGS: Mapping[str, str] = {
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_UI_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}

Kind = Literal["embedded", "configured", "cloud"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInUse:
    """The Prefect server of this run. `url` is its API, usable at once."""

    url: str
    kind: Kind
    home: Path
    process: ServerProcess | None = None

    def __str__(self) -> str:
        match self.kind:
            case "embedded":
                return f"Prefect server of this run, records in {self.home}"
            case "configured":
                return f"Prefect server {self.url}"
            case "cloud":
                return f"Prefect Cloud {self.url}"

    def wait_ready(self, timeout_s: float = 120.0) -> None:
        """Return when our own server answers; for a configured one, return at once.

        Raises TroubleError when it ended or does not answer in time.
        """
        if self.process is not None:
            self.process.wait_ready(timeout_s)

    def lost(self) -> bool:
        """Whether the server is gone."""
        return self.process.ended if self.process is not None else server_lost(self.url)


class ServerProcess:
    """Our own server: a child in a session of its own, so that Ctrl-C ends the run first."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._log: IO[bytes] = tempfile.TemporaryFile()
        self._stopping = False
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port: int = listening.getsockname()[1]
            self._child = subprocess.Popen(
                [sys.executable, "-P", str(Path(embedded.__file__)), str(listening.fileno())],
                env=server_environment(home),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                pass_fds=(listening.fileno(),),
                start_new_session=True,
            )
        threading.Thread(target=self._watch, name="watch-prefect-server", daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def ended(self) -> bool:
        return self._child.poll() is not None

    def wait_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while server_lost(self.url, timeout_s=max(0.1, deadline - time.monotonic())):
            if self.ended or time.monotonic() > deadline:
                raise TroubleError(
                    f"the Prefect server of this run did not start: {self._last_words()}",
                    "Run `reelsweep doctor`, or set PREFECT_API_URL to a running server.",
                )

    def stop(self) -> None:
        """End it within END_S: first by itself, with the last task runs recorded, then by force."""
        self._stopping = True
        if self._child.stdin:
            self._child.stdin.close()
        try:
            self._child.wait(END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._log.close()

    def _watch(self) -> None:
        code = self._child.wait()
        if not self._stopping:
            forget_events()
            LOGGER.warning(
                "the Prefect server of this run ended (exit code %s); the run goes on without its records", code
            )

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self._child.poll()}"


@contextmanager
def prefect_server(home: Path | None = None) -> Iterator[ServerInUse]:
    """The Prefect server for the block: the configured one, else one of our own that ends with the block.

    `home` is the folder of the embedded server's database (PREFECT_HOME when not given). Inside the block
    PREFECT_API_URL is set, for this process and for those it starts. Returns at once, before the server
    is up; `wait_ready` waits for it.
    """
    settings = get_current_settings()
    if settings.api.url is not None:
        cloud = settings.api.url.startswith(PREFECT_CLOUD_API_URL.value())
        with configured(cloud=cloud):
            yield ServerInUse(url=settings.api.url, kind="cloud" if cloud else "configured", home=settings.home)
        return
    with embedded_server(home or settings.home) as server:
        yield server


@contextmanager
def configured(*, cloud: bool) -> Iterator[None]:
    """Use a server that is not ours: Prefect's settings stay as the user has them."""
    with ExitStack() as stack:
        if not cloud:
            stack.enter_context(events_survive_loss())
        yield
        drain_events(DRAIN_S)


@contextmanager
def embedded_server(home: Path) -> Iterator[ServerInUse]:
    """One server of our own; its task runs are sent and recorded before it ends."""
    process = ServerProcess(home)
    changes = {"PREFECT_API_URL": process.url, "PREFECT_HOME": str(home), **loopback_without_proxy()}
    try:
        with events_survive_loss(), exported(changes), client_settings(process.url, home):
            yield ServerInUse(url=process.url, kind="embedded", home=home, process=process)
            drain_events(DRAIN_S)
    finally:
        process.stop()


@contextmanager
def client_settings(url: str, home: Path) -> Iterator[None]:
    """Prefect's own settings for the run: our server, no version question, few retries of a refused call."""
    with temporary_settings(
        updates={
            "api.url": url,
            "home": home,
            "client.server_version_check_enabled": False,
            "client.csrf_support_enabled": False,
        },
        set_defaults={"client.max_retries": 2},
    ):
        yield


def server_environment(home: Path) -> dict[str, str]:
    """The environment of the embedded server: ours below, the user's above, what must be on top."""
    own = get_current_settings().to_environment_variables(exclude_unset=True)
    merged = {**SERVER_SETTINGS, **os.environ, **own, **FIXED_SETTINGS, "PREFECT_HOME": str(home)}
    merged.pop("PREFECT_API_URL", None)
    return merged


def loopback_without_proxy() -> dict[str, str]:
    """NO_PROXY with loopback in it: a proxy cannot reach our server."""
    current = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    value = ",".join(filter(None, (current, "127.0.0.1", "localhost")))
    return {"NO_PROXY": value, "no_proxy": value}


@contextmanager
def exported(changes: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the block, for processes that are started within it."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
