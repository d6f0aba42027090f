"""What a database's error means to a person: one line and a remedy, without statements or values."""

from __future__ import annotations

import errno
import sqlite3

import asyncpg
from reelsweep.prompts.errors import ReelsweepError, TroubleError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

REBUILD = "reelsweep reconcile OUT --rebuild"
"""The remedy of a damaged ledger, until `about` names the OUT."""
_KEPT = "What was recorded before stays recorded."
_MEANINGS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("disk is full", "no space left", "disk full"),
        "the disk is full",
        f"Free some space and run the same command again. {_KEPT}",
    ),
    (
        ("malformed", "not a database", "file is encrypted"),
        "the file is damaged",
        f"Restore it from a copy, or move it away with its -wal and -shm and run `{REBUILD}`.",
    ),
    (
        ("readonly", "read-only", "errno 13]", "errno 30]"),
        "it cannot be written to",
        "Make the folder and the file writable, or choose another place with --out or --ledger.",
    ),
    (
        ("unable to open", "errno 2]", "errno 17]", "errno 20]"),
        "it cannot be opened",
        "Check that the folder exists and is writable, or choose another place with --out or --ledger.",
    ),
    (
        ("locked", "lock timeout", "busy"),
        "another program has held it for over a minute",
        "End the program that holds it (a stopped run, an open database shell) and run again.",
    ),
    (
        ("disk i/o error", "input/output error", "could not fsync"),
        "the disk reports an error",
        f"Check the disk and its free space, then run the same command again. {_KEPT}",
    ),
    (
        ("password", "authentication", "does not exist", "permission denied"),
        "the server refuses the login or the database",
        "Check user, password and database of --ledger.",
    ),
)
_UNREACHED = (
    "its server cannot be reached",
    f"Check that it runs and that --ledger names it, then run the same command again. {_KEPT}",
)


_AWAY = (
    *(asyncpg.InterfaceError, asyncpg.PostgresConnectionError, OSError),
    *(asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.CannotConnectNowError),
)
"""The connection is gone, or the server is about to end or to be there."""
_OF_A_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO})


def trouble(error: BaseException, place: str) -> ReelsweepError:
    """The error to raise instead of a database's own; ours pass through."""
    if isinstance(error, ReelsweepError):
        return error
    said = _said(error)
    if place.startswith("postgresql://") and _is_unreachable(error):
        return TroubleError(f"Ledger {place}: {_UNREACHED[0]} ({said}).", _UNREACHED[1])
    for marks, meaning, remedy in _MEANINGS:
        if any(mark in said.lower() for mark in marks):
            return TroubleError(f"Ledger {place}: {meaning} ({said}).", remedy)
    return TroubleError(f"Ledger {place}: {said}.", f"Run the same command again. {_KEPT}")


def is_database_error(error: BaseException) -> bool:
    """Whether the database or the way to it failed, rather than our own code."""
    return isinstance(
        error, SQLAlchemyError | sqlite3.Error | asyncpg.PostgresError | asyncpg.InterfaceError | OSError
    )


def is_disconnect(error: BaseException) -> bool:
    """Whether the connection is gone, so that a new one may succeed."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    if isinstance(error, OSError) and error.errno in _OF_A_DISK:
        return False
    return isinstance(error, _AWAY)


def _is_unreachable(error: BaseException) -> bool:
    """Whether a server was not there, or went away under a connection."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    return isinstance(error, OSError | asyncpg.PostgresConnectionError | asyncpg.CannotConnectNowError)


def _said(error: BaseException) -> str:
    """The driver's own words, first line, without our statement."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(cause).strip().splitlines()
    return lines[0].removesuffix(".")[:200] if lines else type(cause).__name__
