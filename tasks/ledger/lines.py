"""The lines and the POSTs of an OUT, streamed from one state of the ledger, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from heapq import merge
from operator import attrgetter
from typing import Any, Self, TypeVar

from reelsweep.tasks.ledger.reader import Snapshot
from reelsweep.tasks.ledger.reads import (
    ATTEMPT_COLUMNS,
    ATTEMPTS_JOINED,
    RunFacts,
    attempt_of,
    read_results,
    read_runs,
)
from reelsweep.tasks.ledger.records import AttemptRecord, Line, PlanRow
from reelsweep.tasks.ledger.schema import attempts, generations, outs, plan_rows, runs
from sqlalchemy import Connection, Select, bindparam, exists, func, select, tuple_

T = TypeVar("T")
_BATCH = 250
_PLAN_FIELDS = tuple(field.name for field in fields(PlanRow))
_OTHER_COLUMNS = (
    generations.c.gateway,
    generations.c.generation_id,
    generations.c.status,
    generations.c.attempt_id,
    generations.c.num_attempts,
    generations.c.num_purchases,
    generations.c.cost_musd,
    generations.c.reserved_musd,
    plan_rows.c.created_at,
    plan_rows.c.last_plan_hash,
)


class OutState:
    """What one state of a ledger tells of an OUT: the moment of its first answer, until `close`.

    Asked as often as wanted, all answers agree with each other. Blocks, so use a thread. Raises TroubleError.
    """

    def __init__(self, open_snapshot: Callable[[], Snapshot], out_id: str) -> None:
        self._open = open_snapshot
        self._out_id = out_id
        self._snapshot: Snapshot | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the state go."""
        if self._snapshot is not None:
            self._snapshot.close()

    def lines(self) -> Iterator[Line]:
        """Every line: rows in the latest plan first, in order."""
        lines = self._read(lambda conn: _Lines(conn, self._out_id))
        for in_plan in (True, False):
            after = (-1, "")
            while page := self._read(lambda conn, p=in_plan, a=after: lines.page(conn, p, a)):
                yield from page
                after = (page[-1].plan.ordinal, page[-1].plan.row_key)

    def attempts(self) -> Iterator[AttemptRecord]:
        """Every POST for the generations of its lines, and its own for which no line asks, oldest first."""
        run_facts = self._read(read_runs)
        asked, unasked = (self._attempts(which, run_facts) for which in (_ASKED, _UNASKED))
        yield from merge(asked, unasked, key=attrgetter("attempt_id"))

    def _attempts(self, which: Select[Any], run_facts: Mapping[str, RunFacts]) -> Iterator[AttemptRecord]:
        after = ""
        while page := self._read(lambda conn, a=after: self._attempts_after(conn, which, a, run_facts)):
            yield from page
            after = page[-1].attempt_id

    def _attempts_after(
        self, conn: Connection, which: Select[Any], after: str, run_facts: Mapping[str, RunFacts]
    ) -> list[AttemptRecord]:
        rows = conn.execute(which, {"b_out": self._out_id, "b_after": after}).all()
        told = read_results(conn, [row[0] for row in rows]) if rows else {}
        return [attempt_of(row, told.get(row[0], ()), run_facts) for row in rows]

    def _read(self, call: Callable[[Connection], T]) -> T:
        if self._snapshot is None:
            self._snapshot = self._open()
        return self._snapshot.read(call)


class _Lines:
    """What is known about one OUT while its lines are read."""

    def __init__(self, conn: Connection, out_id: str) -> None:
        self._out_id = out_id
        self._plan_hash: str | None = conn.execute(_PLAN_HASH, {"b_out": out_id}).scalar_one_or_none()
        self._runs = read_runs(conn)
        self._shared: set[int] = set(conn.execute(_SHARED, {"b_out": out_id}).scalars())
        self._charged: set[int] = set()

    def page(self, conn: Connection, in_plan: bool, after: tuple[int, str]) -> list[Line]:
        """The next lines after a (ordinal, row_key)."""
        place = {"b_out": self._out_id, "b_in_plan": in_plan, "b_ordinal": after[0], "b_key": after[1]}
        rows = conn.execute(_PAGE, place).all()
        spoken_for = [row.attempt_id for row in rows if row.attempt_id is not None]
        told = _read_page_attempts(conn, spoken_for, self._runs)
        return [self._line(row, in_plan, told) for row in rows]

    def _line(self, row: Sequence[Any], in_plan: bool, told: Mapping[str, AttemptRecord]) -> Line:
        plan = PlanRow(**dict(zip(_PLAN_FIELDS, row[: len(_PLAN_FIELDS)], strict=True)))
        gateway, generation_id, status, attempt_id, posts, purchases, cost, reserved, created, last = row[
            len(_PLAN_FIELDS) :
        ]
        attempt = told.get(attempt_id) if attempt_id is not None else None
        run = self._runs.get(attempt.run_id) if attempt is not None else None
        shared = generation_id in self._shared
        if shared:
            cost, reserved = self._charge(generation_id, cost, reserved)
        return Line(
            plan=plan,
            gateway=gateway,
            run_id=None if attempt is None else attempt.run_id,
            in_plan=in_plan,
            shared=shared,
            status=status,
            attempt=attempt,
            num_attempts=posts,
            num_purchases=purchases,
            cost_musd=cost,
            reserved_musd=reserved,
            created_at=created,
            started_at=None if attempt is None else attempt.sent_at,
            plan_hash=self._plan_hash if in_plan else last,
            code_version=None if run is None else run.code_version,
        )

    def _charge(
        self, generation_id: int, cost: int | None, reserved: int | None
    ) -> tuple[int | None, int | None]:
        """The first line that shares a generation carries its money, the others none."""
        if generation_id not in self._charged:
            self._charged.add(generation_id)
            return cost, reserved
        return cost and 0, reserved and 0


def _read_page_attempts(
    conn: Connection, attempt_ids: Sequence[str], run_facts: Mapping[str, RunFacts]
) -> dict[str, AttemptRecord]:
    if not attempt_ids:
        return {}
    told = read_results(conn, attempt_ids)
    rows = conn.execute(_ATTEMPTS, {"b_attempts": attempt_ids})
    return {row[0]: attempt_of(row, told.get(row[0], ()), run_facts) for row in rows}


_PLAN_HASH = select(outs.c.plan_hash).where(outs.c.out_id == bindparam("b_out"))
_SHARED = (
    select(plan_rows.c.generation_id)
    .where(plan_rows.c.out_id == bindparam("b_out"))
    .group_by(plan_rows.c.generation_id)
    .having(func.count() > 1)
)
_PLAN_COLUMNS = tuple(
    generations.c[name] if name in ("request_fingerprint", "payload") else plan_rows.c[name]
    for name in _PLAN_FIELDS
)
_PAGE: Select[Any] = (
    select(*_PLAN_COLUMNS, *_OTHER_COLUMNS)
    .join_from(plan_rows, generations, plan_rows.c.generation_id == generations.c.generation_id)
    .where(
        plan_rows.c.out_id == bindparam("b_out"),
        plan_rows.c.in_plan == bindparam("b_in_plan"),
        tuple_(plan_rows.c.ordinal, plan_rows.c.row_key) > tuple_(bindparam("b_ordinal"), bindparam("b_key")),
    )
    .order_by(plan_rows.c.ordinal, plan_rows.c.row_key)
    .limit(_BATCH)
)
_ATTEMPTS = (
    select(*ATTEMPT_COLUMNS)
    .join_from(attempts, generations, attempts.c.generation_id == generations.c.generation_id)
    .where(attempts.c.attempt_id.in_(bindparam("b_attempts", expanding=True)))
)
_ASKS = plan_rows.c.generation_id == attempts.c.generation_id
_NEXT = (
    ATTEMPTS_JOINED.where(attempts.c.attempt_id > bindparam("b_after"), attempts.c.state != "withdrawn")
    .order_by(attempts.c.attempt_id)
    .limit(_BATCH)
)
_ASKED = _NEXT.where(exists().where(_ASKS, plan_rows.c.out_id == bindparam("b_out")))
_UNASKED = _NEXT.where(
    ~exists().where(_ASKS),
    attempts.c.run_id.in_(select(runs.c.run_id).where(runs.c.out_id == bindparam("b_out"))),
)
