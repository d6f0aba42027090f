"""What becomes of a run whose Prefect server goes away: nothing, and it still ends promptly.

Beside `server.py`. Prefect sends task runs as events from a thread of its own. Left alone it tries each
queued event eleven times, seven seconds in all, and the interpreter waits for the whole queue at exit.
"""

from __future__ import annotations

import http.client
import logging
import os
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from prefect.events.clients import NullEventsClient, PrefectEventsClient
from prefect.events.worker import EventsWorker

NOISY_LOGGERS = ("prefect.events.clients", "prefect._internal.concurrency", "prefect.flow_runs")
"""Loggers that say once per event, or with a traceback, what is said once here."""


@contextmanager
def events_survive_loss() -> Iterator[None]:
    """Let the events thread give up on a refused connection at once, until the block ends.

    An event that cannot be sent waits with Prefect's unconfirmed ones and goes out when the server is back.
    """
    EventsWorker.set_client_override(PrefectEventsClient, reconnection_attempts=1)
    levels = {name: logging.getLogger(name).level for name in NOISY_LOGGERS}
    try:
        yield
    finally:
        EventsWorker.set_client_override(None)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def forget_events() -> None:
    """From here on no event is made or sent: the server is known to be gone for good."""
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    EventsWorker.set_client_override(NullEventsClient)


def server_lost(url: str, *, timeout_s: float = 2.0) -> bool:
    """Whether the Prefect API at `url` does not answer within `timeout_s`."""
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/health")
        return connection.getresponse().status >= 500
    except (OSError, http.client.HTTPException):
        return True
    finally:
        connection.close()


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
