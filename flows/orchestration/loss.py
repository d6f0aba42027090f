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

EVENTS_LOGGER = "prefect.events.clients"
"""Says for each event that could not be sent what is said here once."""

BUSY_LOGGERS = ("prefect._internal.concurrency", "EventsWorker", "APILogWorker")
"""Say for each event that it failed, or count what is left to send at the end."""

RUN_LOGGER = "prefect.flow_runs"
"""Prints a traceback when the server does not take the state of the flow's end."""

RETRY_S = 4.0
"""How often a lost server that is not ours is asked whether it is back."""


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
        self.suspected = threading.Event()
        self._settings = settings
        self._max_retries = settings.client.max_retries
        self._to_api = settings.logging.to_api.enabled

    def suspect(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - a logging filter
        """A filter for the events logger, whose every word means that the server was not reached."""
        self.suspected.set()
        return False

    def begin(self) -> None:
        """Nothing is asked of the server twice, and nobody hears about it more than once."""
        self.happened = True
        self._settings.client.max_retries = 0
        self._settings.logging.to_api.enabled = False
        logging.getLogger(RUN_LOGGER).addFilter(silence)

    def end(self) -> None:
        """All as before; events that could not be sent go out with the next one."""
        self.happened = False
        self._settings.client.max_retries = self._max_retries
        self._settings.logging.to_api.enabled = self._to_api
        logging.getLogger(RUN_LOGGER).removeFilter(silence)

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
    logging.getLogger(EVENTS_LOGGER).addFilter(loss.suspect)
    try:
        with silenced(BUSY_LOGGERS):
            yield loss
    finally:
        logging.getLogger(EVENTS_LOGGER).removeFilter(loss.suspect)
        EventsWorker.set_client_override(None)
        logging.raiseExceptions = raise_exceptions
        loss.end()


@contextmanager
def watched(loss: Loss, url: str, *, retry_s: float = RETRY_S) -> Generator[None]:
    """Watch a server that is not ours, from a thread, until the block ends.

    It is asked only when an event could not be sent. One that did not answer at the beginning is not
    judged: the way there may be one that only Prefect's own client knows.
    """
    over = threading.Event()

    def watch() -> None:
        judged, warned = not server_lost(url), False
        while loss.suspected.wait() and not over.is_set():
            loss.suspected.clear()
            if judged and server_lost(url) and not over.wait(0.5) and server_lost(url):
                mourn()
                loss.suspected.clear()
            elif not warned:
                warned = True
                LOGGER.warning(
                    "the Prefect server at %s takes no events; it will not show every task run", url
                )

    def mourn() -> None:
        loss.begin()
        LOGGER.warning("the Prefect server at %s does not answer; the run goes on without it", url)
        while not over.wait(retry_s):
            if not server_lost(url):
                loss.end()
                LOGGER.warning("the Prefect server at %s answers again", url)
                return

    threading.Thread(target=watch, name="watch-prefect-server", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        loss.suspected.set()


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
