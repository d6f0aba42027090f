"""What the calls of one transaction read at once and write together.

Everybody who uses a ledger waits for the transaction that is open, and on a server most of its time is
the way there and back. So a batch asks once for all its calls, and keeps what a call writes until the
end: one statement for many rows. Every call still sees what the calls before it did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reelsweep.tasks.ledger.schema import budgets
from reelsweep.tasks.ledger.standing import Money, Trace
from sqlalchemy import (
    Connection,
    CursorResult,
    Executable,
    Insert,
    Row,
    Table,
    bindparam,
    exists,
    insert,
    literal,
    select,
    update,
)

Subject = str | tuple[str, str]
"""What a call is about: an attempt by its id, or a generation by its gateway and fingerprint."""


def add_missing(table: Table, key: Mapping[str, str], others: Mapping[str, str]) -> Insert:
    """An INSERT of a row that may be there: columns by the names of their parameters.

    The same on both dialects; their own ON CONFLICT is compiled anew at every use.
    """
    columns = {name: bindparam(of, type_=table.c[name].type) for name, of in {**key, **others}.items()}
    is_there = exists(literal(1)).where(*(table.c[name] == columns[name] for name in key))
    return insert(table).from_select(list(columns), select(*columns.values()).where(~is_there))


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A generation as the database has it."""

    generation_id: int
    run_id: str | None
    """The run that holds its claim."""
    skipped: Any
    traces: tuple[Trace, ...]
    """Its attempts in the order they were made."""


@dataclass(slots=True)
class _Rows:
    """Rows that one statement writes."""

    statement: Executable
    names: tuple[str, ...]
    values: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])


class Batch:
    """The connection inside a transaction, as the verbs see it.

    A call about a subject reads and writes that generation, the sums of money, and nothing else that
    another such call writes. `write` at the end; an error there is an error of one of the calls.
    """

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self.dialect = conn.dialect
        self._known: dict[Subject, Generation] = {}
        self._touched: set[int] = set()
        self._answers: dict[Any, Sequence[Row[Any]]] = {}
        self._waiting: list[_Rows] = []
        self._at = 0
        self._money: dict[int, Money] = {}

    def know(self, found: Mapping[Subject, Generation]) -> None:
        """Keep what was read ahead."""
        self._known.update(found)

    def turn(self, subject: Subject) -> None:
        """The next call is about this. What was read ahead serves the first call about a generation only."""
        known = self._known.get(subject)
        if known is None or known.generation_id in self._touched:
            self._known.pop(subject, None)
            self._write_rows()
        else:
            self._touched.add(known.generation_id)
        self._at = 0

    def take(self, subject: Subject) -> Generation | None:
        """What was read ahead, if it still stands."""
        return self._known.pop(subject, None)

    def bare(self) -> Connection:
        """The connection for a call about anything: all is written before it, nothing is known after it."""
        self.write()
        self._known.clear()
        self._answers.clear()
        return self._conn

    def execute(self, statement: Executable, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Do it now, after what waits to be written; money apart."""
        self._write_rows()
        return self._conn.execute(statement, values)

    def ask_once(self, statement: Executable, values: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """The rows of a question that no call about a subject changes the answer to."""
        asked = (statement, *values.items())
        if asked not in self._answers:
            self._answers[asked] = self._conn.execute(statement, values).all()
        return self._answers[asked]

    def later(self, statement: Executable, values: Mapping[str, Any]) -> None:
        """Write a row at the end, with those that other calls write by the same statement.

        What one call writes is written in its order.
        """
        names = tuple(values)
        for at in range(self._at, len(self._waiting)):
            if self._waiting[at].statement is statement and self._waiting[at].names == names:
                break
        else:
            at = len(self._waiting)
            self._waiting.append(_Rows(statement, names))
        self._waiting[at].values.append(values)
        self._at = at

    def add_money(self, slot: int, delta: Money) -> None:
        """Change the sums of a slot at the end."""
        self._money[slot] = self._money.get(slot, Money()) + delta

    def waiting_musd(self, first: int, end: int) -> int:
        """What is still to be added to the sums of these slots."""
        waiting = [money for slot, money in self._money.items() if first <= slot < end]
        return sum(money.settled + money.open + money.held for money in waiting)

    def bank(self, statement: Executable, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Ask for or change sums now, beside what waits."""
        return self._conn.execute(statement, values)

    def write_money(self) -> Connection:
        """The connection, when all sums are written."""
        money, self._money = self._money, {}
        slots: dict[Money, list[int]] = {}
        for slot in sorted(money):
            slots.setdefault(money[slot], []).append(slot)
        for delta in slots:
            if delta:
                _add_money(self._conn, slots[delta], delta)
        return self._conn

    def write(self) -> None:
        """Write all that waits."""
        self._write_rows()
        self.write_money()

    def _write_rows(self) -> None:
        waiting, self._waiting, self._at = self._waiting, [], 0
        for rows in waiting:
            self._conn.execute(rows.statement, rows.values)


def _add_money(conn: Connection, slots: Sequence[int], delta: Money) -> None:
    """Add the same to slots, of which some may be new."""
    amounts = {"b_settled": delta.settled, "b_open": delta.open, "b_held": delta.held}
    if conn.execute(_ADD, {**amounts, "b_slots": slots}).rowcount < len(slots):
        conn.execute(_FIRST, [{**amounts, "b_slot": slot} for slot in slots])


_ADD = (
    update(budgets)
    .where(budgets.c.slot.in_(bindparam("b_slots", expanding=True)))
    .values(
        settled_musd=budgets.c.settled_musd + bindparam("b_settled"),
        open_musd=budgets.c.open_musd + bindparam("b_open"),
        held_musd=budgets.c.held_musd + bindparam("b_held"),
    )
)
_FIRST = add_missing(
    budgets,
    {"slot": "b_slot"},
    {"settled_musd": "b_settled", "open_musd": "b_open", "held_musd": "b_held"},
)
