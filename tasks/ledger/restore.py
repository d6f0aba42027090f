"""A lost ledger refilled from what the manifest still knows.

Rows, attempts and results come from the Parquet files beside the videos. What may have been bought
after they were last written becomes `unknown`: held, never bought again by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from reelsweep.tasks.ledger.batch import Batch
from reelsweep.tasks.ledger.budget import move, slot_of
from reelsweep.tasks.ledger.entries import read_traces, write_generation
from reelsweep.tasks.ledger.merging import merged
from reelsweep.tasks.ledger.plans import UNTRIED, PlanWish, Submit, record
from reelsweep.tasks.ledger.reads import read_attempts
from reelsweep.tasks.ledger.records import AttemptRecord, ManifestStatus, PlanRow, Restored, ResultRecord
from reelsweep.tasks.ledger.schema import attempts, generations, results, runs
from reelsweep.tasks.ledger.standing import (
    LOST,
    Money,
    Trace,
    derive,
    is_success,
    money_of,
    supposed_id,
)
from sqlalchemy import Connection, bindparam, delete, insert, select, update

T = TypeVar("T")
_CHUNK = 500
RESOLVED = "supposed while the ledger was made anew; another OUT's files tell what came of the row"
NOT_KNOWN = "{}"
"""The request of a generation that no row asks for."""
_STATUS_OF_KIND: dict[str, ManifestStatus] = {"refused": "refused", "stopped": "planned"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What is left of a lost ledger. A row comes with whether the latest plan asks for it."""

    attempts: Iterable[AttemptRecord]
    """Also those that no row asks for: the plan that does finds them."""
    rows: Sequence[tuple[PlanRow, bool]] = ()
    """Without any, the plan stays as it is."""
    suspects: Sequence[str] = ()
    """Fingerprints that may have been bought since: every row without a final status, unless the last
    run is known to have ended by itself."""


def restore(submit: Submit, wish: PlanWish, remains: Remains, ids: Iterator[str]) -> Restored:
    """Refill the ledger; applied again, it adds nothing. Blocks until it is durable.

    Of a POST that is there, what is known better stays or comes, whichever OUT is read first.
    """
    if remains.rows:
        record(submit, wish, (row for row, _ in remains.rows))
        record(submit, wish, (row for row, in_plan in remains.rows if in_plan))
    num_attempts = num_unknown = num_resolved = 0
    for chunk in _chunks(remains.attempts):
        num_new, resolved = submit(lambda conn, c=chunk: _restore_attempts(conn, wish, c)).result()
        num_attempts, num_resolved = num_attempts + num_new, num_resolved + resolved
    for names in _chunks(remains.suspects):
        doubts = [(name, next(ids)) for name in names]
        num_unknown += submit(lambda conn, d=doubts: _doubt(conn, wish, d)).result()
    submit(lambda conn: _ensure_any_run(conn, wish)).result()
    return Restored(rows=len(remains.rows), attempts=num_attempts, unknown=num_unknown, resolved=num_resolved)


def _restore_attempts(conn: Connection, wish: PlanWish, records: Sequence[AttemptRecord]) -> tuple[int, int]:
    """How many POSTs are new, and how many were supposed that another OUT's files tell the outcome of."""
    known = read_attempts(conn, [it.attempt_id for it in records])
    new = [it for it in records if it.attempt_id not in known]
    batch = Batch(conn)
    touched = [_restore_attempt(conn, batch, wish, it) for it in new]
    for told in records:
        there = known.get(told.attempt_id)
        if there is not None and (both := merged(there, told)) != there:
            touched.append(_complete_attempt(conn, batch, both))
    for generation_id in dict.fromkeys(touched):
        _derive_anew(conn, batch, generation_id, wish.now)
    batch.write()
    supposed = [it.attempt_id for it in records if it.attempt_id.startswith(LOST)]
    return len(new), len(conn.execute(_WITHDRAWN, {"b_attempts": supposed}).all()) if supposed else 0


def _restore_attempt(conn: Connection, batch: Batch, wish: PlanWish, record: AttemptRecord) -> int:
    generation_id = _found_or_made(conn, record.gateway, record.request_fingerprint)
    _ensure_run(conn, wish, record.run_id, record.out_id)
    values = {name: getattr(record, name) for name in _COLUMNS}
    if record.state == "intent":
        values |= {"state": "unknown", "billed": "maybe"}
    slot = slot_of(record.sent_at)
    conn.execute(
        insert(attempts),
        {**values, "generation_id": generation_id, "status": _status_of(record), "budget_slot": slot},
    )
    if record.results:
        rows = [{"attempt_id": record.attempt_id, **_result_values(result)} for result in record.results]
        conn.execute(insert(results), rows)
    (trace,) = [it for it in read_traces(conn, generation_id) if it.attempt_id == record.attempt_id]
    move(batch, slot, money_of(trace) - Money())
    return generation_id


def _complete_attempt(conn: Connection, batch: Batch, record: AttemptRecord) -> int:
    """Write what is known by now of a POST that is there."""
    generation_id = _generation_id(conn, record.gateway, record.request_fingerprint)
    (before,) = [it for it in read_traces(conn, generation_id) if it.attempt_id == record.attempt_id]
    values = {name: getattr(record, name) for name in _COLUMNS if name != "attempt_id"}
    of_it = {"b_attempt": record.attempt_id}
    conn.execute(update(attempts).where(_THIS).values({**values, "status": _status_of(record)}), of_it)
    conn.execute(delete(results).where(results.c.attempt_id == bindparam("b_attempt")), of_it)
    if record.results:
        rows = [{"attempt_id": record.attempt_id, **_result_values(result)} for result in record.results]
        conn.execute(insert(results), rows)
    (after,) = [it for it in read_traces(conn, generation_id) if it.attempt_id == record.attempt_id]
    move(batch, before.budget_slot, money_of(after) - money_of(before))
    return generation_id


def _resolved(conn: Connection, batch: Batch, traces: Sequence[Trace], now: datetime) -> Sequence[Trace]:
    """What is only supposed is withdrawn where the POSTs that files tell of leave nothing to be sent."""
    supposed = [it for it in traces if _is_supposed(it)]
    told = [it for it in traces if it not in supposed]
    if not supposed or derive(told).next_step == "buy":
        return traces
    for trace in supposed:
        nothing = None if trace.reserved_musd is None else 0
        values = {"reserved_musd": nothing, "completed_at": now, "error_message": RESOLVED}
        conn.execute(
            update(attempts).where(_THIS).values({**_NEVER_SENT, **values}), {"b_attempt": trace.attempt_id}
        )
        move(batch, trace.budget_slot, Money() - money_of(trace))
    return told


def _is_supposed(trace: Trace) -> bool:
    is_open = trace.state == "unknown" and trace.kind is None and trace.billed == "maybe"
    return is_open and trace.attempt_id == supposed_id(trace.idempotency_key)


def _doubt(conn: Connection, wish: PlanWish, doubts: Sequence[tuple[str, str]]) -> int:
    """Note a POST that may have been sent, for generations nothing final is known of."""
    count = 0
    batch = Batch(conn)
    for fingerprint, attempt_id in doubts:
        generation_id = _generation_id(conn, wish.gateway, fingerprint)
        traces = read_traces(conn, generation_id)
        if any(is_success(trace) or trace.state == "unknown" for trace in traces):
            continue
        run_id = f"restored-{wish.out_id}"
        _ensure_run(conn, wish, run_id, wish.out_id)
        conn.execute(insert(attempts), _doubtful(wish, generation_id, attempt_id, run_id, len(traces)))
        _derive_anew(conn, batch, generation_id, wish.now)
        count += 1
    batch.write()
    return count


def _doubtful(
    wish: PlanWish, generation_id: int, attempt_id: str, run_id: str, attempt_idx: int
) -> dict[str, Any]:
    """Its key is nobody's: which one was used, if any, is lost."""
    return {
        "attempt_id": attempt_id,
        "generation_id": generation_id,
        "run_id": run_id,
        "purchase_idx": attempt_idx,
        "attempt_idx": attempt_idx,
        "idempotency_key": f"lost-{attempt_id}",
        "state": "unknown",
        "status": "unknown",
        "billed": "maybe",
        "error_message": "the ledger was lost; this may have been bought after the manifest was last written",
        "budget_slot": slot_of(wish.now),
        "sent_at": wish.now,
    }


def _derive_anew(conn: Connection, batch: Batch, generation_id: int, now: datetime) -> None:
    """What the attempts amount to; a claim stays with the run that has it."""
    traces = _resolved(conn, batch, read_traces(conn, generation_id), now)
    holder = conn.execute(_HOLDER, {"b_generation": generation_id}).scalar_one()
    write_generation(batch, generation_id, derive(traces), run_id=holder)


def _generation_id(conn: Connection, gateway: str, fingerprint: str) -> int:
    key = {"b_gateway": gateway, "b_fingerprint": fingerprint}
    found = conn.execute(_GENERATION, key).scalar_one_or_none()
    if found is None:
        raise LookupError(f"no row of the manifest asks {gateway} for {fingerprint}")
    return found


def _found_or_made(conn: Connection, gateway: str, fingerprint: str) -> int:
    """A generation that no row asks for is made without its request: the plan that asks for it knows it."""
    if conn.execute(_GENERATION, {"b_gateway": gateway, "b_fingerprint": fingerprint}).first() is None:
        values = {"gateway": gateway, "request_fingerprint": fingerprint, "payload": NOT_KNOWN}
        conn.execute(insert(generations), {**values, **UNTRIED})
    return _generation_id(conn, gateway, fingerprint)


def _ensure_run(conn: Connection, wish: PlanWish, run_id: str, out_id: str | None) -> None:
    if conn.execute(select(runs.c.run_id).where(runs.c.run_id == run_id)).first() is None:
        conn.execute(insert(runs), {"run_id": run_id, **_lost_run(wish, out_id or wish.out_id, wish.now)})


def _ensure_any_run(conn: Connection, wish: PlanWish) -> None:
    """An OUT's gateways are those of its runs: its rows may be open at one of which no POST is told."""
    if conn.execute(_RUN_AT, {"b_out": wish.out_id, "b_gateway": wish.gateway}).first() is None:
        _ensure_run(conn, wish, f"restored-{wish.out_id} {wish.gateway}", wish.out_id)


def _lost_run(wish: PlanWish, out_id: str, now: datetime) -> dict[str, Any]:
    return {
        "out_id": out_id,
        "gateway": wish.gateway,
        "plan_hash": wish.plan_hash,
        "settings": {},
        "code_version": "",
        "host": "",
        "pid": 0,
        "boot_id": "",
        "state": "dead",
        "lease_until": 0.0,
        "started_at": now,
    }


def _status_of(record: AttemptRecord) -> ManifestStatus:
    """The manifest status an attempt led to, which its own columns do not say."""
    said: list[ManifestStatus] = [result.status for result in record.results]
    if record.state in ("settled", "surplus") and "success" in said:
        return "success"
    match record.state:
        case "withdrawn":
            return "planned"
        case "unknown" | "intent":
            return "unknown"
        case "answered":
            return "failed_to_download" if "failed_to_download" in said else "in_progress"
        case "settled" | "surplus":
            ended = _STATUS_OF_KIND.get(record.kind or "", "failed")
            return said[0] if said else ended


def _result_values(result: ResultRecord) -> dict[str, Any]:
    return {field.name: getattr(result, field.name) for field in fields(ResultRecord)}


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


_COLUMNS = tuple(field.name for field in fields(AttemptRecord) if field.name in attempts.c)
_WITHDRAWN = select(attempts.c.attempt_id).where(
    attempts.c.attempt_id.in_(bindparam("b_attempts", expanding=True)), attempts.c.state == "withdrawn"
)
_THIS = attempts.c.attempt_id == bindparam("b_attempt")
_NEVER_SENT = {"state": "withdrawn", "status": "planned", "billed": "no", "cost_musd": None}
_HOLDER = select(generations.c.run_id).where(generations.c.generation_id == bindparam("b_generation"))
_RUN_AT = (
    select(runs.c.run_id)
    .where(runs.c.out_id == bindparam("b_out"), runs.c.gateway == bindparam("b_gateway"))
    .limit(1)
)
_GENERATION = select(generations.c.generation_id).where(
    generations.c.gateway == bindparam("b_gateway"),
    generations.c.request_fingerprint == bindparam("b_fingerprint"),
)
