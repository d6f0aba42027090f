"""Reading beside the writer: questions from any thread or event loop, each answered from one state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import TypeVar

from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.ledger.link import Link
from reelsweep.tasks.ledger.patience import Patience
from reelsweep.tasks.ledger.trouble import is_database_error, is_disconnect, trouble
from sqlalchemy import Connection

T = TypeVar("T")


class Reader:
    """A thread with one connection beside the writer's."""

    def __init__(self, connect: Callable[[], Link], place: str) -> None:
        self._connect = connect
        self._place = place
        self._link: Link | None = None
        self._patience = Patience()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger-reader")

    def submit(self, call: Callable[[Connection], T]) -> Future[T]:
        """Ask; the future holds the answer, or TroubleError. Raises TroubleError after `close`."""
        with self._closing:
            if self._closed:
                raise TroubleError(f"Ledger {self._place}: it is closed.")
            return self._thread.submit(self._ask, call)

    def close(self) -> None:
        """Answer what was asked, then end the thread."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._thread.submit(self._disconnect)
        self._thread.shutdown()

    def _ask(self, call: Callable[[Connection], T]) -> T:
        for num_failed in count(1):
            try:
                answer = self._ask_once(call)
            except Exception as error:
                if not is_database_error(error):
                    raise
                self._disconnect()
                if not is_disconnect(error) or not self._patience.has_time(num_failed):
                    raise trouble(error, self._place) from error
            else:
                self._patience.answered()
                return answer
        raise AssertionError

    def _ask_once(self, call: Callable[[Connection], T]) -> T:
        if self._link is None:
            self._link = self._connect()
        self._link.begin()
        try:
            return self._link.apply(call)
        finally:
            self._link.rollback()

    def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with suppress(Exception):
                link.close()


class Snapshot:
    """One state of the ledger on a connection and a thread of its own, from the first `read` to `close`."""

    def __init__(self, connect: Callable[[], Link], place: str) -> None:
        self._connect = connect
        self._place = place
        self._link: Link | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger-snapshot")

    def read(self, call: Callable[[Connection], T]) -> T:
        """Ask something of it. Raises TroubleError."""
        return self._thread.submit(self._read, call).result()

    def close(self) -> None:
        """Let the state go."""
        self._thread.submit(self._disconnect)
        self._thread.shutdown()

    def _read(self, call: Callable[[Connection], T]) -> T:
        try:
            if self._link is None:
                self._link = self._connect()
                self._link.begin()
            return self._link.apply(call)
        except Exception as error:
            raise trouble(error, self._place) if is_database_error(error) else error from error

    def _disconnect(self) -> None:
        if self._link is not None:
            with suppress(Exception):
                self._link.rollback()
            with suppress(Exception):
                self._link.close()
