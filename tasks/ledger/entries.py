"""Attempts read and changed: every change moves its money and derives its generation anew.

All of it runs inside the writer's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import repeat
from typing import Any

from reelsweep.tasks.ledger.batch import Batch, Generation, Subject
from reelsweep.tasks.ledger.budget import move
from reelsweep.tasks.ledger.records import ManifestStatus
from reelsweep.tasks.ledger.schema import attempts, generations
from reelsweep.tasks.ledger.standing import Derived, Trace, derive, money_of
from sqlalchemy import ColumnElement, Connection, Update, bindparam, select, update

_TRACE_FIELDS = tuple(field.name for field in fields(Trace))
_TRACE_COLUMNS = tuple(attempts.c[name] for name in _TRACE_FIELDS)


class UnknownAttemptError(LookupError):
    """No attempt has this id: the caller mixes up ledgers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One attempt among those of its generation."""

    generation_id: int
    run_id: str | None
    """The run that holds the generation's claim."""
    trace: Trace
    traces: tuple[Trace, ...]

    @property
    def others(self) -> tuple[Trace, ...]:
        """The generation's other attempts."""
        return tuple(trace for trace in self.traces if trace.attempt_id != self.trace.attempt_id)


def read_ahead(conn: Connection | Batch, subjects: Collection[Subject]) -> dict[Subject, Generation]:
    """The generations that calls are about, as far as there are any; two questions for all of them."""
    ids = [subject for subject in subjects if isinstance(subject, str)]
    by_gateway: dict[str, list[str]] = {}
    for gateway, fingerprint in (subject for subject in subjects if not isinstance(subject, str)):
        by_gateway.setdefault(gateway, []).append(fingerprint)
    found: dict[Subject, Generation] = {}
    if ids:
        rows = conn.execute(_BY_ATTEMPT, {"b_attempts": _padded(ids)}).all()
        found.update(_generations(rows))
    for gateway, fingerprints in by_gateway.items():
        asked = {"b_gateway": gateway, "b_fingerprints": _padded(fingerprints)}
        known = _generations(conn.execute(_BY_KEY, asked).all())
        found.update(((gateway, fingerprint), known[fingerprint]) for fingerprint in known)
    return found


def open_batch(conn: Connection, subjects: Collection[Subject]) -> Batch:
    """A batch that has read what calls about these subjects will ask for."""
    batch = Batch(conn)
    batch.know(read_ahead(conn, subjects))
    return batch


def read_generation(conn: Batch, subject: Subject) -> Generation | None:
    """The generation that a call is about, or None: there is none."""
    return conn.take(subject) or read_ahead(conn, [subject]).get(subject)


def read_traces(conn: Connection, generation_id: int) -> tuple[Trace, ...]:
    """A generation's attempts in the order they were made."""
    rows = conn.execute(_BY_GENERATION, {"b_generation": generation_id})
    return tuple(_trace(row) for row in rows)


def read_entry(conn: Batch, attempt_id: str) -> Entry:
    """One attempt with its generation. Raises UnknownAttemptError."""
    found = read_generation(conn, attempt_id)
    if found is None:
        raise UnknownAttemptError(attempt_id)
    (trace,) = (trace for trace in found.traces if trace.attempt_id == attempt_id)
    return Entry(generation_id=found.generation_id, run_id=found.run_id, trace=trace, traces=found.traces)


def change(conn: Batch, entry: Entry, values: Mapping[str, Any], *, keep_claim: bool = False) -> Entry:
    """Write columns of an attempt; its money and its generation follow.

    `keep_claim` leaves the claim with the run that has it, as does another attempt in flight.
    """
    after = changed(entry.trace, values)
    if values:
        asked = {f"v_{name}": value for name, value in values.items()}
        conn.later(_change_statement(tuple(values)), {"b_attempt": after.attempt_id, **asked})
    move(conn, after.budget_slot, money_of(after) - money_of(entry.trace))
    traces = tuple(after if trace is entry.trace else trace for trace in entry.traces)
    run_id = entry.run_id if keep_claim or _is_in_flight(entry.others) else None
    derived = derive(traces)
    if (derived, run_id) != (derive(entry.traces), entry.run_id):
        write_generation(conn, entry.generation_id, derived, run_id=run_id)
    return replace(entry, trace=after, traces=traces, run_id=run_id)


def changed(trace: Trace, values: Mapping[str, Any]) -> Trace:
    """The attempt with these columns changed, as far as it holds them."""
    return replace(trace, **{name: values[name] for name in values if name in _TRACE_FIELDS})


def write_generation(
    conn: Batch,
    generation_id: int,
    derived: Derived,
    *,
    run_id: str | None,
    skipped: ManifestStatus | None = None,
) -> None:
    """Keep what the attempts amount to beside the generation."""
    conn.later(
        _WRITE_GENERATION,
        {
            "b_generation": generation_id,
            "b_run": run_id,
            "b_skipped": skipped,
            "b_status": derived.status,
            "b_next": derived.next_step,
            "b_attempt": derived.attempt_id,
            "b_billed": derived.billed,
            "b_attempts": derived.num_attempts,
            "b_purchases": derived.num_purchases,
            "b_failures": derived.num_failures,
            "b_cost": derived.cost_musd,
            "b_reserved": derived.reserved_musd,
        },
    )


def _is_in_flight(traces: Sequence[Trace]) -> bool:
    return any(trace.state == "intent" for trace in traces)


@cache
def _change_statement(names: tuple[str, ...]) -> Update:
    """Built once for each set of columns; building costs as much as executing."""
    values: dict[str, Any] = {name: bindparam(f"v_{name}") for name in names}
    return update(attempts).where(attempts.c.attempt_id == bindparam("b_attempt")).values(values)


def _trace(row: Sequence[Any]) -> Trace:
    return Trace(**dict(zip(_TRACE_FIELDS, row, strict=True)))


def _generations(rows: Sequence[Any]) -> dict[str, Generation]:
    """By the value each row begins with; a generation without an attempt is one row without a trace."""
    traces: dict[str, list[Trace]] = {}
    heads: dict[str, Any] = {}
    for row in rows:
        heads[row[0]] = row
        of_it = traces.setdefault(row[0], [])
        trace = row[len(_HEAD) + 1 :]
        if trace[0] is not None:
            of_it.append(_trace(trace))
    return {
        name: Generation(generation_id=head[1], run_id=head[2], skipped=head[3], traces=tuple(traces[name]))
        for name, head in heads.items()
    }


def _padded(names: Sequence[str]) -> list[str]:
    """As many as the next power of two, so that few statements are prepared."""
    size = 1 << (len(names) - 1).bit_length()
    return [*names, *repeat(names[-1], size - len(names))]


_HEAD: tuple[ColumnElement[Any], ...] = (
    generations.c.generation_id,
    generations.c.run_id,
    generations.c.skipped,
)
_BY_GENERATION = (
    select(*_TRACE_COLUMNS)
    .where(attempts.c.generation_id == bindparam("b_generation"))
    .order_by(attempts.c.attempt_idx)
)
_asked = attempts.alias("asked")
_BY_ATTEMPT = (
    select(_asked.c.attempt_id.label("asked"), *_HEAD, *_TRACE_COLUMNS)
    .select_from(_asked)
    .join(generations, generations.c.generation_id == _asked.c.generation_id)
    .join(attempts, attempts.c.generation_id == _asked.c.generation_id)
    .where(_asked.c.attempt_id.in_(bindparam("b_attempts", expanding=True)))
    .order_by(attempts.c.attempt_idx)
)
_BY_KEY = (
    select(generations.c.request_fingerprint, *_HEAD, *_TRACE_COLUMNS)
    .outerjoin_from(generations, attempts, attempts.c.generation_id == generations.c.generation_id)
    .where(
        generations.c.gateway == bindparam("b_gateway"),
        generations.c.request_fingerprint.in_(bindparam("b_fingerprints", expanding=True)),
    )
    .order_by(attempts.c.attempt_idx)
)
_WRITE_GENERATION = (
    update(generations)
    .where(generations.c.generation_id == bindparam("b_generation"))
    .values(
        run_id=bindparam("b_run"),
        skipped=bindparam("b_skipped"),
        status=bindparam("b_status"),
        next_step=bindparam("b_next"),
        attempt_id=bindparam("b_attempt"),
        billed=bindparam("b_billed"),
        num_attempts=bindparam("b_attempts"),
        num_purchases=bindparam("b_purchases"),
        num_failures=bindparam("b_failures"),
        cost_musd=bindparam("b_cost"),
        reserved_musd=bindparam("b_reserved"),
    )
)
