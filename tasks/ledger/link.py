"""One connection to the database, used from one thread, the same on SQLite and on PostgreSQL.

The statements are synchronous SQLAlchemy Core on both. asyncpg has no synchronous face, so a link to
PostgreSQL owns an event loop and runs each call inside it (`run_sync`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote

import asyncpg
from reelsweep.tasks.ledger.place import FilePlace, ServerPlace
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

T = TypeVar("T")
Purpose = Literal["write", "read", "look", "session"]
"""write: one transaction at a time in the whole ledger. read: each transaction sees one state of the
ledger. look: the same, of a file that may not be written to. session: for locks that end with the
connection."""

BUSY_S = 60
PAUSE_S = 600
"""Between two questions to one state of the ledger: a long manifest is written and drawn meanwhile."""
LOCK_KEY = """
hashtextextended(CAST(:lock AS TEXT), CAST(COALESCE(
    (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('ledger')),
    to_regnamespace(quote_ident(current_schema()))
) AS BIGINT))"""
"""The key of an advisory lock by its name. PostgreSQL counts keys for each database; ours are for each
schema: the one that has the ledger, or is to get it."""


class Link(Protocol):
    """One connection. `begin`, then any number of `apply`, then `commit` or `rollback`."""

    def begin(self) -> None: ...
    def apply(self, call: Callable[[Connection], T]) -> T: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...


class SqliteLink:
    """A connection to a ledger file, in WAL mode, every commit on the disk before it returns."""

    def __init__(self, place: FilePlace, purpose: Purpose) -> None:
        address = look_address(place.path) if purpose == "look" else _address(place.path, "rw")

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(
                address, timeout=BUSY_S, isolation_level=None, cached_statements=512, uri=True
            )

        self._begin = "BEGIN IMMEDIATE" if purpose == "write" else "BEGIN"
        self._engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
        self._conn = self._engine.connect()
        try:
            _set_up_sqlite(self._conn)
            if purpose != "look":
                _enter_wal(self._conn)
        except BaseException:
            self.close()
            raise

    def begin(self) -> None:
        """Open a transaction; a write waits for other processes, a minute at most."""
        transaction = self._conn.begin()
        try:
            self._conn.exec_driver_sql(self._begin)
        except BaseException:
            transaction.rollback()
            raise

    def apply(self, call: Callable[[Connection], T]) -> T:
        """Run one call inside the transaction."""
        return call(self._conn)

    def commit(self) -> None:
        """Make it durable."""
        self._conn.commit()

    def rollback(self) -> None:
        """Undo what the transaction did."""
        self._conn.rollback()

    def close(self) -> None:
        """Close the connection; the last one folds the WAL back into the file."""
        self._conn.close()
        self._engine.dispose()


class CopyLink(SqliteLink):
    """What a connection sees of a ledger file, copied into memory: for another thread.

    For a file whose name is gone, which no new connection can open.
    """

    def __init__(self, seen: Connection) -> None:
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        try:
            source: Any = seen.connection.driver_connection
            source.backup(memory)
            self._begin = "BEGIN"
            self._engine = create_engine(
                "sqlite://", creator=lambda: memory, poolclass=NullPool, hide_parameters=True
            )
            self._conn = self._engine.connect()
        except BaseException:
            memory.close()
            raise


class PostgresLink:
    """A connection to a ledger on a server, reconnected by whoever made it, never by itself."""

    def __init__(self, place: ServerPlace, purpose: Purpose) -> None:
        self._purpose: Purpose = purpose
        self._loop = asyncio.new_event_loop()
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=partial(_connect, place.dsn, purpose),
            poolclass=NullPool,
            hide_parameters=True,
            pool_logging_name=_QUIET,
            isolation_level="REPEATABLE READ" if purpose in ("read", "look") else "READ COMMITTED",
        )
        try:
            self._conn: AsyncConnection = self._loop.run_until_complete(_opened(self._engine))
        except BaseException:
            self._loop.close()
            raise

    def begin(self) -> None:
        """Open a transaction; a write waits for other processes, a minute at most."""
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        await self._conn.begin()
        if self._purpose == "write":
            await self._conn.execute(_TAKE_TURN, {"lock": "writer"})

    def apply(self, call: Callable[[Connection], T]) -> T:
        """Run one call inside the transaction."""
        return self._loop.run_until_complete(self._conn.run_sync(call))

    def commit(self) -> None:
        """Make it durable."""
        self._loop.run_until_complete(self._conn.commit())

    def rollback(self) -> None:
        """Undo what the transaction did."""
        self._loop.run_until_complete(self._conn.rollback())

    def close(self) -> None:
        """Close the connection and its loop, also when the server is gone."""
        if self._loop.is_closed():
            return
        try:
            self._loop.run_until_complete(self._shut())
        finally:
            self._loop.close()

    async def _shut(self) -> None:
        await self._conn.close()
        await self._engine.dispose()


def open_link(place: FilePlace | ServerPlace, purpose: Purpose) -> Link:
    """A new connection for the calling thread."""
    match place:
        case FilePlace():
            return SqliteLink(place, purpose)
        case ServerPlace():
            return PostgresLink(place, purpose)


def look_address(path: Path) -> str:
    """The URI of a ledger file that is only read.

    SQLite wants its log and the index of that beside it, and would make them. Where nothing is in either, no
    writer is alive and the file alone is the whole ledger. Else the index is taken as it is: where it is of
    no use, SQLite reads the log into memory instead (`readonly_shm`; tried, also on a full disk).
    """
    beside = [path.with_name(path.name + end) for end in ("-wal", "-shm")]
    is_alone = not any(file.exists() and file.stat().st_size for file in beside)
    return f"{_address(path, 'ro')}&{'immutable=1' if is_alone else 'readonly_shm=1'}"


def _address(path: Path, mode: Literal["rw", "ro"]) -> str:
    """The URI of a file that is there: neither mode makes one, which would stand in a lost ledger's place."""
    return f"file:{quote(str(path))}?mode={mode}"


def _set_up_sqlite(conn: Connection) -> None:
    for pragma in _PRAGMAS:
        conn.exec_driver_sql(f"PRAGMA {pragma}")
    if sys.platform == "darwin":
        conn.exec_driver_sql("PRAGMA fullfsync = ON")
    conn.rollback()


def _enter_wal(conn: Connection) -> None:
    """WAL mode stays with the file; the first two to open it may collide, which no time-out covers."""
    give_up_at = time.monotonic() + BUSY_S
    while True:
        try:
            mode = conn.exec_driver_sql("PRAGMA journal_mode = WAL").scalar_one()
            break
        except OperationalError as error:
            if "locked" not in str(error.orig) or time.monotonic() > give_up_at:
                raise
            time.sleep(0.02)
        finally:
            conn.rollback()
    if mode != "wal":
        raise sqlite3.OperationalError(f"unable to open in WAL mode, got {mode!r}")


async def _connect(dsn: str, purpose: Purpose) -> Any:
    driver: Any = asyncpg
    idle_s = PAUSE_S if purpose == "read" else BUSY_S
    settings = {**_SERVER_SETTINGS, "idle_in_transaction_session_timeout": f"{idle_s}s"}
    return await driver.connect(dsn, timeout=BUSY_S, command_timeout=2 * BUSY_S, server_settings=settings)


async def _opened(engine: AsyncEngine) -> AsyncConnection:
    """A connection on which a commit answers only when the disk has it, whatever the server is told."""
    conn = await engine.connect()
    async with conn.begin():
        if (await conn.execute(text("SHOW synchronous_commit"))).scalar_one() == "off":
            await conn.execute(text("SET SESSION synchronous_commit = on"))
    return conn


_QUIET = "reelsweep"
"""Names the log of our pools, in which closing what the server has closed already is an error."""
logging.getLogger(f"sqlalchemy.pool.impl.NullPool.{_QUIET}").setLevel(logging.CRITICAL)
_PRAGMAS = ("synchronous = FULL", "foreign_keys = ON", "wal_autocheckpoint = 2000", "temp_store = MEMORY")
_SERVER_SETTINGS = {
    "application_name": "reelsweep",
    "lock_timeout": f"{BUSY_S}s",
    "timezone": "UTC",
    "tcp_keepalives_idle": "30",  # a machine that is switched off keeps its locks no longer than a lease
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_TAKE_TURN = text(f"SELECT pg_advisory_xact_lock({LOCK_KEY})")
"""Makes a write transaction on PostgreSQL what BEGIN IMMEDIATE is on SQLite."""
