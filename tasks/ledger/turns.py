"""One at a time of all who use a ledger: for what several machines write and no lock of theirs guards.

An OUT in a bucket, or on a network file system, is published under such a turn. It ends with its process.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from reelsweep.tasks.ledger.locks import HeldError, RunLock, run_lock
from reelsweep.tasks.ledger.place import FilePlace, ServerPlace
from reelsweep.tasks.ledger.trouble import is_database_error, trouble

LOOK_S = 0.2
"""Between two looks whether it is free."""


@contextmanager
def turn(place: FilePlace | ServerPlace, name: str) -> Generator[RunLock]:
    """Be the only one in the turn called `name` for the block; waits. Blocks: call it in a thread.

    The lock tells whether it is still held: one on a server is lost with its connection.
    Raises TroubleError when the database fails.
    """
    lock = run_lock(place, f"turn {name}")
    try:
        while not _taken(lock):
            time.sleep(LOOK_S)
    except Exception as error:
        if not is_database_error(error):
            raise
        raise trouble(error, str(place)) from error
    try:
        yield lock
    finally:
        lock.release()


def _taken(lock: RunLock) -> bool:
    try:
        lock.take()
    except HeldError:
        return False
    return True
