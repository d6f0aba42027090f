"""Group commit: many calls, one transaction, an answer only after it is durable."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import count
from typing import Any, TypeVar

import asyncpg
import pytest
from asyncpg import InterfaceError
from reelsweep.prompts.errors import TroubleError
from reelsweep.tasks.ledger import patience
from reelsweep.tasks.ledger.link import Link, open_link
from reelsweep.tasks.ledger.patience import AWAY_S, PAUSE_S, Patience
from reelsweep.tasks.ledger.place import FilePlace, parse_place, prepare_file
from reelsweep.tasks.ledger.reader import Reader
from reelsweep.tasks.ledger.trouble import is_disconnect
from reelsweep.tasks.ledger.writer import Writer
from sqlalchemy import Connection, text

T = TypeVar("T")


class _Counting:
    """A real link that counts its commits and can be made to lose its connection or its commit."""

    def __init__(self, link: Link, log: list[str]) -> None:
        self._link = link
        self.log = log

    def begin(self) -> None:
        self._link.begin()

    def apply(self, call: Callable[[Connection], T]) -> T:
        return self._link.apply(call)

    def commit(self) -> None:
        if "lose the commit" in self.log:
            self.log.remove("lose the commit")
            self._link.commit()
            raise ConnectionResetError("the connection went away in the middle of a commit")
        if "refuse the commit" in self.log:
            self._link.rollback()
            raise OSError(28, "No space left on device")
        self._link.commit()
        self.log.append("commit")

    def rollback(self) -> None:
        self._link.rollback()

    def close(self) -> None:
        self._link.close()


class _Bench:
    """A writer on a table of numbers."""

    def __init__(self, url: str) -> None:
        self.log: list[str] = []
        self._place = parse_place(url)
        if isinstance(self._place, FilePlace):
            prepare_file(self._place.path)
        self.writer = Writer(self.connect, "here")
        self.run("CREATE TABLE numbers (n INTEGER PRIMARY KEY)").result()
        self.log.clear()

    def connect(self) -> Link:
        if "away" in self.log:
            self.log.remove("away")
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        self.log.append("connect")
        return _Counting(open_link(self._place, "write"), self.log)

    def run(self, statement: str, **values: Any) -> Future[Any]:
        def call(conn: Connection) -> list[Any]:
            result = conn.execute(text(statement), values)
            return list(result.scalars()) if result.returns_rows else []

        return self.writer.submit(call)

    def add(self, number: int) -> Future[Any]:
        return self.run("INSERT INTO numbers VALUES (:n)", n=number)

    def add_once(self, number: int) -> Future[Any]:
        return self.run("INSERT INTO numbers VALUES (:n) ON CONFLICT DO NOTHING", n=number)

    def numbers(self) -> list[int]:
        return self.run("SELECT n FROM numbers ORDER BY n").result()


@pytest.fixture
def bench(database: Any) -> Iterator[_Bench]:
    """A writer of either kind of database."""
    made = _Bench(database.url)
    yield made
    made.writer.close()


def test_calls_of_one_window_share_a_commit(bench: _Bench) -> None:
    """A hundred calls from several threads take a few commits, not a hundred."""
    threads = [
        threading.Thread(target=lambda start=start: [bench.add(start + n) for n in range(25)])
        for start in range(0, 100, 25)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.numbers() == list(range(100))
    assert 1 <= bench.log.count("commit") <= 20


def test_a_failing_call_spoils_no_other(bench: _Bench) -> None:
    """The calls beside a wrong one are written, the wrong one gets its error."""
    first = bench.add(1)
    answers = [bench.add(2), bench.add(1), bench.add(3)]
    assert first.result() == []
    with pytest.raises(TroubleError, match="numbers"):
        answers[1].result()
    assert bench.numbers() == [1, 2, 3]


def test_our_own_errors_come_back_as_they_are(bench: _Bench) -> None:
    """A call that raises a LookupError answers with it."""

    def call(conn: Connection) -> None:
        raise LookupError("not here")

    with pytest.raises(LookupError, match="not here"):
        bench.writer.submit(call).result()
    assert bench.numbers() == []


def test_a_lost_commit_is_made_sure_of(bench: _Bench) -> None:
    """When the connection breaks in a commit, the calls are applied again on a new one and answered."""
    bench.log.append("lose the commit")
    answers = [bench.add_once(n) for n in range(3)]
    assert [answer.result() for answer in answers] == [[], [], []]
    assert bench.numbers() == [0, 1, 2]
    assert bench.log.count("connect") == 1


def test_a_server_that_is_away_for_a_moment_loses_nothing(bench: _Bench) -> None:
    """It is started anew: what was handed over meanwhile waits, and is answered as if nothing had been."""
    bench.log.extend(["away"] * 3)
    bench.log.append("lose the commit")
    answers = [bench.add_once(n) for n in range(3)]
    assert [answer.result() for answer in answers] == [[], [], []]
    assert bench.numbers() == [0, 1, 2]
    assert bench.log.count("connect") == 1


def test_a_reader_waits_for_a_server_as_well(bench: _Bench) -> None:
    """A question that finds it away is answered when it is back."""
    reader = Reader(bench.connect, "here")
    ask = text("SELECT count(*) FROM numbers")
    assert reader.submit(lambda conn: conn.execute(ask).scalar_one()).result() == 0
    bench.log.extend(["away"] * 3)

    def lose(conn: Connection) -> int:
        if "away" in bench.log:
            raise ConnectionResetError(errno.ECONNRESET, "the server is gone")
        return conn.execute(ask).scalar_one()

    assert reader.submit(lose).result() == 0
    reader.close()


def test_a_server_that_stays_away_is_waited_for_once() -> None:
    """At once, then for its time; whoever asks later is told after two tries, until it has answered."""
    now_s, waiting = 0.0, Patience(clock=lambda: now_s, sleep=lambda pause_s: passed(pause_s))

    def passed(pause_s: float) -> None:
        nonlocal now_s
        now_s += pause_s

    def num_tries() -> int:
        return next(tries for tries in count(1) if not waiting.has_time(tries))

    assert num_tries() == AWAY_S / PAUSE_S + 2
    assert num_tries() == 2
    waiting.answered()
    assert num_tries() == AWAY_S / PAUSE_S + 2


def test_a_disk_that_is_full_is_not_waited_for() -> None:
    """Only what may be back by itself is: a connection, not space."""
    assert not is_disconnect(OSError(errno.ENOSPC, "No space left on device"))
    assert is_disconnect(FileNotFoundError(errno.ENOENT, "no socket of a server"))
    assert is_disconnect(asyncpg.CannotConnectNowError("the database system is starting up"))


def test_a_refused_commit_answers_nobody_with_success(bench: _Bench) -> None:
    """Every call of a batch that could not be made durable fails; the writer goes on when it can."""
    bench.log.append("refuse the commit")
    answers = [bench.add(n) for n in range(3)]
    for answer in answers:
        with pytest.raises(TroubleError, match="the disk is full"):
            answer.result()
    bench.log.remove("refuse the commit")
    assert bench.numbers() == []
    bench.add(7).result()
    assert bench.numbers() == [7]


async def test_a_callers_cancellation_withdraws_nothing(bench: _Bench) -> None:
    """A call that was handed over is applied, whoever still waits for it."""
    answer = bench.add(1)
    waiting = asyncio.create_task(_wait(answer))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(bench.numbers) == [1]


async def _wait(future: Future[Any]) -> Any:
    return await asyncio.wrap_future(future)


def test_closing_writes_what_was_handed_over(bench: _Bench) -> None:
    """What came before `close` is durable after it, what comes later is refused."""
    answers = [bench.add(n) for n in range(50)]
    late: list[Future[Any]] = []
    answers[-1].add_done_callback(lambda _: late.append(bench.add(99)))
    bench.writer.close()
    bench.writer.close()
    assert all(answer.done() for answer in (*answers, *late))
    with pytest.raises(TroubleError, match="closed"):
        bench.add(100)


async def test_a_server_that_drops_every_connection_loses_nothing(postgres: Any, make: Any) -> None:
    """Writer, reader and lock come back by themselves; nothing is bought twice meanwhile."""
    database = make.Database(postgres())
    ledger = await make.start(database.open(times=make.Times(renew_s=0.01, second_look_s=0.01)))
    claim = await make.buy(ledger)
    await ledger.spend()
    database.sql(_DROP_OTHERS)
    await ledger.answer(claim.attempt_id, make.success())
    await make.buy(ledger, 1)
    assert (await make.standing(ledger)).next_step == "wait"
    async with asyncio.timeout(60):
        while database.sql(_SESSION_LOCKS)[0].held == 0:
            await ledger.spend()
    assert ledger.lease_held("run")
    database.close()


async def test_a_server_that_is_started_anew_loses_nothing(
    own_postgres: Any, end_postgres: Callable[[Any], None], make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that comes while it is away is written down when it is back, and the lease is kept."""
    monkeypatch.setattr(patience, "AWAY_S", 600.0)  # a busy machine starts it slowly
    database = make.Database(own_postgres.get_uri())
    ledger = await make.start(database.open())
    claim = await make.buy(ledger)
    await asyncio.to_thread(end_postgres, own_postgres)
    answering = asyncio.create_task(ledger.answer(claim.attempt_id, make.success()))
    asking = asyncio.create_task(ledger.spend())
    await asyncio.sleep(2 * patience.PAUSE_S)
    assert not answering.done()
    await asyncio.to_thread(own_postgres.ensure_postgres_running)
    await answering
    await asking
    assert (await ledger.attempt(claim.attempt_id)).state == "answered"
    assert ledger.lease_held("run")
    database.close()


def test_a_connection_that_cannot_be_closed_is_let_go_of_without_a_word(
    postgres: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it means is said by who needed it; nobody can do anything about the rest."""

    async def close(connection: Any, **_: Any) -> None:
        connection.terminate()
        raise InterfaceError("connection is closed")

    link = open_link(parse_place(postgres()), "session")
    monkeypatch.setattr("asyncpg.Connection.close", close)
    link.close()
    assert caplog.messages == []


_DROP_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND application_name = 'reelsweep'
"""
_SESSION_LOCKS = """
SELECT count(*) AS held FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND state = 'idle' AND pid <> pg_backend_pid()
"""


async def test_verbs_may_be_awaited_from_any_loop(database: Any, make: Any) -> None:
    """Threads with event loops of their own share one ledger."""
    ledger = await make.start(database.open(), rows=8)
    claims = await asyncio.gather(
        *(asyncio.to_thread(lambda n=n: asyncio.run(make.buy(ledger, n))) for n in range(8))
    )
    assert len({claim.attempt_id for claim in claims}) == 8
    assert (await ledger.tally("out")).in_flight == 8
