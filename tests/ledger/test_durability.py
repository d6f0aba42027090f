"""Durable means on the disk: what SIGKILL cannot show."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reelsweep.tasks.ledger.link import Link, open_link
from reelsweep.tasks.ledger.place import parse_place
from sqlalchemy import Connection

_BATCHES = 5


def _ask(url: str, statement: str, purpose: Any = "write") -> Any:
    link: Link = open_link(parse_place(url), purpose)

    def call(conn: Connection) -> Any:
        return conn.exec_driver_sql(statement).scalar_one()

    try:
        link.begin()
        return link.apply(call)
    finally:
        link.rollback()
        link.close()


def test_every_batch_of_intents_is_synced_before_its_first_post(sqlite: Any, make: Any) -> None:
    """Between the writes of a batch of intents and the return of their claims lies a sync of the WAL."""
    rows = [asdict(make.row(number)) for number in range(8 * _BATCHES)]
    told = json.dumps({"run": asdict(make.run()), "rows": rows})
    program = Path(__file__).with_name("sync_log.py")
    command = [sys.executable, str(program), sqlite.url, str(_BATCHES)]
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=True, timeout=120)
    log = json.loads(done.stdout)
    posts = [at for at, event in enumerate(log) if event == "post"]
    assert len(posts) == _BATCHES
    for start, post in zip([-1, *posts], posts, strict=False):
        batch = log[start + 1 : post]
        assert "write" in batch
        assert batch[-1] == "sync", batch


def test_the_live_connection_syncs_every_commit(sqlite: Any) -> None:
    """journal_mode is wal and synchronous FULL on every connection a ledger makes."""
    sqlite.open()
    for purpose in ("write", "read"):
        assert _ask(sqlite.url, "PRAGMA journal_mode", purpose) == "wal"
        assert _ask(sqlite.url, "PRAGMA synchronous", purpose) == 2
        assert _ask(sqlite.url, "PRAGMA foreign_keys", purpose) == 1


def test_a_server_told_to_answer_early_is_overruled(postgres: Any, make: Any) -> None:
    """synchronous_commit is on for the ledger, also where the server's default is off."""
    database = make.Database(postgres())
    database.sql("ALTER DATABASE postgres SET synchronous_commit = off")
    try:
        assert _ask(f"{database.url}&application_name=x", "SHOW synchronous_commit") == "on"
    finally:
        database.sql("ALTER DATABASE postgres RESET synchronous_commit")


def test_nobody_else_may_read_the_file(sqlite: Any, make: Any) -> None:
    """The ledger holds addresses of videos: file and WAL are for their owner alone."""
    sqlite.open()
    folder = parse_place(sqlite.url).path.parent  # type: ignore[union-attr]
    modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir() if file.is_file()}
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
