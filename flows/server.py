"""The Prefect server a run talks to: the configured one, or one of our own for as long as the run lasts.

Before planning: it starts in the background, its address is known at once, and requests sent before it is
up wait in its socket. Prefect's own embedded server forgets most task runs at exit, outlives a killed
parent and dies of a Ctrl-C before the run has ended; this one does not.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prefect.settings import PREFECT_CLOUD_API_URL, get_current_settings, temporary_settings
from reelsweep.flows.orchestration.loss import LOGGER, Loss, drain_events, prepared_for_loss, watched
from reelsweep.flows.orchestration.loss import quiet_exit as quiet_exit
from reelsweep.flows.orchestration.spawn import ServerProcess

DRAIN_S = 2.0
"""How long the last task runs may take to leave this process at the end."""

Kind = Literal["embedded", "configured", "cloud"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInUse:
    """The Prefect server of this run. `url` is its API, usable at once; `home` its PREFECT_HOME."""

    url: str
    kind: Kind
    home: Path
    loss: Loss | None = None
    process: ServerProcess | None = None

    def __str__(self) -> str:
        match self.kind:
            case "embedded":
                return f"Prefect server of this run, recording in {self.home}"
            case "configured":
                return f"Prefect server at {self.url}"
            case "cloud":
                return f"Prefect Cloud at {self.url}"

    @property
    def lost(self) -> bool:
        """Whether the server went away during the run."""
        gone = self.process is not None and self.process.exit_code is not None
        return gone or (self.loss is not None and self.loss.happened)

    def wait_ready(self, timeout_s: float = 120.0) -> None:
        """Return when our own server answers; for a configured one, return at once.

        Raises TroubleError when it ended or does not answer in time.
        """
        if self.process is not None:
            self.process.wait_ready(timeout_s)


@contextmanager
def prefect_server(home: Path | None = None) -> Generator[ServerInUse]:
    """The Prefect server for the block: the configured one, else one of our own that ends with the block.

    `home` is the folder of the embedded server's database (PREFECT_HOME when not given). Inside the block
    PREFECT_API_URL is set, for this process and for those it starts. Returns at once, before the server
    is up; `wait_ready` waits for it.
    """
    settings = get_current_settings()
    url = settings.api.url
    if url is None:
        with embedded_server((home or settings.home).absolute()) as server:
            yield server
    elif url.startswith(PREFECT_CLOUD_API_URL.value()):
        yield ServerInUse(url=url, kind="cloud", home=settings.home)
        drain_events(DRAIN_S)
    else:
        with configured_server(url, settings.home) as server:
            yield server


@contextmanager
def configured_server(url: str, home: Path) -> Generator[ServerInUse]:
    """A server that is not ours, watched; Prefect's settings stay as the user has them."""
    with temporary_settings() as settings, prepared_for_loss(settings) as loss, watched(loss, url):
        try:
            yield ServerInUse(url=url, kind="configured", home=home, loss=loss)
        finally:
            drain_events(DRAIN_S)


@contextmanager
def embedded_server(home: Path) -> Generator[ServerInUse]:
    """One server of our own; its task runs are sent and recorded before it ends."""
    with (
        temporary_settings(
            {"home": home, "client.server_version_check_enabled": False, "client.csrf_support_enabled": False}
        ) as settings,
        prepared_for_loss(settings) as loss,
    ):
        process = ServerProcess(home, lambda code: mourn(loss, code))
        settings.api.url = process.url
        _own.add(process.url)
        try:
            with exported(
                {"PREFECT_API_URL": process.url, "PREFECT_HOME": str(home), **loopback_unproxied()}
            ):
                yield ServerInUse(url=process.url, kind="embedded", home=home, loss=loss, process=process)
        finally:
            _own.discard(process.url)
            drain_events(DRAIN_S)
            process.stop()


_own: set[str] = set()


def is_own(url: str) -> bool:
    """Whether this is the API of a server that ends with this process, so that nobody looks at its page."""
    return url in _own


def mourn(loss: Loss, code: int) -> None:
    """Say once that our own server is gone, and expect nothing of it any more."""
    loss.is_final()
    LOGGER.warning("the Prefect server of this run ended (exit code %s); the run goes on without it", code)


def loopback_unproxied() -> dict[str, str]:
    """NO_PROXY with loopback in it: a proxy cannot reach our server."""
    current = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    value = ",".join(filter(None, (current, "127.0.0.1", "localhost")))
    return {"NO_PROXY": value, "no_proxy": value}


@contextmanager
def exported(changes: Mapping[str, str]) -> Generator[None]:
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
