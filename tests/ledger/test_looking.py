"""A ledger that is looked at without being written to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from reelsweep.prompts.errors import OutError, SettingsError
from reelsweep.tasks.ledger.looking import Looking, may_only_look
from reelsweep.tasks.ledger.records import OpenAt


async def test_who_looks_sees_what_a_live_run_does(sqlite: Any, make: Any) -> None:
    """Beside the writer, from its log, and nothing of the file changes."""
    ledger = await make.start(sqlite.open(), rows=3)
    await make.buy(ledger, 0)
    sqlite.sql("UPDATE runs SET lease_until = 1e12")  # on the machine's clock it is not over
    path = Path(sqlite.url.removeprefix("sqlite:///"))
    looking = await asyncio.to_thread(Looking.open, sqlite.url)
    before = path.with_name("ledger.db-wal").read_bytes()
    try:
        assert looking.ledger_id == ledger.ledger_id
        picture = await looking.picture("out")
        assert (picture.tally.in_flight, picture.open_at) == (1, ())
        await make.buy(ledger, 1)
        assert (await looking.picture("out")).tally.in_flight == 2
    finally:
        await asyncio.to_thread(looking.close)
    assert path.with_name("ledger.db-wal").read_bytes().startswith(before)


async def test_what_is_dead_is_told_and_not_written_down(database: Any, make: Any) -> None:
    """Counts are those that the next run will find; the run's row stays as it is."""
    dead = await make.start(database.open(), rows=3)
    await make.buy(dead, 0)
    dead.close()
    ledger = database.open()
    picture = await ledger.picture("out")
    assert picture.tally.counts == {"planned": 2, "unknown": 1}
    assert picture.tally.in_flight == 0
    assert picture.open_at == (OpenAt(gateway=make.gateway, unknown=1, waiting=0, num_left=0),)
    assert [run["state"] for run in await ledger.runs("out")] == ["live"]
    assert await ledger.bury_dead() == 1
    assert await ledger.picture("out") == picture


async def test_what_the_latest_plan_does_not_ask_for_is_open_too(database: Any, make: Any) -> None:
    """By gateway, and how much of it has left the plan; what a live run holds is in its hands."""
    ledger = await make.start(database.open(), rows=3)
    first, second = await make.buy(ledger, 0), await make.buy(ledger, 1)
    assert (await ledger.picture("out")).open_at == ()
    await ledger.answer(first.attempt_id, make.cut())
    await ledger.answer(second.attempt_id, make.success())
    await ledger.settle(second.attempt_id, [make.stored()], "failed_to_download")
    await ledger.end_run("run", exit_code=1, summary={})
    await ledger.record_plan("out", make.gateway, "next", [make.row(1), make.row(2)])
    (left,) = (await ledger.picture("out")).open_at
    assert (left.unknown, left.waiting, left.num_left) == (1, 1, 1)


def test_another_schema_is_not_read(sqlite: Any) -> None:
    """An older one would have to be brought forward, which is writing."""
    sqlite.open().close()
    sqlite.sql("UPDATE ledger SET value = '0' WHERE name = 'schema_version'")
    with pytest.raises(OutError, match="schema version 0"):
        Looking.open(sqlite.url)


def test_only_a_file_is_looked_at(tmp_path: Path) -> None:
    """A server says itself who may write."""
    assert not may_only_look("postgresql://host/db")
    assert not may_only_look(f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(SettingsError):
        Looking.open("postgresql://host/db")
