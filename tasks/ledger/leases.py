"""Runs in the database: registered, renewed, ended, and declared dead by another.

The run's row is the fence: a run that was declared dead finds out in the transaction of its next claim,
whatever clocks and locks say. Lock and lease are only the evidence on which others declare it dead: a
free lock proves it at once; else it is dead when its lease has run out. All of it runs inside the
writer's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from reelsweep.tasks.ledger.batch import Batch
from reelsweep.tasks.ledger.records import RunRecord
from reelsweep.tasks.ledger.schema import runs
from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    bindparam,
    insert,
    literal_column,
    select,
    text,
    update,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How leases run."""

    renew_s: float = 10
    second_look_s: float = 1
    """A server may need a moment to see that a killed run's connection is gone. As often a run looks whether
    it still has its own lock, whose connection may break."""
    term_s: float = 60
    margin_s: float = 10
    """So much earlier does the owner itself take its lease for lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Now, on the wall and on the machine's running clock, which no clock setting moves."""

    now: datetime
    uptime_s: float
    boot_id: str


def register(conn: Connection, run: RunRecord, moment: Moment, term_s: float) -> None:
    """Write a live run. Applied again, it changes nothing."""
    if conn.execute(_RUN, {"b_run": run.run_id}).one_or_none() is not None:
        return
    values = {
        **asdict(run),
        "boot_id": moment.boot_id if _counts_uptime(conn) else "",
        "state": "live",
        "lease_until": _clock_s(conn, moment.uptime_s) + term_s,
        "started_at": moment.now,
    }
    conn.execute(insert(runs), values)


def renew(conn: Connection, run_id: str, uptime_s: float, term_s: float) -> bool:
    """Prolong the lease of a run that nobody declared dead; False: it is over."""
    until = _clock_s(conn, uptime_s) + term_s
    return conn.execute(_RENEW, {"b_run": run_id, "b_until": until}).rowcount == 1


def may_send(conn: Batch, run_id: str, uptime_s: float) -> bool:
    """Whether the run is live and its lease has not run out; a batch asks once, its calls change no run."""
    statement = _RUN if _counts_uptime(conn) else _RUN_NOW
    rows = conn.ask_once(statement, {"b_run": run_id})
    if not rows or rows[0].state != "live":
        return False
    row = rows[0]
    return row.lease_until > (uptime_s if _counts_uptime(conn) else row.clock_s)


def end(conn: Connection, run_id: str, now: datetime, exit_code: int, summary: Mapping[str, Any]) -> None:
    """Write how a run ended. One declared dead meanwhile stays dead, with its summary."""
    values = {"ended_at": now, "exit_code": exit_code, "summary": dict(summary)}
    conn.execute(update(runs).where(runs.c.run_id == run_id).values(**values))
    conn.execute(update(runs).where(runs.c.run_id == run_id, runs.c.state == "live").values(state="ended"))


def find_dead(conn: Connection, moment: Moment, is_free: Callable[[str], bool]) -> list[str]:
    """Live runs whose death can be proved (`is_free` takes their lock) or whose lease has run out."""
    clock_s = _clock_s(conn, moment.uptime_s)
    boot_id = moment.boot_id if _counts_uptime(conn) else ""
    live = conn.execute(_LIVE).all()
    return [
        row.run_id
        for row in live
        if row.boot_id != boot_id or row.lease_until <= clock_s or is_free(row.run_id)
    ]


def declare_dead(conn: Connection, run_id: str, now: datetime) -> None:
    """The run sends nothing more, whether it lives or not."""
    conn.execute(_DECLARE, {"b_run": run_id, "b_now": now})


def _counts_uptime(conn: Connection | Batch) -> bool:
    return conn.dialect.name == "sqlite"


def _clock_s(conn: Connection, uptime_s: float) -> float:
    """The lease's clock: this machine's running time, or the server's time where machines share."""
    return uptime_s if _counts_uptime(conn) else float(conn.execute(_SERVER_CLOCK).scalar_one())


_RUN = select(runs.c.state, runs.c.lease_until).where(runs.c.run_id == bindparam("b_run"))
_LIVE = select(runs.c.run_id, runs.c.boot_id, runs.c.lease_until).where(runs.c.state == "live")
_RENEW = (
    update(runs)
    .where(runs.c.run_id == bindparam("b_run"), runs.c.state == "live")
    .values(lease_until=bindparam("b_until"))
)
_DECLARE = (
    update(runs).where(runs.c.run_id == bindparam("b_run")).values(state="dead", ended_at=bindparam("b_now"))
)
_CLOCK_S = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"
_SERVER_CLOCK = text(f"SELECT {_CLOCK_S}")
_CLOCK: ColumnElement[float] = literal_column(_CLOCK_S, Float())
_RUN_NOW = _RUN.add_columns(_CLOCK.label("clock_s"))
