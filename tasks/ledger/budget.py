"""Money in the database: what is settled, what is reserved, and whether one more POST fits under the caps.

Sums are kept for the ledger as a whole and for every quarter of an hour, so that a calendar day in any
time zone is a sum of at most a hundred rows, whoever spent it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cache
from typing import Literal

from reelsweep.tasks.ledger.batch import Batch
from reelsweep.tasks.ledger.schema import budgets
from reelsweep.tasks.ledger.standing import Money
from sqlalchemy import BigInteger, ColumnElement, Connection, Update, bindparam, func, select, update

_USED = budgets.c.settled_musd + budgets.c.open_musd + budgets.c.held_musd
_SLOT_OF_DAY = budgets.alias("today").c
NoRoom = Literal["skipped_budget", "budget_wait"]
ALL = -1
"""The slot that sums the whole ledger."""
_SLOT_S = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What this process may let the ledger spend: in all, and per calendar day of `zone`."""

    total_musd: int | None = None
    day_musd: int | None = None
    zone: tzinfo

    @property
    def is_set(self) -> bool:
        """Whether anything is capped."""
        return self.total_musd is not None or self.day_musd is not None


@dataclass(frozen=True, slots=True)
class Day:
    """The budget slots of one calendar day: from `first` up to, not including, `end`."""

    first: int
    end: int


def slot_of(instant: datetime) -> int:
    """The quarter of an hour an instant falls in."""
    return int(instant.timestamp() // _SLOT_S)


def day_of(instant: datetime, zone: tzinfo) -> Day:
    """The calendar day of an instant in a time zone, 23 to 25 hours long."""
    midnight = instant.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    tomorrow = (midnight.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)
    return Day(slot_of(midnight), slot_of(tomorrow))


def reserve(conn: Batch, musd: int, now: datetime, caps: Caps) -> NoRoom | None:
    """Reserve the worst case of one POST, or say why it does not fit.

    It waits while refunds of what is in flight may still make room, and is skipped when they cannot.
    """
    if not caps.is_set:
        move(conn, slot_of(now), Money(open=musd))
        return None
    day = day_of(now, caps.zone)
    if not _take_room(conn, musd, caps, day):
        return "budget_wait" if _may_fit(conn, musd, caps, day) else "skipped_budget"
    conn.add_money(slot_of(now), Money(open=musd))
    return None


def _take_room(conn: Batch, musd: int, caps: Caps, day: Day) -> bool:
    """Reserve in the whole if the caps allow it, less what this batch has not yet added to the sums."""
    total, today = caps.total_musd, caps.day_musd
    asked = {
        "b_open": musd,
        "b_total": None if total is None else total - conn.waiting_musd(ALL, ALL + 1),
        "b_day": None if today is None else today - conn.waiting_musd(day.first, day.end),
        "b_first": day.first,
        "b_end": day.end,
    }
    return conn.bank(_reserve_statement(total is not None, today is not None), asked).rowcount == 1


def move(conn: Batch, slot: int, delta: Money) -> None:
    """Change the sums of an attempt's slot and of the whole by a difference."""
    conn.add_money(ALL, delta)
    conn.add_money(slot, delta)


def spent(conn: Connection, day: Day | None = None) -> Money:
    """The ledger's money, all of it or that of one day."""
    where = budgets.c.slot == ALL if day is None else _within(day)
    row = conn.execute(
        select(
            func.coalesce(func.sum(budgets.c.settled_musd), 0),
            func.coalesce(func.sum(budgets.c.open_musd), 0),
            func.coalesce(func.sum(budgets.c.held_musd), 0),
        ).where(where)
    ).one()
    return Money(int(row[0]), int(row[1]), int(row[2]))


@cache
def _reserve_statement(total: bool, day: bool) -> Update:
    """One conditional UPDATE; the caps that are set are its conditions."""
    musd = bindparam("b_open", type_=BigInteger)
    conditions: list[ColumnElement[bool]] = [budgets.c.slot == ALL]
    if total:
        conditions.append(_USED + musd <= bindparam("b_total", type_=BigInteger))
    if day:
        span = (_SLOT_OF_DAY.slot >= bindparam("b_first"), _SLOT_OF_DAY.slot < bindparam("b_end"))
        used = _SLOT_OF_DAY.settled_musd + _SLOT_OF_DAY.open_musd + _SLOT_OF_DAY.held_musd
        today = select(func.coalesce(func.sum(used), 0)).where(*span)
        conditions.append(today.scalar_subquery() + musd <= bindparam("b_day", type_=BigInteger))
    return update(budgets).where(*conditions).values(open_musd=budgets.c.open_musd + musd)


def _within(day: Day) -> ColumnElement[bool]:
    return (budgets.c.slot >= day.first) & (budgets.c.slot < day.end)


def _may_fit(conn: Batch, musd: int, caps: Caps, day: Day) -> bool:
    """Whether it would fit if everything in flight were refunded."""
    checks = ((caps.total_musd, None), (caps.day_musd, day))
    for cap, span in checks:
        if cap is None:
            continue
        money = spent(conn.write_money(), span)
        if money.settled + money.held + musd > cap:
            return False
    return True
