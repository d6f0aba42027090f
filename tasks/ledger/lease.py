"""A run's lease, kept alive by a thread: lock taken, run registered, lease renewed, the dead buried.

`held` is cheap and honest: it counts from the moment before the last renewal was asked for, on a clock
that also runs while the machine or the process sleeps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager

from reelsweep.prompts.errors import ReelsweepError
from reelsweep.tasks.ledger import leases
from reelsweep.tasks.ledger.claims import cut
from reelsweep.tasks.ledger.leases import Moment, Times
from reelsweep.tasks.ledger.locks import RunLock, clear_lock, proves_death, run_lock
from reelsweep.tasks.ledger.place import FilePlace, ServerPlace
from reelsweep.tasks.ledger.records import RunRecord
from reelsweep.tasks.ledger.trouble import is_database_error, trouble
from reelsweep.tasks.ledger.writer import Writer
from sqlalchemy import Connection


class Lease:
    """The lease of one run of this process."""

    def __init__(
        self,
        run: RunRecord,
        place: FilePlace | ServerPlace,
        writer: Writer,
        moment: Callable[[], Moment],
        times: Times,
    ) -> None:
        self.run_id = run.run_id
        self._run = run
        self._place = place
        self._writer = writer
        self._moment = moment
        self._times = times
        self._lock: RunLock = run_lock(place, run.run_id)
        self._renewed_at_s = float("-inf")
        self._lost = False
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> Future[None]:
        """Take the lock, bury the dead, register; answered once the lease is held."""
        started: Future[None] = Future()
        started.set_running_or_notify_cancel()
        self._thread = threading.Thread(target=self._keep, args=(started,), name="ledger-lease", daemon=True)
        self._thread.start()
        return started

    def held(self) -> bool:
        """Whether this run may send now."""
        age_s = self._moment().uptime_s - self._renewed_at_s
        return not self._lost and 0 <= age_s < self._times.term_s - self._times.margin_s

    def renew(self) -> Future[None]:
        """Renew now; answered when it is known whether the lease is held."""
        return self._ask(self._renewal)

    def stop(self, *, wait: bool = True) -> None:
        """Renew no more and give up the lock, at once or when the thread comes to it."""
        self._lost = True
        self._ending.set()
        if wait and self._thread is not None:
            self._thread.join()

    def _keep(self, started: Future[None]) -> None:
        try:
            self._lock.take()
            self._ask(self._registration).result()
        except Exception as error:
            self._lock.release()
            clear_lock(self._place, self.run_id)
            started.set_exception(trouble(error, str(self._place)) if is_database_error(error) else error)
            return
        started.set_result(None)
        renew_at_s = time.monotonic()
        while not self._ending.wait(min(self._times.second_look_s, self._times.renew_s)):
            with _quietly():
                self._keep_lock()
            if time.monotonic() >= renew_at_s:
                renew_at_s = time.monotonic() + self._times.renew_s
                with _quietly():
                    self._ask(self._renewal).result()
        self._lock.release()

    def _keep_lock(self) -> None:
        """Take a lock again whose connection broke; who looks whether it is free may have it for a moment."""
        if not self._lock.is_held():
            self._lock.take()

    def _ask(self, call: Callable[[Connection], bool]) -> Future[None]:
        asked_at_s = self._moment().uptime_s
        heard: Future[None] = Future()
        heard.set_running_or_notify_cancel()

        def hear(answer: Future[bool]) -> None:
            error = answer.exception()
            if error is not None:
                heard.set_exception(error)
                return
            if answer.result():
                self._renewed_at_s = max(self._renewed_at_s, asked_at_s)
            else:
                self._lost = True
            heard.set_result(None)

        self._writer.submit(call).add_done_callback(hear)
        return heard

    def _registration(self, conn: Connection) -> bool:
        bury(conn, self._place, self._moment(), self.run_id)
        leases.register(conn, self._run, self._moment(), self._times.term_s)
        return True

    def _renewal(self, conn: Connection) -> bool:
        moment = self._moment()
        held = leases.renew(conn, self.run_id, moment.uptime_s, self._times.term_s)
        if held:
            bury(conn, self._place, moment, self.run_id)
        return held


@contextmanager
def _quietly() -> Generator[None]:
    """What fails in the block is tried again at the next turn; meanwhile the lease runs out by itself."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, ReelsweepError) and not is_database_error(error):
            raise


def find_dead(
    conn: Connection, place: FilePlace | ServerPlace, moment: Moment, run_id: str | None = None
) -> list[str]:
    """The runs but `run_id` that are live by their rows and dead by lock or lease. Changes nothing."""

    def is_free(other: str) -> bool:
        return other != run_id and proves_death(conn, place, other)

    return [other for other in leases.find_dead(conn, moment, is_free) if other != run_id]


def bury(conn: Connection, place: FilePlace | ServerPlace, moment: Moment, run_id: str | None) -> int:
    """Declare the dead runs but `run_id` dead; their rows in flight become unknown. Counts the runs."""
    dead = find_dead(conn, place, moment, run_id)
    for other in dead:
        leases.declare_dead(conn, other, moment.now)
        cut(conn, other)
        clear_lock(place, other)
    return len(dead)
