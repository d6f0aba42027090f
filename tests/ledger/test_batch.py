"""Verbs that share a transaction: the same as one after the other, and a few questions for all of them."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reelsweep.tasks.ledger import claims, settle
from reelsweep.tasks.ledger.budget import Caps
from reelsweep.tasks.ledger.link import open_link
from reelsweep.tasks.ledger.place import parse_place
from reelsweep.tasks.ledger.writer import Writer
from sqlalchemy import Engine, event

_ATTEMPTS, _GENERATIONS = 6, 2
_CALLS = {
    "claim": 4,
    "note": 1,
    "success": 3,
    "cut_off": 2,
    "throttled": 1,
    "no_video": 1,
    "stored": 2,
    "settle": 3,
    "invalid": 1,
    "withdraw": 1,
    "decide": 1,
    "adopt": 1,
    "skip": 1,
    "cut": 1,
}
_Script = list[tuple[str, int]]
_NO_CAPS = Caps(zone=UTC)
_BEFORE: _Script = [("claim", 0), ("claim", 1), ("cut_off", 0), ("cut_off", 1), ("claim", 2), ("claim", 3)]
_SCRIPTS = st.lists(
    st.tuples(
        st.sampled_from([name for name, often in _CALLS.items() for _ in range(often)]),
        st.integers(0, _ATTEMPTS - 1),
    ),
    min_size=2,
    max_size=24,
)
_TABLES = (
    "SELECT * FROM attempts ORDER BY attempt_id",
    "SELECT * FROM generations ORDER BY generation_id",
    "SELECT * FROM results ORDER BY attempt_id, choice_idx",
    "SELECT * FROM budgets WHERE settled_musd <> 0 OR open_musd <> 0 OR held_musd <> 0 ORDER BY slot",
)


@dataclass(frozen=True)
class _Verbs:
    """The verbs on `_ATTEMPTS` attempts at `_GENERATIONS` generations, each with what it is about."""

    make: Any
    clock: Any
    ledger_id: str
    caps: Caps

    def submit(self, writer: Writer, name: str, number: int) -> Any:
        """Hand over one call."""
        if name == "cut":
            return writer.submit(partial(claims.cut, run_id="run"))
        if name == "stored":
            number %= _ATTEMPTS - _GENERATIONS
        attempt_id = f"attempt-{number}"
        fingerprint = f"f{number % _GENERATIONS}"
        subject = (self.make.gateway, fingerprint) if name in ("claim", "skip") else attempt_id
        return writer.submit_about(subject, _forgiving(self._call(name, number, attempt_id, fingerprint)))

    def _call(self, name: str, number: int, attempt_id: str, fingerprint: str) -> Callable[[Any], Any]:
        now = self.clock.wall()
        match name:
            case "claim":
                return partial(claims.claim, wish=self._wish(number, attempt_id))
            case "skip":
                return lambda conn: claims.skip(conn, self.make.gateway, fingerprint, "cancelled")
            case "adopt":
                return lambda conn: claims.adopt(conn, attempt_id, "run", self.clock.uptime())
            case "withdraw":
                return lambda conn: claims.withdraw(conn, attempt_id, "not sent", now)
            case "note":
                return lambda conn: settle.note(
                    conn, attempt_id, task_id="job", status_url=None, first_event_at=now
                )
            case "stored":
                return lambda conn: settle.stored(
                    conn, attempt_id, 0, sha256="ab", size_bytes=5, file_name="videos/ab/ab.mp4"
                )
            case "settle":
                return lambda conn: settle.settle(conn, attempt_id, [self.make.stored()], "success", now)
            case "invalid":
                return lambda conn: settle.settle(conn, attempt_id, [], "invalid_output", now)
            case "decide":
                return lambda conn: settle.decide(conn, attempt_id, "yes", 70, "bill")
            case _:
                answer = getattr(self.make, {"cut_off": "cut"}.get(name, name))()
                return lambda conn: settle.answer(conn, attempt_id, answer, now)

    def _wish(self, number: int, attempt_id: str) -> claims.Wish:
        allow = frozenset({"unknown", "failed_billed"})
        return claims.Wish(
            attempt_id=attempt_id,
            ledger_id=self.ledger_id,
            gateway=self.make.gateway,
            request=self.make.request(number % _GENERATIONS, allow=allow, max_purchases=9, body_sha256="b"),
            caps=self.caps,
            now=self.clock.wall(),
            uptime_s=self.clock.uptime(),
        )


def _forgiving(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Tells of an error instead of raising it, which would have the whole batch applied call by call."""

    def forgiving(conn: Any) -> Any:
        try:
            return call(conn)
        except (LookupError, ValueError) as error:
            return type(error)

    return forgiving


def _play(verbs: _Verbs, before: _Script, script: _Script, url: str, together: bool) -> list[Any]:
    """What the callers heard when the calls came one by one, or all while the writer was busy."""
    writer = Writer(lambda: open_link(parse_place(url), "write"), "here")
    busy, free = threading.Event(), threading.Event()
    try:
        for step in before:
            verbs.submit(writer, *step).result()
        if not together:
            return [verbs.submit(writer, *step).result() for step in script]
        writer.submit(lambda _: (busy.set(), free.wait()))
        busy.wait()
        answers = [verbs.submit(writer, *step) for step in script]
        free.set()
        return [answer.result() for answer in answers]
    finally:
        free.set()
        writer.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Makes an empty database at each call, in memory where there is any."""
    if request.param == "postgresql":
        yield request.getfixturevalue("postgres")
        return
    memory, numbers = Path("/dev/shm"), itertools.count()
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield lambda: f"sqlite:///{folder}/{next(numbers)}/ledger.db"


async def _outcome(
    make: Any, url: str, script: _Script, *, together: bool, caps: Caps = _NO_CAPS, before: _Script = _BEFORE
) -> tuple[list[Any], list[Any]]:
    database = make.Database(url)
    try:
        await make.start(database.open(), rows=_GENERATIONS)
        verbs = _Verbs(make, database.clock, "ledger", caps)
        told = _play(verbs, before, script, url, together)
        return told, [[tuple(row) for row in database.sql(table)] for table in _TABLES]
    finally:
        database.close()


@pytest.mark.parametrize("caps", [_NO_CAPS, Caps(total_musd=470, day_musd=470, zone=UTC)])
def test_calls_of_one_transaction_come_to_what_they_come_to_alone(
    caps: Caps, make: Any, fresh_url: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    """Any calls about the same few generations, in one batch or each by itself: same answers, same rows."""

    @settings(
        max_examples=30 if "sqlite" in request.node.name else 8,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(script=_SCRIPTS)
    def holds(script: _Script) -> None:
        alone = asyncio.run(_outcome(make, fresh_url(), script, together=False, caps=caps))
        assert asyncio.run(_outcome(make, fresh_url(), script, together=True, caps=caps)) == alone

    holds()


async def test_what_a_call_writes_is_written_in_its_order(make: Any, fresh_url: Callable[[], str]) -> None:
    """A surplus result's address is erased after it is written, though another call erased before."""
    before = [*_BEFORE, ("success", 0), ("settle", 0)]
    script = [("no_video", 3), ("success", 2)]
    _, (_, _, results, _) = await _outcome(make, fresh_url(), script, together=True, before=before)
    assert [row[0] for row in results] == ["attempt-0", "attempt-2"]
    assert make.url not in str(results)


@pytest.mark.parametrize("cap_musd", [None, 10**9])
async def test_a_batch_asks_the_database_for_all_its_calls(
    cap_musd: int | None, database: Any, make: Any
) -> None:
    """A hundred attempts in flight cost four statements each at most, not the twenty of five verbs."""
    ledger = await make.start(database.open(), rows=100)
    await ledger.set_budget(cap_musd)
    asked: list[str] = []

    def count(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    async def make_one(number: int) -> None:
        claim = await make.buy(ledger, number)
        await ledger.note(claim.attempt_id, task_id="job")
        await ledger.answer(claim.attempt_id, make.success())
        await ledger.stored(claim.attempt_id, 0, sha256="ab", size_bytes=5, file_name="videos/ab/ab.mp4")
        await ledger.settle(claim.attempt_id, [make.stored()], "success")

    event.listen(Engine, "before_cursor_execute", count)
    try:
        await asyncio.gather(*(make_one(number) for number in range(100)))
    finally:
        event.remove(Engine, "before_cursor_execute", count)
    assert len(asked) <= 400
    assert (await ledger.spend()).settled_musd == 8_000
