"""Claim, reservation and intent in one: the only place that decides whether a POST may be sent.

After every wait, before the POST. All of it runs inside the writer's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from reelsweep.prompts.errors import SettingsError
from reelsweep.tasks.ledger.batch import Batch, Generation
from reelsweep.tasks.ledger.budget import Caps, reserve, slot_of
from reelsweep.tasks.ledger.entries import change, open_batch, read_entry, read_generation, write_generation
from reelsweep.tasks.ledger.leases import may_send
from reelsweep.tasks.ledger.records import Claim, ClaimRequest, Declined, ManifestStatus, Standing
from reelsweep.tasks.ledger.schema import attempts, generations
from reelsweep.tasks.ledger.standing import (
    Derived,
    Reason,
    Trace,
    derive,
    is_definite,
    is_purchase,
    key_sent_at,
    open_key,
    purchase_key,
    why_not,
)
from sqlalchemy import Connection, bindparam, insert, select, update

_AT_ONCE = 500
Refusal = Reason | Literal["lease_lost", "body_changed", "skipped_budget", "budget_wait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A claim request with what the process adds to it."""

    attempt_id: str
    ledger_id: str
    gateway: str
    request: ClaimRequest
    caps: Caps
    now: datetime
    uptime_s: float


@dataclass(frozen=True, slots=True)
class _Key:
    value: str
    fits: bool
    """Whether the body is the one first sent under it."""


def claim(conn: Batch, wish: Wish) -> Claim | Declined:
    """Write the intent of one POST, or say why not. Applied again, it comes to the same attempt.

    Where the run was taken for dead in between, to none: nobody has heard of the claim, so nothing was sent.
    Raises LookupError for a generation that no plan asked for.
    """
    generation = _generation(conn, wish.gateway, wish.request.request_fingerprint)
    traces = generation.traces
    known = next((trace for trace in traces if trace.attempt_id == wish.attempt_id), None)
    if known is not None:
        return _claimed_before(conn, wish, traces, known)
    refusal = _obstacle(conn, wish, traces) or _reserve(conn, wish)
    if refusal is not None:
        return _declined(wish, generation, refusal)
    return _write_intent(conn, wish, generation.generation_id, traces)


def _claimed_before(conn: Batch, wish: Wish, traces: Sequence[Trace], known: Trace) -> Claim | Declined:
    if known.state == "intent" and may_send(conn, known.run_id, wish.uptime_s):
        return _claim(known, [trace for trace in traces if trace.attempt_idx < known.attempt_idx])
    withdraw(conn, known.attempt_id, "the lease was lost before the request began", wish.now)
    generation = _generation(conn, wish.gateway, wish.request.request_fingerprint)
    return _declined(wish, generation, "lease_lost")


def _declined(wish: Wish, generation: Generation, refusal: Refusal) -> Declined:
    derived = derive(generation.traces, generation.skipped)
    standing = standing_of(wish.request.request_fingerprint, derived)
    if refusal == "claimed" and generation.run_id is not None:
        standing = replace(standing, next_step="wait")
    return Declined(reason=refusal, standing=standing, asked_at=wish.now)


def withdraw(conn: Batch, attempt_id: str, reason: str, now: datetime) -> None:
    """The attempt was surely never sent: its money is free, its generation too.

    Raises ValueError once an answer is known, for then it was sent.
    """
    entry = read_entry(conn, attempt_id)
    if entry.trace.state == "withdrawn":
        return
    if entry.trace.state not in ("intent", "unknown") or entry.trace.kind is not None:
        raise ValueError(f"attempt {attempt_id} was sent: it is {entry.trace.state}")
    values: dict[str, Any] = {
        "state": "withdrawn",
        "status": "planned",
        "billed": "no",
        "reserved_musd": _nothing(entry.trace),
        "cost_musd": None,
        "error_message": reason,
        "completed_at": now,
    }
    change(conn, entry, values)


def cut(conn: Connection, run_id: str) -> int:
    """A run sends no more: what it had in flight is unknown, what it held is free. Counts the unknown."""
    in_flight = conn.execute(_IN_FLIGHT, {"b_run": run_id}).scalars().all()
    for at in range(0, len(in_flight), _AT_ONCE):
        _cut(conn, in_flight[at : at + _AT_ONCE])
    conn.execute(_FREE, {"b_held_by": run_id})
    return len(in_flight)


def _cut(conn: Connection, attempt_ids: Sequence[str]) -> None:
    batch = open_batch(conn, attempt_ids)
    for attempt_id in attempt_ids:
        batch.turn(attempt_id)
        change(batch, read_entry(batch, attempt_id), _UNKNOWN)
    batch.write()


def skip(conn: Batch, gateway: str, fingerprint: str, status: ManifestStatus) -> None:
    """Note why a generation is not sent, until somebody claims it."""
    generation = _generation(conn, gateway, fingerprint)
    derived = derive(generation.traces, status)
    if derived.next_step == "buy":
        write_generation(conn, generation.generation_id, derived, run_id=generation.run_id, skipped=status)


def adopt(conn: Batch, attempt_id: str, run_id: str, uptime_s: float) -> bool:
    """Take over the recovery or the fetching of an attempt, unless another live run has it."""
    entry = read_entry(conn, attempt_id)
    if not may_send(conn, run_id, uptime_s):
        return False
    if entry.run_id not in (None, run_id):
        return False
    conn.later(_ADOPT, {"b_generation": entry.generation_id, "b_adopter": run_id})
    return True


def _obstacle(conn: Batch, wish: Wish, traces: Sequence[Trace]) -> Refusal | None:
    request = wish.request
    if not may_send(conn, request.run_id, wish.uptime_s):
        return "lease_lost"
    reason = why_not(traces, request.allow | _allow_replay(wish, traces), request.max_purchases)
    if reason is None and not _key(wish, traces).fits:
        return "body_changed"
    return reason


def _allow_replay(wish: Wish, traces: Sequence[Trace]) -> frozenset[Literal["unknown"]]:
    """Leave to ask again where the gateway still knows the key: for the same bytes it gives the first job."""
    ttl_s, pending = wish.request.key_ttl_s, open_key(traces)
    if ttl_s is None or pending is None or pending.body_sha256 != wish.request.body_sha256:
        return frozenset()
    age_s = (wish.now - key_sent_at(traces, pending.idempotency_key)).total_seconds()
    return frozenset({"unknown"} if 0 <= age_s < ttl_s else ())


def _reserve(conn: Batch, wish: Wish) -> Refusal | None:
    price = wish.request.price_max_musd
    if price is not None:
        return reserve(conn, price, wish.now, wish.caps)
    if wish.caps.is_set:
        raise SettingsError("A budget is set and the price is unknown.", "Give the price with --price.")
    return None


def _key(wish: Wish, traces: Sequence[Trace]) -> _Key:
    request = wish.request
    pending = open_key(traces)
    if pending is not None and pending.body_sha256 in (None, request.body_sha256):
        return _Key(pending.idempotency_key, True)
    num_answers = sum(is_definite(trace) for trace in traces)
    salt = request.body_sha256 if pending is not None else ""
    key = purchase_key(wish.ledger_id, wish.gateway, request.request_fingerprint, num_answers, salt)
    return _Key(key, pending is None or request.new_key)


def _write_intent(conn: Batch, wish: Wish, generation_id: int, traces: Sequence[Trace]) -> Claim:
    request = wish.request
    trace = Trace(
        attempt_id=wish.attempt_id,
        attempt_idx=traces[-1].attempt_idx + 1 if traces else 0,
        run_id=request.run_id,
        idempotency_key=_key(wish, traces).value,
        body_sha256=request.body_sha256,
        budget_slot=slot_of(wish.now),
        state="intent",
        status="in_progress",
        kind=None,
        retry=None,
        billed=None,
        price_musd=request.price_max_musd,
        reserved_musd=request.price_max_musd,
        cost_musd=None,
        cost_source=None,
        gateway_task_id=None,
        status_url=None,
        completion_id=None,
        sent_at=wish.now,
    )
    claim = _claim(trace, traces)
    conn.later(_INTENT, _intent(wish, generation_id, trace, claim.purchase_idx))
    write_generation(conn, generation_id, derive((*traces, trace)), run_id=request.run_id)
    return claim


def _claim(trace: Trace, earlier: Sequence[Trace]) -> Claim:
    """The claim that an attempt is, behind those before it."""
    pending = open_key(earlier)
    return Claim(
        attempt_id=trace.attempt_id,
        purchase_idx=sum(is_purchase(before) for before in earlier),
        attempt_idx=trace.attempt_idx,
        idempotency_key=trace.idempotency_key,
        sent_at=trace.sent_at,
        is_replay=pending is not None and pending.idempotency_key == trace.idempotency_key,
    )


def _intent(wish: Wish, generation_id: int, trace: Trace, purchase_idx: int) -> dict[str, Any]:
    return {
        "attempt_id": trace.attempt_id,
        "generation_id": generation_id,
        "run_id": trace.run_id,
        "purchase_idx": purchase_idx,
        "attempt_idx": trace.attempt_idx,
        "idempotency_key": trace.idempotency_key,
        "body_sha256": trace.body_sha256,
        "state": trace.state,
        "status": trace.status,
        "price": wish.request.price,
        "price_musd": trace.price_musd,
        "budget_slot": trace.budget_slot,
        "reserved_musd": trace.reserved_musd,
        "sent_at": wish.now,
        "prefect_flow_run_id": wish.request.prefect_flow_run_id,
        "prefect_task_run_id": wish.request.prefect_task_run_id,
    }


def _generation(conn: Batch, gateway: str, fingerprint: str) -> Generation:
    found = read_generation(conn, (gateway, fingerprint))
    if found is None:
        raise LookupError(f"no plan in this ledger asks {gateway} for {fingerprint}")
    return found


def standing_of(fingerprint: str, derived: Derived) -> Standing:
    """The derived values under the name of their generation."""
    return Standing(
        request_fingerprint=fingerprint,
        status=derived.status,
        next_step=derived.next_step,
        attempt_id=derived.attempt_id,
        billed=derived.billed,
        num_purchases=derived.num_purchases,
        num_failures=derived.num_failures,
    )


def _nothing(trace: Trace) -> int | None:
    """What is left reserved after a refund: nothing, or still unknown where no price was."""
    return None if trace.reserved_musd is None else 0


_UNKNOWN = {"state": "unknown", "status": "unknown", "billed": "maybe"}
_IN_FLIGHT = select(attempts.c.attempt_id).where(
    attempts.c.run_id == bindparam("b_run"), attempts.c.state == "intent"
)
_ADOPT = (
    update(generations)
    .where(generations.c.generation_id == bindparam("b_generation"))
    .values(run_id=bindparam("b_adopter"))
)
_FREE = update(generations).where(generations.c.run_id == bindparam("b_held_by")).values(run_id=None)
_INTENT = insert(attempts)
