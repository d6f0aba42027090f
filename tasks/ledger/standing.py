"""Where a generation stands, derived from its attempts alone. Pure; the ledger's rules in one place.

    intent ──▶ answered ──▶ settled         an outcome with something to fetch, then its end
       │  ╲        ╲──────▶ surplus         a second success
       │   ╲─────────────▶ settled          any other definite outcome
       │──▶ withdrawn                       surely never sent
       └──▶ unknown ──▶ (any of the above)  bytes may have left and nobody knows what came of them

Every aggregate in the database is this function's value, so applying a call twice changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from reelsweep.tasks.gateway.outcome import Billed
from reelsweep.tasks.ledger.records import ManifestStatus

State = Literal["intent", "answered", "settled", "withdrawn", "unknown", "surplus"]
Allowance = Literal["failed_billed", "unknown"]
Reason = Literal["final", "claimed", "unknown", "failed_billed", "max_purchases"]
NextStep = Literal["buy", "hold", "wait", "recover", "fetch", "none"]
LOST = "lost-"
"""Begins the id of a POST that a ledger made anew supposes; the others sort by their time."""
RETRYABLE: frozenset[str] = frozenset({"backoff", "backoff_long"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One attempt, as far as money and standing depend on it."""

    attempt_id: str
    attempt_idx: int
    run_id: str
    idempotency_key: str
    body_sha256: str | None
    budget_slot: int
    state: State
    status: ManifestStatus
    kind: str | None
    retry: str | None
    billed: Billed | None
    price_musd: int | None
    """The worst case it was reserved under."""
    reserved_musd: int | None
    cost_musd: int | None
    cost_source: str | None
    gateway_task_id: str | None
    status_url: str | None
    completion_id: str | None
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What a generation's attempts amount to. `wait` is not among its steps: that needs the live runs."""

    status: ManifestStatus
    next_step: NextStep
    attempt_id: str | None
    billed: Billed | None
    num_attempts: int
    num_purchases: int
    num_failures: int
    cost_musd: int | None
    reserved_musd: int | None


@dataclass(frozen=True, slots=True)
class Money:
    """Micro-dollars: settled, reserved while refunds may come, reserved until a bill decides."""

    settled: int = 0
    open: int = 0
    held: int = 0

    def __add__(self, other: Money) -> Money:
        return Money(self.settled + other.settled, self.open + other.open, self.held + other.held)

    def __sub__(self, other: Money) -> Money:
        return Money(self.settled - other.settled, self.open - other.open, self.held - other.held)

    def __bool__(self) -> bool:
        return self != Money()


def money_of(trace: Trace) -> Money:
    """Where the attempt's money is.

    A job that was acknowledged is paid for: rows that waited for its refund would wait for ever where
    nobody asks for it any more.
    """
    settled = trace.cost_musd or 0
    reserved = trace.reserved_musd or 0
    if trace.state == "intent":
        return Money(settled, reserved, 0)
    return Money(settled, 0, reserved)


def derive(attempts: Sequence[Trace], skipped: ManifestStatus | None = None) -> Derived:
    """The standing of a generation with these attempts, in order of `attempt_idx`."""
    sent = [trace for trace in attempts if trace.state != "withdrawn"]
    speaker = _speaker(sent)
    status, step = _place(speaker)
    if skipped is not None and step == "buy":
        status = skipped
    return Derived(
        status=status,
        next_step=step,
        attempt_id=None if speaker is None else speaker.attempt_id,
        billed=None if speaker is None else "yes" if _is_paid_with_another(speaker, sent) else speaker.billed,
        num_attempts=len(sent),
        num_purchases=sum(is_purchase(trace) for trace in sent),
        num_failures=sum(trace.retry == "backoff_long" and trace.state == "settled" for trace in sent),
        cost_musd=_sum(trace.cost_musd for trace in sent),
        reserved_musd=_sum(trace.reserved_musd for trace in sent),
    )


def is_purchase(trace: Trace) -> bool:
    """Whether the attempt is or may be paid for; what is refunded stays within its purchase."""
    return trace.state != "withdrawn" and trace.billed != "no"


def is_success(trace: Trace) -> bool:
    """The generation's result is here, whole and stored."""
    return trace.state == "settled" and trace.status == "success"


def is_refunded(trace: Trace) -> bool:
    """Surely unbilled, and worth another POST: by its answer, by a bill, or as one sale with another POST."""
    if trace.state == "unknown":
        return trace.billed == "no"
    if trace.state != "settled" or trace.billed != "no":
        return False
    return trace.status == "planned" or trace.retry in RETRYABLE


def why_not(attempts: Sequence[Trace], allow: Set[Allowance], max_purchases: int) -> Reason | None:
    """Why no POST may be sent for a generation with these attempts now, or None: it may."""
    sent = [trace for trace in attempts if trace.state != "withdrawn"]
    reason = _obstacle(sent, allow)
    if reason is None and sum(is_purchase(trace) for trace in sent) >= max_purchases:
        return "max_purchases"
    return reason


def _obstacle(sent: Sequence[Trace], allow: Set[Allowance]) -> Reason | None:
    if any(is_success(trace) for trace in sent):
        return "final"
    if any(trace.state == "intent" or _is_being_fetched(trace) for trace in sent):
        return "claimed"
    lasting = [trace for trace in sent if not is_refunded(trace) and trace.state != "surplus"]
    if not lasting:
        return None
    last = lasting[-1]
    if last.state == "unknown":
        return None if "unknown" in allow else "unknown"
    is_free = last.billed == "no" and not _is_paid_with_another(last, sent)
    if (last.status == "failed" and is_free) or last.status == "refused":
        return "final"
    return None if "failed_billed" in allow else "failed_billed"


def _is_paid_with_another(trace: Trace, sent: Sequence[Trace]) -> bool:
    """Whether what this POST sold is charged with another of the same sale."""
    if trace.billed != "no" or trace.kind in (None, "incomplete", "failed"):
        return False
    return any(it.billed == "yes" and it.idempotency_key == trace.idempotency_key for it in sent)


def _is_being_fetched(trace: Trace) -> bool:
    return trace.state == "answered" and trace.status != "failed_to_download"


def _speaker(sent: Sequence[Trace]) -> Trace | None:
    """The attempt that speaks for the generation.

    The success; else what is paid for and not yet fetched; else what is in flight; else the last one
    that is not merely refunded, for an earlier purchase of unknown fate outweighs a later refund.
    """
    later_first = list(reversed(sent))
    return min(later_first, key=_rank, default=None)


def _rank(trace: Trace) -> int:
    if is_success(trace):
        return 0
    if trace.state in ("answered", "intent"):
        return 1 if trace.state == "answered" else 2
    return 4 if is_refunded(trace) or trace.state == "surplus" else 3


def _place(speaker: Trace | None) -> tuple[ManifestStatus, NextStep]:
    if speaker is None:
        return "planned", "buy"
    match speaker.state:
        case "intent":
            return "in_progress", "hold"
        case "answered":
            return speaker.status, "recover" if speaker.kind == "submitted" else "fetch"
        case "unknown" if speaker.billed == "no":
            return "unknown", "buy"
        case "unknown":
            return "unknown", "recover" if speaker.gateway_task_id or speaker.status_url else "hold"
        case "settled" | "surplus":
            return speaker.status, "buy" if is_refunded(speaker) else "none"
        case "withdrawn":
            raise AssertionError("a withdrawn attempt speaks for nothing")


def purchase_key(ledger_id: str, gateway: str, fingerprint: str, num_answers: int, salt: str = "") -> str:
    """The idempotency key: sha256 over what identifies the purchase, never over the attempt."""
    parts = (ledger_id, gateway, fingerprint, str(num_answers), *([salt] if salt else []))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def supposed_id(key: str) -> str:
    """The id of a POST of which no file tells, and which may have been sent under this key."""
    return f"{LOST}{key[:32]}"


def open_key(attempts: Sequence[Trace]) -> Trace | None:
    """The attempt whose key the next POST must carry: its fate is not known.

    A refund that came after it says nothing about it, so the key stays; any other answer under it ends it.
    """
    ended = {trace.idempotency_key for trace in attempts if is_definite(trace) and not is_refunded(trace)}
    for trace in reversed(attempts):
        if trace.state in ("unknown", "intent") and not is_definite(trace):
            return None if trace.idempotency_key in ended else trace
        if is_definite(trace) and not is_refunded(trace):
            return None
    return None


def key_sent_at(attempts: Sequence[Trace], key: str) -> datetime:
    """When a key was first sent; a gateway that remembers keys counts from then. Raises ValueError: never."""
    return min(trace.sent_at for trace in attempts if trace.idempotency_key == key)


def is_definite(trace: Trace) -> bool:
    """Whether the gateway's answer to this POST is known."""
    return trace.state != "withdrawn" and trace.kind not in (None, "incomplete")


def _sum(amounts: Iterable[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None
