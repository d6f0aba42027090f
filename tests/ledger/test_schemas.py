"""Ledgers in different schemas of one PostgreSQL database have nothing to do with each other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from reelsweep.tasks.ledger.link import open_link
from reelsweep.tasks.ledger.locks import HeldError, run_lock
from reelsweep.tasks.ledger.place import parse_place

SOON_S, WHILE_S = 10.0, 1.0


@pytest.fixture
def two(postgres: Callable[[], str], make: Any) -> Iterator[list[Any]]:
    """Two databases: schemas of one server's."""
    databases = [make.Database(postgres()) for _ in range(2)]
    yield databases
    for database in databases:
        database.close()


@contextmanager
def _writing(url: str) -> Generator[None]:
    """Hold a ledger's writing transaction, in a thread of its own."""
    began, leave = threading.Event(), threading.Event()

    def hold() -> None:
        link = open_link(parse_place(url), "write")
        link.begin()
        began.set()
        leave.wait()
        link.rollback()
        link.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert began.wait(SOON_S)
    try:
        yield
    finally:
        leave.set()
        thread.join()


async def _waits_for(holder: Any, database: Any) -> bool:
    """Whether a write waits while somebody holds a ledger's writing transaction."""
    with _writing(holder.url):
        writing = asyncio.create_task(asyncio.to_thread(lambda: database.sql("SELECT 1")))
        done, _ = await asyncio.wait({writing}, timeout=WHILE_S)
    await writing
    return not done


async def test_a_writer_delays_its_own_ledger_only(two: list[Any], make: Any) -> None:
    """While a writer of one schema holds its turn, the other ledger is written to, and the first is not."""
    here, there = two
    for database in two:
        await make.start(database.open())
    assert not await _waits_for(here, there)
    assert await _waits_for(here, here)


async def test_a_writer_that_makes_the_ledger_keeps_out_the_next(two: list[Any]) -> None:
    """Before there is a table, one writes at a time, too."""
    here, there = two
    assert not await _waits_for(here, there)
    assert await _waits_for(here, here)


async def test_one_run_id_in_two_ledgers_is_two_runs(two: list[Any], make: Any) -> None:
    """One of them dies: the other lives on, and each is judged by its own lock."""
    for database in two:
        await make.buy(await make.start(database.open(), run_id="same"), run_id="same")
    two[0].opened[0].close()
    for database in two:
        await make.start(database.open(), run_id="next")
    states = [database.sql("SELECT state FROM attempts")[0].state for database in two]
    assert states == ["unknown", "intent"]
    assert two[1].opened[0].lease_held("same")


def test_turns_of_one_name_are_taken_in_each_ledger(two: list[Any]) -> None:
    """Who publishes under one ledger's turn does not wait for who does under the other's."""
    here, there, again = (run_lock(parse_place(it.url), "turn out") for it in (*two, two[0]))
    try:
        here.take()
        there.take()
        with pytest.raises(HeldError):
            again.take()
    finally:
        here.release()
        there.release()


async def test_who_reaches_a_ledger_by_another_path_shares_its_locks(two: list[Any], make: Any) -> None:
    """The schema that has the ledger counts, not the first one of a search path."""
    here, there = two
    await make.start(here.open())
    schema = here.url.rpartition("=")[2]
    empty = there.url.rpartition("=")[2]
    other_way = make.Database(here.url.replace(f"search_path={schema}", f"search_path={empty},{schema}"))
    assert other_way.sql("SELECT count(*) AS runs FROM runs")[0].runs == 1
    assert await _waits_for(other_way, here)
    other_way.close()
