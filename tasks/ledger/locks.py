"""A lock that lives as long as its process: whoever can take another run's lock has proved its death.

Beside SQLite a `flock` on a file of the run's own, its descriptor in no child: a forked child would
keep a dead owner's lock (tried). On PostgreSQL a session advisory lock on a connection of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.ledger.link import LOCK_KEY, Link, open_link
from reelsweep.tasks.ledger.place import FilePlace, ServerPlace
from reelsweep.tasks.ledger.trouble import is_database_error
from sqlalchemy import Connection, text


class HeldError(TroubleError):
    """Somebody else holds the lock: it may be asked for again."""


class RunLock(Protocol):
    """One run's proof of life. All but `proves_death` are called from the run's lease thread."""

    def take(self) -> None: ...
    def is_held(self) -> bool: ...
    def release(self) -> None: ...


class FileLock:
    """The lock of a run beside a SQLite file. `take` raises HeldError when another process has it."""

    def __init__(self, place: FilePlace, run_id: str) -> None:
        self._path = _lock_path(place, run_id)
        self._descriptor: int | None = None

    def take(self) -> None:
        """Hold the lock until `release` or the end of this process."""
        if self._descriptor is not None:
            return
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _flock(descriptor):
            os.close(descriptor)
            raise HeldError(f"The run lock {self._path} is held by another process.")
        self._descriptor = descriptor
        _not_for_children.add(descriptor)

    def is_held(self) -> bool:
        """Whether it is ours: nobody but us can give it up."""
        return self._descriptor is not None

    def release(self) -> None:
        """Give it up."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _not_for_children.discard(descriptor)
            os.close(descriptor)


class AdvisoryLock:
    """The lock of a run on a PostgreSQL server."""

    def __init__(self, place: ServerPlace, run_id: str) -> None:
        self._place = place
        self._name = _lock_name(run_id)
        self._link: Link | None = None

    def take(self) -> None:
        """Hold the lock until `release` or the end of its connection."""
        link = open_link(self._place, "session")
        try:
            link.begin()
            taken = link.apply(lambda conn: conn.execute(_TRY, {"lock": self._name}).scalar_one())
            link.commit()
        except BaseException:
            link.close()
            raise
        if not taken:
            link.close()
            raise HeldError("The run's lock on the server is held by another connection.")
        self._link = link

    def is_held(self) -> bool:
        """Whether its connection is still there, asked for; a lost one is forgotten."""
        if self._link is None:
            return False
        try:
            self._link.begin()
            self._link.apply(lambda conn: conn.execute(text("SELECT 1")))
            self._link.commit()
        except Exception as error:
            if not is_database_error(error):
                raise
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give it up by closing its connection."""
        link, self._link = self._link, None
        if link is None:
            return
        try:
            link.close()
        except Exception as error:
            if not is_database_error(error):
                raise


def run_lock(place: FilePlace | ServerPlace, run_id: str) -> RunLock:
    """The lock of a run at this place, not yet taken."""
    match place:
        case FilePlace():
            return FileLock(place, run_id)
        case ServerPlace():
            return AdvisoryLock(place, run_id)


def proves_death(conn: Connection, place: FilePlace | ServerPlace, run_id: str) -> bool:
    """Whether the lock of another run is free. False also when that cannot be told."""
    match place:
        case FilePlace():
            return _is_free(_lock_path(place, run_id))
        case ServerPlace():
            return bool(conn.execute(_TRY_BRIEFLY, {"lock": _lock_name(run_id)}).scalar_one())


def clear_lock(place: FilePlace | ServerPlace, run_id: str) -> None:
    """Remove what an ended run leaves behind."""
    if isinstance(place, FilePlace):
        with suppress(FileNotFoundError):
            _lock_path(place, run_id).unlink()


def _is_free(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return False
    try:
        return _flock(descriptor)
    finally:
        os.close(descriptor)


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_path(place: FilePlace, run_id: str) -> Path:
    name = hashlib.sha256(run_id.encode()).hexdigest()[:32]
    return place.path.with_name(f".{place.path.name}.runs") / f"{name}.lock"


def _lock_name(run_id: str) -> str:
    return f"run {run_id}"


def _close_in_child() -> None:
    for descriptor in _not_for_children:
        os.close(descriptor)
    _not_for_children.clear()


_not_for_children: set[int] = set()
os.register_at_fork(after_in_child=_close_in_child)
_TRY = text(f"SELECT pg_try_advisory_lock({LOCK_KEY})")
_TRY_BRIEFLY = text(f"SELECT pg_try_advisory_xact_lock({LOCK_KEY})")
