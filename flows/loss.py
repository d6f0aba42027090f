"""What becomes of a run whose Prefect server goes away: nothing, and it still ends promptly.

Beside `server.py`. Left alone, Prefect's last calls of a flow are repeated for two minutes and then raise,
and its events thread spends seven seconds on every event it still holds, for which the interpreter waits.
Tried: a run of 300 tasks, killed in the middle, ended after 130 s and more; with this it ends at once.
"""

from __future__ import annotations

import http.client
import logging
import os
import ssl
import sys
import threading
import urllib.parse
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress

import httpx
from prefect.events.clients import NullEventsClient, PrefectEventsClient
from prefect.events.worker import EventsWorker
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import Settings

LOGGER = logging.getLogger("reelsweep.server")

NOISY_LOGGERS = ("prefect.events.clients", "prefect._internal.concurrency", "prefect.flow_runs")
"""Loggers that say once per event, or with a traceback, what is said once here."""

DRAIN_LOGGERS = ("EventsWorker", "APILogWorker")
"""Loggers that count what is left to send at the end, which is nobody's worry."""

WATCH_S = 4.0
"""How often a server that is not ours is asked whether it is there."""


def silence(record: logging.LogRecord) -> bool:  # noqa: ARG001 - a logging filter
    """A filter that lets nothing through: Prefect's loggers do not all heed their level."""
    return False


@contextmanager
def silenced(names: Iterable[str]) -> Generator[None]:
    """Loggers that say nothing for the block."""
    for name in names:
        logging.getLogger(name).addFilter(silence)
    try:
        yield
    finally:
        for name in names:
            logging.getLogger(name).removeFilter(silence)


class Loss:
    """Whether the server is gone, and what changes in this process while it is.

    `settings` are Prefect's for the run; they are changed in place, so that calls already under way see it.
    """

    def __init__(self, settings: Settings) -> None:
        self.happened = False
        self._settings = settings
        self._max_retries = settings.client.max_retries
        self._to_api = settings.logging.to_api.enabled

    def begin(self) -> None:
        """Nothing is asked of the server twice, and nobody hears about it more than once."""
        self.happened = True
        self._settings.client.max_retries = 0
        self._settings.logging.to_api.enabled = False
        for name in NOISY_LOGGERS:
            logging.getLogger(name).addFilter(silence)

    def end(self) -> None:
        """All as before; events that could not be sent go out with the next one."""
        self.happened = False
        self._settings.client.max_retries = self._max_retries
        self._settings.logging.to_api.enabled = self._to_api
        for name in NOISY_LOGGERS:
            logging.getLogger(name).removeFilter(silence)

    def is_final(self) -> None:
        """The server will not come back: from here on no event is made."""
        self.begin()
        EventsWorker.set_client_override(NullEventsClient)


@contextmanager
def prepared_for_loss(settings: Settings) -> Generator[Loss]:
    """Let the events thread give up on a refused connection at once, until the block ends.

    An event that cannot be sent waits with Prefect's unconfirmed ones and goes out when the server is back.
    """
    loss = Loss(settings)
    raise_exceptions = logging.raiseExceptions
    logging.raiseExceptions = False
    EventsWorker.set_client_override(PrefectEventsClient, reconnection_attempts=1)
    try:
        with silenced(DRAIN_LOGGERS):
            yield loss
    finally:
        EventsWorker.set_client_override(None)
        logging.raiseExceptions = raise_exceptions
        loss.end()


@contextmanager
def watched(loss: Loss, url: str, *, every_s: float = WATCH_S) -> Generator[None]:
    """Watch a server that is not ours, from a thread, until the block ends.

    Two unanswered calls in a row are a loss. A server that did not answer the first one is not judged:
    the way there may be one that only Prefect's own client knows.
    """
    over = threading.Event()

    def watch() -> None:
        if server_lost(url):
            return
        missed = 0
        while not over.wait(every_s):
            missed = missed + 1 if server_lost(url) else 0
            if missed == 2:
                loss.begin()
                LOGGER.warning("the Prefect server at %s does not answer; the run goes on without it", url)
            elif missed == 0 and loss.happened:
                loss.end()
                LOGGER.warning("the Prefect server at %s answers again", url)

    thread = threading.Thread(target=watch, name="watch-prefect-server", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(0.1)


def server_lost(url: str, *, timeout_s: float = 2.0) -> bool:
    """Whether nothing at `url`, a Prefect API, answers within `timeout_s`."""
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/health")
        return connection.getresponse().status >= 500
    except ssl.SSLError:
        return False
    except (OSError, http.client.HTTPException):
        return True
    finally:
        connection.close()


def caused_by_loss(error: BaseException) -> bool:
    """Whether a flow raised only because its Prefect server did not answer, or answered wrongly."""
    return isinstance(error, (httpx.TransportError, PrefectHTTPStatusError))


def drain_events(timeout_s: float) -> bool:
    """Send what Prefect's background threads still hold; whether all of it went within `timeout_s`.

    Works inside and outside an event loop: the waiting is done by a thread without one.
    """
    drained = threading.Event()

    def drain() -> None:
        result = EventsWorker.drain_all(timeout=timeout_s)
        if isinstance(result, tuple) and not result[1]:
            drained.set()

    thread = threading.Thread(target=drain, name="drain-events", daemon=True)
    thread.start()
    thread.join(timeout_s + 0.5)
    return drained.is_set()


def quiet_exit(code: int, *, timeout_s: float = 5.0) -> None:
    """Arm the end of this process: the interpreter may end by itself, but not later than in `timeout_s`.

    Call it last, then return or `sys.exit(code)`. Threads that wait for a dead server are abandoned;
    output is flushed and the exit code is `code` either way.
    """

    def end() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)

    timer = threading.Timer(timeout_s, end)
    timer.daemon = True
    timer.start()
