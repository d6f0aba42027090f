"""The one writer: calls from any thread or event loop, made durable together, then answered.

Calls are collected for about 5 ms, applied in one transaction and committed; only then does a caller
hear of it. A call that fails is applied alone, so that it spoils nobody else's. On a server whose
connection broke, every call of the batch is applied again on a new one: all of them are idempotent.
It may be away for a while (`patience.py`).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.ledger.batch import Batch, Subject
from reelsweep.tasks.ledger.entries import open_batch
from reelsweep.tasks.ledger.link import Link
from reelsweep.tasks.ledger.patience import Patience
from reelsweep.tasks.ledger.trouble import is_database_error, is_disconnect, trouble
from sqlalchemy import Connection

T = TypeVar("T")
WINDOW_S = 0.005
_BATCH = 256


@dataclass(frozen=True, slots=True)
class _Call:
    apply: Callable[[Batch], Any]
    answer: Future[Any]
    subject: Subject | None


class _CallError(Exception):
    """One call of a batch failed, not the transaction around it."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Writer:
    """A thread with one connection, through which everything is written.

    Made by `Writer(connect, place)`; `connect` is called in the thread, and again when a connection is
    lost. Raises from the constructor what the first connection raises, as TroubleError or OutError.
    """

    def __init__(self, connect: Callable[[], Link], place: str) -> None:
        self._connect = connect
        self._place = place
        self._link: Link | None = None
        self._patience = Patience()
        self._queue: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="ledger-writer", daemon=True)
        self._thread.start()
        opened.result()

    def submit(self, call: Callable[[Connection], T]) -> Future[T]:
        """Hand over one call; the future is answered once it is durable. It cannot be cancelled.

        The call may be applied more than once and must come to the same. Raises TroubleError after `close`.
        """
        return self._submit(lambda batch: call(batch.bare()), None)

    def submit_about(self, subject: Subject, call: Callable[[Batch], T]) -> Future[T]:
        """As `submit`, for a call about one generation: it reads and writes together with others."""
        return self._submit(call, subject)

    def _submit(self, call: Callable[[Batch], T], subject: Subject | None) -> Future[T]:
        answer: Future[T] = Future()
        answer.set_running_or_notify_cancel()
        with self._closing:
            if self._closed and threading.current_thread() is not self._thread:
                raise TroubleError(f"Ledger {self._place}: it is closed.")
            self._queue.put(_Call(call, answer, subject))
        return answer

    def close(self) -> None:
        """Apply what was handed over, then end the thread."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self, opened: Future[None]) -> None:
        try:
            self._link = self._connect()
        except BaseException as error:
            opened.set_exception(trouble(error, self._place) if is_database_error(error) else error)
            return
        opened.set_result(None)
        while batch := self._collect():
            self._write(batch)
        while late := self._take_waiting():
            self._write(late)
        self._disconnect()

    def _collect(self) -> list[_Call]:
        """The next calls: the first one waited for, and what comes within the window. Empty: close."""
        first = self._queue.get()
        if first is None:
            return []
        if not self._closed:
            time.sleep(WINDOW_S)
        return [first, *self._take_waiting()]

    def _take_waiting(self) -> list[_Call]:
        waiting: list[_Call] = []
        while len(waiting) < _BATCH and not self._queue.empty():
            call = self._queue.get_nowait()
            if call is None:
                self._queue.put(None)
                break
            waiting.append(call)
        return waiting

    def _write(self, batch: list[_Call]) -> None:
        try:
            values = self._transact(batch)
        except _CallError as failed:
            if len(batch) == 1:
                self._fail(batch, failed.reason)
            else:
                for call in batch:
                    self._write([call])
        except Exception as error:
            self._fail(batch, error)
        else:
            for call, value in zip(batch, values, strict=True):
                call.answer.set_result(value)

    def _transact(self, batch: list[_Call]) -> list[Any]:
        """Apply calls in one transaction, again on a new connection where the old one is lost."""
        for num_failed in count(1):
            try:
                values = self._attempt(batch)
            except Exception as error:
                if not is_disconnect(error.reason if isinstance(error, _CallError) else error):
                    raise
                self._disconnect()
                if not self._patience.has_time(num_failed):
                    raise
            else:
                self._patience.answered()
                return values
        raise AssertionError

    def _attempt(self, batch: list[_Call]) -> list[Any]:
        link = self._link
        if link is None:
            link = self._link = self._connect()
        link.begin()
        try:
            values = link.apply(lambda conn: _apply_all(conn, batch))
            link.commit()
        except Exception as error:
            self._undo(link, error)
            raise
        return values

    def _undo(self, link: Link, error: BaseException) -> None:
        try:
            link.rollback()
        except Exception as second:
            error.add_note(f"and the transaction could not be rolled back: {trouble(second, self._place)}")
            self._disconnect()

    def _fail(self, batch: list[_Call], error: Exception) -> None:
        for call in batch:
            ours = error
            if is_database_error(error):
                ours = trouble(error, self._place)
                ours.__cause__ = error
            call.answer.set_exception(ours)

    def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        try:
            link.close()
        except Exception as error:
            if not is_database_error(error):
                raise


def _apply_all(conn: Connection, calls: list[_Call]) -> list[Any]:
    """What a call reads ahead or leaves to be written may fail as well: any error is one of the calls'."""
    subjects = [call.subject for call in calls if call.subject is not None]
    try:
        batch = open_batch(conn, subjects) if len(subjects) > 1 else Batch(conn)
        values = [_apply(batch, call) for call in calls]
        batch.write()
        return values
    except Exception as error:
        raise _CallError(error) from error


def _apply(batch: Batch, call: _Call) -> Any:
    if call.subject is not None:
        batch.turn(call.subject)
    return call.apply(batch)
