"""What the ledger says when asked: standings, attempts, counts. Reads only, each of one state.

Runs on a connection of its own, beside the writer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Any

from reelsweep.tasks.gateway.strata import Stratum, StratumCount
from reelsweep.tasks.ledger.records import (
    AttemptRecord,
    ManifestStatus,
    OpenAt,
    Picture,
    ResultRecord,
    Standing,
    Tally,
)
from reelsweep.tasks.ledger.schema import attempts, generations, plan_rows, results, runs
from sqlalchemy import BindParameter, Connection, Select, and_, bindparam, case, exists, func, or_, select

_ASKED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a line and an attempt need to know of a run."""

    out_id: str
    code_version: str


def read_standings(
    conn: Connection, gateway: str, fingerprints: Sequence[str] | None, out_id: str
) -> dict[str, Standing]:
    """Where generations stand, by fingerprint; those the ledger does not know are absent.

    None as `fingerprints` asks for all that this OUT ever planned.
    """
    live = set(conn.execute(_LIVE).scalars())
    found: dict[str, Standing] = {}
    if fingerprints is None:
        rows = conn.execute(_OF_OUT, {"b_gateway": gateway, "b_out": out_id}).all()
        return {row[0]: _standing(row, live) for row in rows}
    for asked in _batches(fingerprints):
        rows = conn.execute(_OF_FINGERPRINTS, {"b_gateway": gateway, "b_fingerprints": asked})
        found.update((row[0], _standing(row, live)) for row in rows)
    return found


def read_attempt(conn: Connection, attempt_id: str) -> AttemptRecord | None:
    """One attempt with its results."""
    return read_attempts(conn, [attempt_id]).get(attempt_id)


def read_attempts(conn: Connection, attempt_ids: Iterable[str]) -> dict[str, AttemptRecord]:
    """Attempts with their results, by id."""
    run_facts = read_runs(conn)
    found: dict[str, AttemptRecord] = {}
    for asked in _batches(attempt_ids):
        told = read_results(conn, asked)
        for row in conn.execute(_ATTEMPTS, {"b_attempts": asked}):
            found[row[0]] = attempt_of(row, told.get(row[0], ()), run_facts)
    return found


def read_results(conn: Connection, attempt_ids: Sequence[str]) -> dict[str, tuple[ResultRecord, ...]]:
    """Results by attempt, in the order of their choices."""
    found: dict[str, list[ResultRecord]] = {}
    for row in conn.execute(_RESULTS, {"b_attempts": attempt_ids}):
        record = ResultRecord(**dict(zip(_RESULT_FIELDS, row[1:], strict=True)))
        found.setdefault(row[0], []).append(record)
    return {attempt_id: tuple(records) for attempt_id, records in found.items()}


def read_runs(conn: Connection) -> dict[str, RunFacts]:
    """The ledger's runs."""
    rows = conn.execute(select(runs.c.run_id, runs.c.out_id, runs.c.code_version))
    return {row.run_id: RunFacts(row.out_id, row.code_version) for row in rows}


def read_unfinished(conn: Connection, out_id: str, gateway: str) -> list[str]:
    """Attempts to recover or fetch, newest first: maybe paid, no success, in no live run's hands."""
    live = set(conn.execute(_LIVE).scalars())
    rows = conn.execute(_UNFINISHED, {"b_out": out_id, "b_gateway": gateway})
    return [row.attempt_id for row in rows if row.run_id not in live]


def read_tally(conn: Connection, out_id: str, run_id: str | None) -> Tally:
    """Counts and money of one OUT; `run_id` makes the POSTs those of one run."""
    counts: dict[ManifestStatus, int] = {row[0]: row[1] for row in conn.execute(_COUNTS, {"b_out": out_id})}
    money = conn.execute(_MONEY, {"b_out": out_id}).one()
    posts = money.posts if run_id is None else conn.execute(_POSTS, {"b_run": run_id}).scalar_one()
    return Tally(
        counts=counts,
        posts=int(posts),
        cost_musd=int(money.cost),
        reserved_musd=int(money.reserved),
        in_flight=conn.execute(_IN_FLIGHT, {"b_out": out_id}).scalar_one(),
    )


def read_picture(conn: Connection, out_id: str, dead: Sequence[str]) -> Picture:
    """Counts, money and what is open; what `dead` runs had in flight is unknown, whatever their rows say."""
    tally = read_tally(conn, out_id, None)
    asked = {"b_out": out_id, "b_dead": list(dead), "b_but": list(dead)}
    lost = conn.execute(_LOST, asked).scalar_one()
    counts = Counter(tally.counts)
    counts["unknown"] += lost
    counts["in_progress"] -= lost
    in_flight = conn.execute(_IN_FLIGHT_ALIVE, asked).scalar_one()
    rows = conn.execute(_OPEN, asked).all()
    return Picture(
        tally=replace(tally, counts={name: n for name, n in counts.items() if n}, in_flight=in_flight),
        open_at=tuple(
            OpenAt(gateway=row.gateway, unknown=row.unknown, waiting=row.waiting, num_left=row.left)
            for row in rows
        ),
    )


def read_strata(conn: Connection, out_id: str, gateway: str) -> list[StratumCount]:
    """Results of an OUT by model asked for and by what the gateway said of itself, in order of appearance."""
    rows = conn.execute(_STRATA, {"b_out": out_id, "b_gateway": gateway})
    return [StratumCount(model=row[0], stratum=Stratum(row[1], row[2]), rows=row[3]) for row in rows]


def attempt_of(
    row: Sequence[Any], told: tuple[ResultRecord, ...], run_facts: Mapping[str, RunFacts]
) -> AttemptRecord:
    """The record of a row of `ATTEMPT_COLUMNS`."""
    values = dict(zip(ATTEMPT_FIELDS, row, strict=True))
    run = run_facts.get(values["run_id"])
    return AttemptRecord(**values, results=told, out_id=None if run is None else run.out_id)


def _standing(row: Sequence[Any], live: set[str]) -> Standing:
    in_hands = row[2] in ("hold", "fetch", "recover") and row[7] in live
    return Standing(
        request_fingerprint=row[0],
        status=row[1],
        next_step="wait" if in_hands else row[2],
        attempt_id=row[3],
        billed=row[4],
        num_purchases=row[5],
        num_failures=row[6],
    )


def _batches(items: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(items)
    while batch := list(islice(rest, _ASKED_AT_ONCE)):
        yield batch


_RESULT_FIELDS = tuple(field.name for field in fields(ResultRecord))
_LIVE = select(runs.c.run_id).where(runs.c.state == "live")
_STANDING_COLUMNS = (
    generations.c.request_fingerprint,
    generations.c.status,
    generations.c.next_step,
    generations.c.attempt_id,
    generations.c.billed,
    generations.c.num_purchases,
    generations.c.num_failures,
    generations.c.run_id,
)
_OF_FINGERPRINTS = select(*_STANDING_COLUMNS).where(
    generations.c.gateway == bindparam("b_gateway"),
    generations.c.request_fingerprint.in_(bindparam("b_fingerprints", expanding=True)),
)
_IN_OUT = exists().where(
    plan_rows.c.generation_id == generations.c.generation_id, plan_rows.c.out_id == bindparam("b_out")
)
_OF_OUT = select(*_STANDING_COLUMNS).where(generations.c.gateway == bindparam("b_gateway"), _IN_OUT)

ATTEMPT_FIELDS = (
    "attempt_id",
    *(
        field.name
        for field in fields(AttemptRecord)
        if field.name not in ("attempt_id", "gateway", "request_fingerprint", "results", "out_id")
    ),
    "gateway",
    "request_fingerprint",
)
ATTEMPT_COLUMNS = tuple(
    generations.c[name] if name in ("gateway", "request_fingerprint") else attempts.c[name]
    for name in ATTEMPT_FIELDS
)
ATTEMPTS_JOINED: Select[Any] = select(*ATTEMPT_COLUMNS).join_from(
    attempts, generations, attempts.c.generation_id == generations.c.generation_id
)
_ATTEMPTS = ATTEMPTS_JOINED.where(attempts.c.attempt_id.in_(bindparam("b_attempts", expanding=True)))
_RESULTS = (
    select(results.c.attempt_id, *(results.c[name] for name in _RESULT_FIELDS))
    .where(results.c.attempt_id.in_(bindparam("b_attempts", expanding=True)))
    .order_by(results.c.attempt_id, results.c.choice_idx)
)
_UNFINISHED = (
    select(attempts.c.attempt_id, generations.c.run_id)
    .join_from(generations, attempts, attempts.c.generation_id == generations.c.generation_id)
    .where(
        attempts.c.state.in_(("answered", "unknown")),
        generations.c.status != "success",
        generations.c.gateway == bindparam("b_gateway"),
        _IN_OUT,
    )
    .order_by(attempts.c.attempt_id.desc())
)
_COUNTS = (
    select(generations.c.status, func.count())
    .join_from(plan_rows, generations, plan_rows.c.generation_id == generations.c.generation_id)
    .where(plan_rows.c.out_id == bindparam("b_out"), plan_rows.c.in_plan)
    .group_by(generations.c.status)
)
_MONEY = select(
    func.coalesce(func.sum(generations.c.num_attempts), 0).label("posts"),
    func.coalesce(func.sum(generations.c.cost_musd), 0).label("cost"),
    func.coalesce(func.sum(generations.c.reserved_musd), 0).label("reserved"),
).where(_IN_OUT)
_POSTS = (
    select(func.count())
    .select_from(attempts)
    .where(attempts.c.run_id == bindparam("b_run"), attempts.c.state != "withdrawn")
)
_DEAD: BindParameter[str] = bindparam("b_dead", expanding=True)
_OF_DEAD = exists().where(
    attempts.c.attempt_id == generations.c.attempt_id,
    attempts.c.state == "intent",
    attempts.c.run_id.in_(_DEAD),
)
"""The POST that speaks for the generation was on its way when its run died."""
_LOST = (
    select(func.count())
    .select_from(plan_rows)
    .join(generations, plan_rows.c.generation_id == generations.c.generation_id)
    .where(plan_rows.c.out_id == bindparam("b_out"), plan_rows.c.in_plan, _OF_DEAD)
)
_BUT: BindParameter[str] = bindparam("b_but", expanding=True)
"""The dead once more: of an empty list under one name SQLAlchemy makes the same of IN and NOT IN (tried)."""
_ALIVE = _LIVE.where(runs.c.run_id.not_in(_BUT))
_IN_FLIGHT_ALIVE = (
    select(func.count())
    .select_from(attempts)
    .join(generations, generations.c.generation_id == attempts.c.generation_id)
    .where(attempts.c.state == "intent", attempts.c.run_id.in_(_ALIVE), _IN_OUT)
)
_IS_UNKNOWN = or_(generations.c.status == "unknown", _OF_DEAD)
_IS_WAITING = and_(
    generations.c.status != "unknown",
    or_(
        generations.c.next_step.in_(("fetch", "recover")),
        generations.c.status == "failed_to_download",
    ),
)
_IN_PLAN = exists().where(
    plan_rows.c.generation_id == generations.c.generation_id,
    plan_rows.c.out_id == bindparam("b_out"),
    plan_rows.c.in_plan,
)
_OPEN = (
    select(
        generations.c.gateway,
        func.sum(case((_IS_UNKNOWN, 1), else_=0)).label("unknown"),
        func.sum(case((_IS_WAITING, 1), else_=0)).label("waiting"),
        func.sum(case((_IN_PLAN, 0), else_=1)).label("left"),
    )
    .where(
        _IN_OUT,
        or_(_IS_UNKNOWN, _IS_WAITING),
        or_(generations.c.run_id.is_(None), generations.c.run_id.not_in(_ALIVE)),
    )
    .group_by(generations.c.gateway)
    .order_by(generations.c.gateway)
)
_STRATUM = (plan_rows.c.model, attempts.c.served_model, attempts.c.system_fingerprint)
_STRATA = (
    select(*_STRATUM, func.count())
    .join_from(plan_rows, generations, plan_rows.c.generation_id == generations.c.generation_id)
    .join(attempts, attempts.c.attempt_id == generations.c.attempt_id)
    .where(
        plan_rows.c.out_id == bindparam("b_out"),
        generations.c.gateway == bindparam("b_gateway"),
        generations.c.status == "success",
    )
    .group_by(*_STRATUM)
    .order_by(func.min(attempts.c.attempt_id))
)
_IN_FLIGHT = (
    select(func.count())
    .select_from(attempts)
    .join(generations, generations.c.generation_id == attempts.c.generation_id)
    .where(attempts.c.state == "intent", attempts.c.run_id.in_(_LIVE), _IN_OUT)
)
