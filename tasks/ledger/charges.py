"""What the end of an attempt means in money. Pure.

What a bill charged stands whatever is heard later, and a maybe undoes nothing that is known.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from reelsweep.tasks.gateway.outcome import Billed
from reelsweep.tasks.ledger.records import Answer
from reelsweep.tasks.ledger.standing import Trace, is_definite

HELD, BILLED, CHARGED = 1, 4, 5


def is_charged(trace: Trace) -> bool:
    """Whether a bill names this attempt with its price."""
    return trace.cost_source == "bill" and trace.cost_musd is not None


def answer_columns(answer: Answer, trace: Trace) -> dict[str, Any]:
    """The columns that an answer changes."""
    is_known = trace.billed == "no" or trace.cost_musd is not None
    if is_charged(trace) or (is_known and answer.billed == "maybe"):
        return {}
    columns = money_columns(trace, answer.billed, _cost_musd(answer, trace))
    return {"billed": answer.billed, "cost_source": answer.cost_source, **columns}


def _cost_musd(answer: Answer, trace: Trace) -> int | None:
    """A POST of an earlier run costs what was asked for it then, whatever the price is now."""
    if answer.cost_musd is None or trace.price_musd is None or not answer.worst_musd:
        return answer.cost_musd
    return answer.cost_musd * trace.price_musd // answer.worst_musd


def money_columns(trace: Trace, billed: Billed, cost_musd: int | None) -> dict[str, Any]:
    """Settled or refunded, nothing stays reserved; else all of it does."""
    priced = trace.reserved_musd is not None
    if billed == "no":
        return {"cost_musd": None, "reserved_musd": 0 if priced else None}
    if billed == "yes" and cost_musd is not None:
        return {"cost_musd": cost_musd, "reserved_musd": 0 if priced else None}
    return {"cost_musd": None}


def weight(trace: Trace) -> int:
    """How much is known of what a POST costs; of those that are one sale the heaviest carries its price.

    0 nothing is paid for it, HELD maybe and its end is not known, HELD + 1 maybe by its end; then a job that
    was acknowledged, BILLED, CHARGED by a bill.
    """
    if trace.billed == "yes":
        return CHARGED if is_charged(trace) else BILLED - (trace.kind == "submitted")
    return HELD + is_definite(trace) if trace.billed == "maybe" else 0


def is_same_sale(trace: Trace, sale: Trace, key_ttl_s: float | None, key_sent_at: datetime) -> bool:
    """One key, and the same job by its name or, without two names, by what the gateway says of keys.

    `key_sent_at` is when the key was first sent, from when a gateway that remembers it counts.
    """
    if trace.idempotency_key != sale.idempotency_key:
        return False
    if trace.gateway_task_id and sale.gateway_task_id and trace.gateway_task_id != sale.gateway_task_id:
        return False
    jobs = {sale.gateway_task_id, sale.completion_id} - {None}
    age_s = (max(sale.sent_at, trace.sent_at) - key_sent_at).total_seconds()
    is_remembered = key_ttl_s is not None and age_s < key_ttl_s
    return is_remembered or bool({trace.gateway_task_id, trace.completion_id} & jobs)
